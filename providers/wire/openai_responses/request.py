"""Requests in the responses API, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...messages import Message, Request, ToolSpec
from .. import fields
from ..fitting import efforts, sampling
from ..fitting.ids import with_fitting_ids
from ..fitting.names import OPENAI_NAMES, with_fitting_names
from ..openai_parts import read_function
from ..schema import is_strict, name_of, named, of_arguments
from .items import ORIGIN, history_items, read_answer, read_user

PATH = "/responses"

_NOWHERE = ("seed", "stop", "frequency_penalty", "presence_penalty", "top_k")
_CALL_ID = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


def to_payload(
    request: Request, *, model: str, stream: bool = False, origin: str = ORIGIN, notes: list[str] | None = None
) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last, its tools behind
    those of the request, and its ``reasoning`` and ``text`` field by field.

    Args:
        request: what is asked.
        model: the model's name as the vendor knows it.
        stream: whether the answer shall come as events.
        origin: whose state in the messages goes back.
        notes: takes what had to be changed, for the caller to know.
    """
    notes = [] if notes is None else notes
    request = with_fitting_names(request, OPENAI_NAMES, notes)
    messages = with_fitting_ids(request.messages, _CALL_ID, origin)
    payload: dict[str, Any] = {
        "model": model,
        "input": [item for message in messages for item in history_items(message, notes, origin)],
        # Nothing is kept at the vendor: reasoning comes back encrypted and goes out again with the history.
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    effort = efforts.fitted(request.reasoning_effort, model, notes) if request.reasoning_effort is not None else None
    payload.update(sampling.fitted(request, model, ("temperature", "top_p", "user"), notes, effort=effort))
    if request.max_tokens is not None:
        payload["max_output_tokens"] = request.max_tokens
    if effort is not None:
        payload["reasoning"] = {"effort": effort}
    if lost := sampling.given(request, _NOWHERE):
        notes.append(f"the responses API has no place for {', '.join(lost)}: left out")
    if request.thinking_tokens is not None:
        notes.append("the protocol takes no number of thinking tokens: left out")
    tools = [*map(_tool, request.tools), *request.extra.get("tools", ())]
    if tools:
        payload["tools"] = tools
        if request.tool_choice in ("none", "required"):
            payload["tool_choice"] = request.tool_choice
        elif request.tool_choice != "auto":
            payload["tool_choice"] = {"type": "function", "name": request.tool_choice}
        if not request.parallel_tool_calls:
            payload["parallel_tool_calls"] = False
    if request.response_schema is not None:
        schema = dict(request.response_schema)
        wanted = {"type": "json_schema", "name": name_of(schema), "schema": schema, "strict": is_strict(schema)}
        payload["text"] = {"format": wanted}
    if stream:
        payload["stream"] = True
    payload.update((name, value) for name, value in request.extra.items() if name not in ("tools", "reasoning", "text"))
    for name in ("reasoning", "text"):  # a summary beside the effort, verbosity beside the format
        if name in request.extra:
            payload[name] = {**payload.get(name, {}), **request.extra[name]}
    return payload


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": of_arguments(tool.parameters),
        "strict": tool.strict,
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a responses request; says which field and what was expected.
    """
    rest = dict(fields.mapping(payload, "body"))
    given = rest.pop("input", None)
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = fields.mappings(given, "input")
    if not items:
        raise fields.WrongField("input: expected text or a list with at least one item")
    for name in ("stream", "stream_options", "store", "include"):
        rest.pop(name, None)
    instructions = fields.text(rest.pop("instructions", None), "instructions")
    messages = [Message("system", instructions)] if instructions else []
    messages += _read_items(items)
    tools = fields.ours_of(rest, "tools", _read_tool)
    choice = rest.pop("tool_choice", None) or "auto"
    if isinstance(choice, Mapping):
        kind = fields.text(choice.get("type"), "tool_choice.type") or "function"
        if kind != "function":
            rest["tool_choice"] = choice
        choice = "auto" if kind != "function" else fields.text(choice.get("name"), "tool_choice.name") or "required"
    effort = _part_of(rest, "reasoning", "effort")
    schema = _read_format(rest)
    return Request(
        messages=tuple(messages),
        model=fields.text(rest.pop("model", None), "model"),
        tools=tools,
        tool_choice=fields.text(choice, "tool_choice"),
        max_tokens=fields.maybe_whole(rest.pop("max_output_tokens", None), "max_output_tokens"),
        temperature=fields.maybe_number(rest.pop("temperature", None), "temperature"),
        top_p=fields.maybe_number(rest.pop("top_p", None), "top_p"),
        reasoning_effort=fields.maybe_text(effort, "reasoning.effort"),
        response_schema=schema,
        parallel_tool_calls=fields.flag(rest.pop("parallel_tool_calls", None), "parallel_tool_calls", True),
        user=fields.maybe_text(rest.pop("user", None), "user"),
        extra=rest,
    )


def _read_format(rest: dict[str, Any]) -> Mapping[str, Any] | None:
    given = fields.mapping(rest.get("text"), "text")
    wanted = fields.mapping(given.get("format"), "text.format")
    if wanted.get("type") != "json_schema":
        return None
    _part_of(rest, "text", "format")
    schema = fields.mapping(wanted.get("schema"), "text.format.schema")
    return named(schema, fields.text(wanted.get("name"), "text.format.name"))


def _part_of(rest: dict[str, Any], name: str, part: str) -> Any:
    """One field of an object in `rest`; what else the object says stays there."""
    given = dict(fields.mapping(rest.pop(name, None), name))
    found = given.pop(part, None)
    if not fields.blank(given):
        rest[name] = given
    return found


def _read_tool(tool: Mapping[str, Any], at: str) -> ToolSpec | None:
    kind = fields.text(tool.get("type"), f"{at}.type")
    if kind != "function" or fields.rest(tool, "type", "name", "description", "parameters", "strict"):
        return None
    return read_function(tool, at)


def _read_items(items: Sequence[Mapping[str, Any]]) -> list[Message]:
    """History items as messages: what an assistant said, thought and called, which stands apart here, becomes one."""
    messages: list[Message] = []
    names: dict[str, str] = {}
    pending: list[Mapping[str, Any]] = []

    def flush() -> None:
        if pending:
            messages.append(read_answer(pending, "input")[0])
            pending.clear()

    for number, item in enumerate(items):
        at = f"input[{number}]"
        kind = fields.text(item.get("type"), f"{at}.type") or "message"
        role: Any = item.get("role")
        if kind == "function_call_output":
            flush()
            id = fields.text(item.get("call_id"), f"{at}.call_id")
            about = {"tool_call_id": id, "name": names.get(id)}
            messages.append(read_user("tool", item.get("output"), f"{at}.output", **about))
        elif kind != "message" or role == "assistant":
            if kind == "function_call":
                called = fields.text(item.get("call_id"), f"{at}.call_id")
                names[called] = fields.text(item.get("name"), f"{at}.name")
            pending.append({**item, "type": kind})
        elif role in ("system", "developer", "user"):
            flush()
            messages.append(read_user("system" if role == "developer" else role, item.get("content"), f"{at}.content"))
        else:
            raise fields.WrongField(f"{at}.role: expected system, developer, user or assistant, not {str(role)[:40]!r}")
    flush()
    return messages
