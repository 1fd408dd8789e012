"""Requests in Anthropic's protocol, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...messages import Message, Request, Text, ToolSpec
from .. import fields
from ..fitting.ids import with_fitting_ids
from ..fitting.names import ANTHROPIC_NAMES, with_fitting_names
from ..history import GO_ON, MOST_MARKS, cache_mark, fit_marks, in_tags
from ..state import kept
from .blocks import ORIGIN, answer_blocks, read_answer, read_mark, read_user, user_blocks
from .models import Takes, takes
from .thinking import sample, think, thinks

PATH = "/v1/messages"

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def to_payload(
    request: Request, *, model: str, stream: bool = False, origin: str = ORIGIN, notes: list[str] | None = None
) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last, its tools behind
    those of the request, and its ``output_config`` field by field.

    Args:
        request: what is asked.
        model: the model's name as the vendor knows it.
        stream: whether the answer shall come as events.
        origin: whose state in the messages goes back.
        notes: takes what had to be changed, for the caller to know.
    """
    notes = [] if notes is None else notes
    able = takes(model)
    request = with_fitting_names(request, ANTHROPIC_NAMES, notes)
    system, turns = _turns(request, able, origin, notes)
    payload: dict[str, Any] = {
        "model": model,
        "max_tokens": able.max_tokens if request.max_tokens is None else request.max_tokens,
        "messages": turns,
    }
    if system:
        payload["system"] = system
    if request.stop:
        if stop := [words for words in request.stop if words.strip()]:
            payload["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            notes.append("the vendor takes no stop sequences of blanks alone: left out")
    if request.user is not None:
        payload["metadata"] = {"user_id": request.user}
    _offer(payload, request, notes)
    think(payload, request, able, notes)
    sample(payload, request, able, notes)
    if turns and turns[-1]["role"] == "assistant" and not _paused(request.messages, origin):
        _end(turns, able.prefill and not thinks(payload), notes)
    if request.response_schema is not None:
        output = payload.setdefault("output_config", {})
        output["format"] = {"type": "json_schema", "schema": dict(request.response_schema)}
    if (container := _container(request, origin)) is not None:
        payload["container"] = container
    if stream:
        payload["stream"] = True
    # A mark of the whole request is one of them.
    fit_marks(_blocks(payload), MOST_MARKS - ("cache_control" in request.extra), notes)
    payload.update((name, value) for name, value in request.extra.items() if name not in ("tools", "output_config"))
    if "output_config" in request.extra:
        payload["output_config"] = {**payload.get("output_config", {}), **request.extra["output_config"]}
    return payload


def _blocks(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All that may bear a cache mark, in the order in which the model reads it."""
    yield from payload.get("tools", ())
    yield from payload.get("system", ())
    for turn in payload["messages"]:
        for block in turn["content"]:
            if block["type"] == "tool_result":
                yield from block.get("content", ())
            yield block


def _turns(
    request: Request, able: Takes, origin: str, notes: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """System blocks, and the turns of user and assistant."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    later: list[dict[str, Any]] = []
    """System blocks in the midst of others, which may stand behind a user's turn."""

    def add(role: str, blocks: list[dict[str, Any]]) -> None:
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})

    def settle() -> None:
        if later and turns[-1]["role"] != "assistant":
            add("system", later.copy())
        else:
            add("user", [_in_tags(block, notes) for block in later])
        later.clear()

    for message in with_fitting_ids(request.messages, _CALL_ID, origin):
        if message.role == "system" and not (turns and able.inline_system):
            blocks = [{"type": "text", "text": message.text}] if message.text.strip() else []
        elif message.role == "assistant":
            blocks = answer_blocks(message, notes, origin=origin)
        else:
            blocks = user_blocks(message, notes, origin=origin)
        if message.cache and blocks:
            blocks[-1] = {**blocks[-1], **cache_mark(message.cache)}
        if message.role == "system":
            if not turns:
                system += blocks
            elif able.inline_system:
                later += blocks
                if turns[-1]["role"] != "assistant":
                    settle()
            else:
                add("user", [_in_tags(block, notes) for block in blocks])
        elif message.role == "assistant":
            settle()
            add("assistant", blocks)
        else:
            add("user", blocks)
            if later:
                notes.append("a system message behind the assistant's turn was moved behind the user's")
                settle()
    settle()
    for turn in turns:
        if turn["role"] == "user":  # results first, or the API refuses the turn
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    return system, turns


