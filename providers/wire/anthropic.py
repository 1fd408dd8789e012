"""Anthropic's messages: https://docs.claude.com/en/api/messages

The protocol keeps system text apart, wants user and assistant in turn, tool results at the head of a user message,
and no empty text: neighbours of one side are merged and empty messages are left out. What it does not know is lost:
``name``, ``detail`` of a picture, seed and penalties.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import StreamCut
from ..messages import (
    Completion,
    Delta,
    FinishReason,
    Image,
    Message,
    Part,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)
from .failures import from_event, malformed
from .openai_chat import pieces

PATH = "/v1/messages"
ORIGIN = "anthropic"
"""What the vendor's own state in a message is tagged with."""
DROPS = frozenset({"seed", "frequency_penalty", "presence_penalty"})
"""`Request` fields the protocol has no place for."""
DEFAULT_MAX_TOKENS = 8192
"""The protocol demands a limit; this one is sent when the request has none. Models before 3.5 take 4096 at most."""

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
}
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)
_CACHE = {"cache_control": {"type": "ephemeral"}}


def to_payload(request: Request, *, model: str, stream: bool = False) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "system":
            if message.text.strip():
                system.append({"type": "text", "text": message.text, **(_CACHE if message.cache else {})})
            continue
        side = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if message.cache and blocks:
            blocks[-1] = {**blocks[-1], **_CACHE}
        if blocks and turns and turns[-1]["role"] == side:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": side, "content": blocks})
    for turn in turns:
        if turn["role"] == "user":  # results first, or the API refuses the turn
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    old = re.search(r"claude-(3-(opus|sonnet|haiku)|2|instant)", model)
    payload: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or (4096 if old else DEFAULT_MAX_TOKENS),
        "messages": turns,
    }
    if system:
        payload["system"] = system
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request, name) is not None:
            payload[name] = getattr(request, name)
    if request.stop:
        payload["stop_sequences"] = list(request.stop)
    if request.user is not None:
        payload["metadata"] = {"user_id": request.user}
    if request.tools:
        payload["tools"] = [_tool(tool) for tool in request.tools]
        payload["tool_choice"] = _choice(request)
    output: dict[str, Any] = {}
    if request.reasoning_effort == "none":
        payload["thinking"] = {"type": "disabled"}
    elif request.reasoning_effort:
        output["effort"] = request.reasoning_effort
        payload["thinking"] = {"type": "adaptive"}
    if request.response_schema is not None:
        output["format"] = {"type": "json_schema", "schema": dict(request.response_schema)}
    if output:
        payload["output_config"] = output
    if stream:
        payload["stream"] = True
    payload.update(request.extra)
    return payload


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a messages request; says which field and what was expected.
    """
    rest = dict(payload)
    rest.pop("stream", None)
    turns = rest.pop("messages", None)
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise ValueError("messages: expected a list with at least one message")
    system = rest.pop("system", None) or ()
    messages: list[Message] = []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        messages.append(Message("system", block.get("text", ""), cache="cache_control" in block))
    names: dict[str, str] = {}
    for turn in turns:
        messages += _read_turn(turn, names)
    tools = []
    for tool in rest.pop("tools", None) or ():
        if not isinstance(tool, Mapping) or not tool.get("name"):
            raise ValueError("tools: expected entries with a name")
        tools.append(ToolSpec(tool["name"], tool.get("description") or "", tool.get("input_schema") or {}))
    choice = rest.pop("tool_choice", None) or {}
    output = dict(rest.pop("output_config", None) or {})
    effort, wanted = output.pop("effort", None), output.pop("format", None)
    if output:
        rest["output_config"] = output
    thinking = rest.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") in ("disabled", "adaptive"):
        del rest["thinking"]
        effort = "none" if thinking["type"] == "disabled" else effort
    kind = choice.get("type", "auto")
    return Request(
        messages=tuple(messages),
        model=str(rest.pop("model", "")),
        tools=tuple(tools),
        tool_choice={"any": "required", "tool": choice.get("name", "required")}.get(kind, kind),
        max_tokens=rest.pop("max_tokens", None),
        temperature=rest.pop("temperature", None),
        top_p=rest.pop("top_p", None),
        top_k=rest.pop("top_k", None),
        stop=tuple(rest.pop("stop_sequences", None) or ()),
        reasoning_effort=effort,
        response_schema=wanted.get("schema") if isinstance(wanted, Mapping) else None,
        parallel_tool_calls=not choice.get("disable_parallel_tool_use", False),
        user=(rest.pop("metadata", None) or {}).get("user_id"),
        extra=rest,
    )


def from_response(body: Any, *, provider: str = "") -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if not isinstance(body, Mapping):
        raise malformed(f"JSON that is {type(body).__name__}, not an object", provider=provider)
    if body.get("type") == "error" or body.get("error"):
        raise from_event(body.get("error"), provider=provider)
    content, reason = body.get("content"), body.get("stop_reason")
    if not isinstance(content, list) or not reason:
        raise malformed("JSON without content or a stop reason", provider=provider)
    return Completion(
        _read_answer(content),
        _FINISH.get(reason, "stop"),
        read_usage(body.get("usage")),
        model=str(body.get("model") or ""),
        provider=provider,
        request_id=str(body.get("id") or ""),
    )


def to_response(completion: Completion, *, id: str) -> dict[str, Any]:
    """The response a server sends for `completion`."""
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": _answer(completion.message),
        "stop_reason": _REASONS[completion.finish_reason],
        "stop_sequence": None,
        "usage": write_usage(completion.usage),
    }


def to_events(completion: Completion, *, id: str, size: int = 16) -> Iterator[dict[str, Any]]:
    """The events a server streams for `completion`, text in pieces of `size` characters. Each one's ``type`` is also
    the event's name."""
    usage = write_usage(completion.usage)
    start = {**to_response(completion, id=id), "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": {**start, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(_answer(completion.message)):
        empty, deltas = _split(block, size)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = {"stop_reason": _REASONS[completion.finish_reason], "stop_sequence": None}
    yield {"type": "message_delta", "delta": reason, "usage": usage}
    yield {"type": "message_stop"}


class Assembler:
    """Builds the completion from a stream's events, and says what each one adds."""

    def __init__(self, *, provider: str = "") -> None:
        self._provider = provider
        self._start: Mapping[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._calls: dict[int, int] = {}
        self._reason = ""
        self._usage: dict[str, Any] = {}
        self.done = False

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event (`name` is the event's name, which its ``type`` repeats).

        Raises:
            ProviderError: the event is an error, or not the protocol.
        """
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind is None:
            raise malformed("an event without a type", provider=self._provider)
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_start":
            return self._begin(event)
        if kind == "message_start":
            self._start = event.get("message") or {}
            self._usage.update(self._start.get("usage") or {})
        elif kind == "message_delta":
            self._reason = (event.get("delta") or {}).get("stop_reason") or self._reason
            self._usage.update({key: value for key, value in (event.get("usage") or {}).items() if value is not None})
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            raise from_event(event.get("error"), provider=self._provider, request_id=str(event.get("request_id") or ""))
        return []

    def _begin(self, event: Mapping[str, Any]) -> list[Delta]:
        index, block = event.get("index", 0), dict(event.get("content_block") or {})
        self._blocks[index] = block
        if block.get("type") == "tool_use":
            self._pieces[index] = []
            call = self._calls[index] = len(self._calls)
            return [Delta(tool_index=call, tool_id=block.get("id") or "", tool_name=block.get("name") or "")]
        first = str(block.get("text") or block.get("thinking") or "")
        self._pieces[index] = [first]
        if not first:
            return []
        return [Delta(text=first) if block.get("type") == "text" else Delta(reasoning=first)]

    def _delta(self, event: Mapping[str, Any]) -> list[Delta]:
        index, delta = event.get("index", 0), event.get("delta") or {}
        if index not in self._blocks:
            raise malformed("a delta of a block that was never started", provider=self._provider)
        kind = delta.get("type")
        if kind == "text_delta":
            self._pieces[index].append(delta.get("text") or "")
            return [Delta(text=delta["text"])] if delta.get("text") else []
        if kind == "input_json_delta":
            piece = delta.get("partial_json") or ""
            self._pieces[index].append(piece)
            return [Delta(tool_index=self._calls.get(index, 0), tool_arguments=piece)] if piece else []
        if kind == "thinking_delta":
            self._pieces[index].append(delta.get("thinking") or "")
            return [Delta(reasoning=delta["thinking"])] if delta.get("thinking") else []
        if kind == "signature_delta":
            self._blocks[index]["signature"] = self._blocks[index].get("signature", "") + delta.get("signature", "")
        return []

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no stop reason has come.
        """
        id = str(self._start.get("id") or "")
        if not self._reason:
            raise StreamCut(
                f"{self._provider or 'the provider'} stopped in the middle of its answer",
                provider=self._provider,
                request_id=id,
            )
        content = []
        for index in sorted(self._blocks):
            block, text = dict(self._blocks[index]), "".join(self._pieces[index])
            if block.get("type") == "tool_use":
                block["input"] = text or json.dumps(block.get("input") or {}, ensure_ascii=False)
            elif block.get("type") in ("text", "thinking"):
                block[block["type"]] = text
            content.append(block)
        return Completion(
            _read_answer(content),
            _FINISH.get(self._reason, "stop"),
            read_usage(self._usage),
            model=str(self._start.get("model") or ""),
            provider=self._provider,
            request_id=id,
        )


def read_usage(usage: Any) -> Usage:
    """Usage as the protocol writes it: there ``input_tokens`` leaves out what the cache read or wrote."""
    if not isinstance(usage, Mapping):
        return Usage()
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    return Usage(
        (usage.get("input_tokens") or 0) + read + written,
        usage.get("output_tokens") or 0,
        read,
        written,
        details.get("thinking_tokens") or 0,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as the protocol writes it."""
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # The protocol wants an object schema even for a tool without arguments.
    schema = {"type": "object", **tool.parameters}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


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


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
        content = _parts(message.content)
        if content:
            block["content"] = content
        if message.is_error:
            block["is_error"] = True
        return [block]
    blocks: list[dict[str, Any]] = []
    if message.state is not None and message.state.origin == ORIGIN:
        blocks += json.loads(message.state.content)
    return blocks + _parts(message.content) + [_use(call) for call in message.tool_calls]


def _answer(message: Message) -> list[dict[str, Any]]:
    """An answer's blocks; unlike in a history, blank text may stand there."""
    blocks: list[dict[str, Any]] = []
    if message.state is not None and message.state.origin == ORIGIN:
        blocks += json.loads(message.state.content)
    elif message.reasoning:
        blocks.append({"type": "thinking", "thinking": message.reasoning, "signature": ""})
    if message.text:
        blocks.append({"type": "text", "text": message.text})
    return blocks + [_use(call) for call in message.tool_calls]


def _use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)}


def _input(call: ToolCall) -> dict[str, Any]:
    try:
        return call.parsed()
    except ValueError:  # a model's broken arguments, which the history must still show it
        return {"invalid_json": call.arguments}


def _parts(content: str | tuple[Part, ...]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in (Text(content),) if isinstance(content, str) else content:
        if isinstance(part, Text):
            if part.text.strip():
                written.append({"type": "text", "text": part.text})
            continue
        if not isinstance(part, Image):
            continue
        data = _DATA_URL.fullmatch(part.url)
        source = (
            {"type": "base64", "media_type": data["type"], "data": data["data"]}
            if data
            else {"type": "url", "url": part.url}
        )
        written.append({"type": "image", "source": source})
    return written


def _split(block: Mapping[str, Any], size: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as its empty start and the deltas that fill it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": piece} for piece in pieces(block["text"], size)
        ]
    if block["type"] == "tool_use":
        text = json.dumps(block["input"], ensure_ascii=False)
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text, size)]
        ]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"], size)]
        signature = {"type": "signature_delta", "signature": block.get("signature", "")}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
    return dict(block), []


def _read_turn(turn: Any, names: dict[str, str]) -> Iterator[Message]:
    role = turn.get("role") if isinstance(turn, Mapping) else None
    if role not in ("user", "assistant"):
        raise ValueError(f"messages: expected role user or assistant, not {role!r}")
    content = turn.get("content")
    if isinstance(content, str):
        yield Message(role, content)
        return
    if not isinstance(content, Sequence):
        raise ValueError("messages: expected content to be text or a list of blocks")
    cached = any("cache_control" in block for block in content)
    if role == "assistant":
        answer = _read_answer(content)
        names.update({call.id: call.name for call in answer.tool_calls})
        yield _marked(answer, cached)
        return
    parts: list[Mapping[str, Any]] = []
    for block in content:
        if block.get("type") == "tool_result":
            id = block.get("tool_use_id")
            yield Message(
                "tool",
                _read_parts(block.get("content") or ""),
                tool_call_id=id,
                name=names.get(id),
                is_error=bool(block.get("is_error")),
                cache="cache_control" in block,
            )
        else:
            parts.append(block)
    if parts:
        yield _marked(Message("user", _read_parts(parts)), "cache_control" in parts[-1])


def _marked(message: Message, cache: bool) -> Message:
    return replace(message, cache=True) if cache else message


def _read_parts(content: Any) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    parts: list[Part] = []
    for block in content:
        kind = block.get("type")
        if kind == "text":
            parts.append(Text(block.get("text") or ""))
        elif kind == "image":
            source = block.get("source") or {}
            url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
            parts.append(Image(url))
        else:
            raise ValueError(f"messages: expected blocks of type text, image or tool_result, not {kind!r}")
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return tuple(parts)


def _read_answer(content: Sequence[Any]) -> Message:
    text: list[str] = []
    calls: list[ToolCall] = []
    reasoning: list[str] = []
    state: list[dict[str, Any]] = []
    for block in content:
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind == "text":
            text.append(block.get("text") or "")
        elif kind == "tool_use":
            given = block.get("input")
            arguments = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
            calls.append(ToolCall(block.get("id") or f"call_{len(calls)}", block.get("name") or "", arguments))
        elif kind in ("thinking", "redacted_thinking"):
            reasoning.append(block.get("thinking") or "")
            state.append({key: value for key, value in block.items() if key != "cache_control"})
    return Message(
        "assistant",
        "".join(text),
        tool_calls=tuple(calls),
        reasoning="".join(reasoning),
        state=VendorState(ORIGIN, json.dumps(state, ensure_ascii=False)) if state else None,
    )