def _in_tags(block: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    return {**block, "text": in_tags(block["text"], notes)} if block["type"] == "text" else block


def _end(turns: list[dict[str, Any]], prefill: bool, notes: list[str]) -> None:
    """Make a history that ends with the assistant's words one that the model takes."""
    if not prefill:
        turns.append({"role": "user", "content": [{"type": "text", "text": GO_ON}]})
        notes.append(f"the history ended with the assistant, which the model refuses: {GO_ON!r} was added")
        return
    last = turns[-1]["content"][-1]
    if last.get("type") == "text":  # refused with blanks at its end
        turns[-1]["content"][-1] = {**last, "text": last["text"].rstrip()}


def _paused(messages: Sequence[Message], origin: str) -> bool:
    last = kept(messages[-1], origin)
    return last is not None and bool(last.content.get("pause"))


def _container(request: Request, origin: str) -> str | None:
    """The container that the vendor's tools have used in this turn; None if it has none."""
    for message in reversed(request.messages):
        if message.role == "assistant":
            mine = kept(message, origin)
            container = mine.content.get("container") if mine is not None else None
            return container if isinstance(container, str) else None
        if message.role != "tool":
            return None
    return None


def _offer(payload: dict[str, Any], request: Request, notes: list[str]) -> None:
    """Write the tools, and the choice among them."""
    theirs = (dict(tool) if isinstance(tool, Mapping) else tool for tool in request.extra.get("tools", ()))
    tools = [*map(_tool, request.tools), *theirs]
    if tools:
        payload["tools"] = tools
        choice = _choice(request)
        if request.tools or choice != {"type": "auto"}:
            payload["tool_choice"] = choice
        return
    uses = {call.name: None for message in request.messages for call in message.tool_calls}
    if uses:
        # Refused without: blocks of tools in a history want the tools declared.
        payload["tools"] = [_tool(ToolSpec(name, "Not available any more.", {})) for name in uses]
        payload["tool_choice"] = {"type": "none"}
        notes.append("the history calls tools, and none were offered: they were declared, and may not be called")


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # The protocol wants an object schema even for a tool without arguments.
    schema = {"type": "object", **tool.parameters}
    written: dict[str, Any] = {"name": tool.name, "description": tool.description, "input_schema": schema}
    if tool.strict:
        written["strict"] = True
    return {**written, **cache_mark(tool.cache)}


def _choice(request: Request) -> dict[str, Any]:
    choice: dict[str, Any]
    if request.tool_choice in ("auto", "none"):
        choice = {"type": request.tool_choice}
    elif request.tool_choice == "required":
        choice = {"type": "any"}
    else:
        choice = {"type": "tool", "name": request.tool_choice}
    if not request.parallel_tool_calls and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


# -- reading -----------------------------------------------------------------------------------------------------------


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a messages request; says which field and what was expected.
    """
    rest = dict(fields.mapping(payload, "body"))
    rest.pop("stream", None)
    turns = fields.mappings(rest.pop("messages", None), "messages")
    if not turns:
        raise fields.WrongField("messages: expected a list with at least one message")
    system = rest.pop("system", None) or ()
    messages: list[Message] = []
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else fields.mappings(system, "system")
    for number, block in enumerate(blocks):
        at = f"system[{number}]"
        messages.append(Message("system", fields.text(block.get("text"), f"{at}.text"), cache=read_mark(block, at)))
    names: dict[str, str] = {}
    for number, turn in enumerate(turns):
        messages += _read_turn(turn, f"messages[{number}]", names)
    tools = fields.ours_of(rest, "tools", _read_tool)
    choice = fields.mapping(rest.pop("tool_choice", None), "tool_choice")
    kind = fields.text(choice.get("type"), "tool_choice.type") or "auto"
    chosen = fields.text(choice.get("name"), "tool_choice.name")
    effort, thinking, schema = _read_thinking(rest)
    metadata = fields.mapping(rest.pop("metadata", None), "metadata")
    one_at_a_time = fields.flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use", False)
    return Request(
        messages=tuple(messages),
        model=fields.text(rest.pop("model", None), "model"),
        tools=tools,
        tool_choice={"any": "required", "tool": chosen or "required"}.get(kind, kind),
        max_tokens=fields.maybe_whole(rest.pop("max_tokens", None), "max_tokens"),
        temperature=fields.maybe_number(rest.pop("temperature", None), "temperature"),
        top_p=fields.maybe_number(rest.pop("top_p", None), "top_p"),
        top_k=fields.maybe_whole(rest.pop("top_k", None), "top_k"),
        stop=fields.texts(rest.pop("stop_sequences", None), "stop_sequences"),
        reasoning_effort=effort,
        thinking_tokens=thinking,
        response_schema=schema,
        parallel_tool_calls=not one_at_a_time,
        user=fields.maybe_text(metadata.get("user_id"), "metadata.user_id"),
        extra=rest,
    )


def _read_tool(tool: Mapping[str, Any], at: str) -> ToolSpec | None:
    kind = fields.text(tool.get("type"), f"{at}.type")
    known = ("type", "name", "description", "input_schema", "strict", "cache_control")
    if kind not in ("", "custom") or fields.rest(tool, *known):
        return None
    name = fields.text(tool.get("name"), f"{at}.name")
    if not name:
        raise fields.WrongField(f"{at}.name: expected the tool's name")
    about = fields.text(tool.get("description"), f"{at}.description")
    schema = fields.mapping(tool.get("input_schema"), f"{at}.input_schema")
    strict = fields.flag(tool.get("strict"), f"{at}.strict", False)
    return ToolSpec(name, about, schema, strict, read_mark(tool, at))


def _read_thinking(rest: dict[str, Any]) -> tuple[str | None, int | None, Mapping[str, Any] | None]:
    """Effort, thinking tokens and the schema of the answer."""
    output = dict(fields.mapping(rest.pop("output_config", None), "output_config"))
    effort = fields.maybe_text(output.pop("effort", None), "output_config.effort")
    wanted = fields.mapping(output.pop("format", None), "output_config.format")
    schema = fields.mapping(wanted.get("schema"), "output_config.format.schema") if wanted else None
    if output:
        rest["output_config"] = output
    thinking = fields.mapping(rest.pop("thinking", None), "thinking")
    kind = fields.text(thinking.get("type"), "thinking.type")
    implied = kind in ("disabled", "enabled") or (kind == "adaptive" and effort is not None)
    if thinking and (not implied or fields.rest(thinking, "type", "budget_tokens")):
        rest["thinking"] = thinking  # how it is shown, say: only the vendor knows
        return effort, None, schema
    if kind == "disabled":
        effort = "none"
    tokens = fields.whole(thinking.get("budget_tokens"), "thinking.budget_tokens") if kind == "enabled" else None
    return effort, tokens, schema


def _read_turn(turn: Mapping[str, Any], at: str, names: dict[str, str]) -> Iterator[Message]:
    role = turn.get("role")
    if role not in ("user", "assistant", "system"):
        raise fields.WrongField(f"{at}.role: expected user or assistant, not {str(role)[:40]!r}")
    content = turn.get("content")
    where = f"{at}.content"
    if isinstance(content, str):
        yield Message(role, content)
        return
    if content is None:
        raise fields.WrongField(f"{where}: expected text or a list of blocks")
    blocks = fields.mappings(content, where)
    if role == "assistant":
        answer = read_answer(blocks, where)
        names.update({call.id: call.name for call in answer.tool_calls})
        mark = next((mark for block in reversed(blocks) if (mark := read_mark(block, where))), False)
        yield replace(answer, cache=mark) if mark else answer
        return
    rest: list[Mapping[str, Any]] = []
    for number, block in enumerate(blocks):
        if block.get("type") != "tool_result":
            rest.append(block)
            continue
        one = f"{where}[{number}]"
        id = fields.text(block.get("tool_use_id"), f"{one}.tool_use_id")
        given = block.get("content")
        said = [{"type": "text", "text": given}] if isinstance(given, str) else fields.sequence(given, f"{one}.content")
        failed = fields.flag(block.get("is_error"), f"{one}.is_error", False)
        about: dict[str, Any] = {"tool_call_id": id, "name": names.get(id), "is_error": failed}
        yield read_user("tool", said, f"{one}.content", **about, cache=read_mark(block, one))
    if rest:
        yield _unmarked(read_user(role, rest, where))


def _unmarked(message: Message) -> Message:
    """A mark on the last part, which alone has one, is the message's."""
    content = message.content
    if isinstance(content, str) or not content or any(getattr(part, "cache", False) for part in content[:-1]):
        return message
    last = content[-1]
    mark = getattr(last, "cache", False)
    if not mark:
        return message
    parts = (*content[:-1], replace(last, cache=False))  # type: ignore[arg-type]
    alone = parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else parts
    return replace(message, content=alone, cache=mark)
