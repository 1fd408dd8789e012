"""OpenAI's responses API, without state on the server: https://platform.openai.com/docs/api-reference/responses

What the protocol has no place for is lost: seed, stop, penalties, top_k, names, ``is_error`` and cache marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ..errors import StreamCut
from ..messages import (
    Completion,
    Delta,
    FinishReason,
    Image,
    Message,
    Part,
    Request,
    Role,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
    VendorState,
)
from .failures import from_event, malformed
from .openai_chat import is_strict, pieces

PATH = "/responses"
ORIGIN = "openai.responses"
"""What the vendor's own state in a message is tagged with."""
DROPS = frozenset({"seed", "stop", "frequency_penalty", "presence_penalty", "top_k"})
"""`Request` fields the protocol has no place for."""

_INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def to_payload(request: Request, *, model: str, stream: bool = False) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last."""
    payload: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message)],
        # Nothing is kept at the vendor: reasoning comes back encrypted and goes out again with the history.
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    for name in ("temperature", "top_p", "user"):
        if getattr(request, name) is not None:
            payload[name] = getattr(request, name)
    if request.max_tokens is not None:
        payload["max_output_tokens"] = request.max_tokens
    if request.reasoning_effort is not None:
        payload["reasoning"] = {"effort": request.reasoning_effort}
    if request.tools:
        payload["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
                "strict": False,
            }
            for tool in request.tools
        ]
        if request.tool_choice in ("none", "required"):
            payload["tool_choice"] = request.tool_choice
        elif request.tool_choice != "auto":
            payload["tool_choice"] = {"type": "function", "name": request.tool_choice}
        if not request.parallel_tool_calls:
            payload["parallel_tool_calls"] = False
    if request.response_schema is not None:
        schema = dict(request.response_schema)
        wanted = {"type": "json_schema", "name": "answer", "schema": schema, "strict": is_strict(schema)}
        payload["text"] = {"format": wanted}
    if stream:
        payload["stream"] = True
    payload.update(request.extra)
    return payload


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a responses request; says which field and what was expected.
    """
    rest = dict(payload)
    given = rest.pop("input", None)
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, Sequence) or not given:
        raise ValueError("input: expected text or a list with at least one item")
    for name in ("stream", "stream_options", "store", "include"):
        rest.pop(name, None)
    instructions = rest.pop("instructions", None)
    messages = [Message("system", instructions)] if instructions else []
    messages += _read_items(given)
    tools = []
    for tool in rest.pop("tools", None) or ():
        if not isinstance(tool, Mapping) or tool.get("type") != "function" or not tool.get("name"):
            raise ValueError("tools: expected entries of type function with a name")
        tools.append(ToolSpec(tool["name"], tool.get("description") or "", tool.get("parameters") or {}))
    choice = rest.pop("tool_choice", None) or "auto"
    text = dict(rest.pop("text", None) or {})
    wanted = text.get("format") or {}
    return Request(
        messages=tuple(messages),
        model=str(rest.pop("model", "")),
        tools=tuple(tools),
        tool_choice=choice.get("name", "required") if isinstance(choice, Mapping) else choice,
        max_tokens=rest.pop("max_output_tokens", None),
        temperature=rest.pop("temperature", None),
        top_p=rest.pop("top_p", None),
        reasoning_effort=(rest.pop("reasoning", None) or {}).get("effort"),
        response_schema=wanted.get("schema") if wanted.get("type") == "json_schema" else None,
        parallel_tool_calls=rest.pop("parallel_tool_calls", True) is not False,
        user=rest.pop("user", None),
        extra=rest,
    )


def from_response(body: Any, *, provider: str = "") -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if not isinstance(body, Mapping):
        raise malformed(f"JSON that is {type(body).__name__}, not an object", provider=provider)
    if body.get("error"):
        raise from_event(body["error"], provider=provider)
    output, status = body.get("output"), body.get("status")
    if not isinstance(output, list) or status not in ("completed", "incomplete"):
        raise malformed(f"JSON without output, or with status {status!r}", provider=provider)
    message, refused = _read_output(output)
    finish: FinishReason = "tool_calls" if message.tool_calls else "content_filter" if refused else "stop"
    if status == "incomplete":
        finish = _INCOMPLETE.get((body.get("incomplete_details") or {}).get("reason", ""), "length")
    return Completion(
        message,
        finish,
        read_usage(body.get("usage")),
        model=str(body.get("model") or ""),
        provider=provider,
        request_id=str(body.get("id") or ""),
    )


def to_response(completion: Completion, *, id: str, created: int = 0) -> dict[str, Any]:
    """The response a server sends for `completion`; `created` is in Unix seconds."""
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(completion.finish_reason)
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "error": None,
        "model": completion.model,
        "output": _output(completion.message, id),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": write_usage(completion.usage),
    }


def to_events(completion: Completion, *, id: str, created: int = 0, size: int = 16) -> Iterator[dict[str, Any]]:
    """The events a server streams for `completion`, text in pieces of `size` characters. Each one's ``type`` is also
    the event's name."""
    whole = to_response(completion, id=id, created=created)
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            empty = {**item, "content": [], "status": "in_progress"}
            part = item["content"][0]
            events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
            events.append(
                {"type": "response.content_part.added", **at, "content_index": 0, "part": {**part, "text": ""}}
            )
            for piece in pieces(part["text"], size):
                delta = {"type": "response.output_text.delta", **at, "content_index": 0, "delta": piece, "logprobs": []}
                events.append(delta)
            text = {"content_index": 0, "text": part["text"], "logprobs": []}
            events.append({"type": "response.output_text.done", **at, **text})
            events.append({"type": "response.content_part.done", **at, "content_index": 0, "part": part})
        elif item["type"] == "function_call":
            empty = {**item, "arguments": "", "status": "in_progress"}
            events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
            for piece in pieces(item["arguments"], size):
                events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
            done = {"arguments": item["arguments"], "name": item["name"]}
            events.append({"type": "response.function_call_arguments.done", **at, **done})
        else:
            events.append(
                {"type": "response.output_item.added", "output_index": index, "item": {**item, "summary": []}}
            )
            for number, summary in enumerate(item.get("summary") or ()):
                for piece in pieces(summary["text"], size):
                    delta = {"type": "response.reasoning_summary_text.delta", "summary_index": number, "delta": piece}
                    events.append({**delta, **at})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


class Assembler:
    """Builds the completion from a stream's events, and says what each one adds."""

    def __init__(self, *, provider: str = "") -> None:
        self._provider = provider
        self._calls: dict[int, int] = {}
        self._whole: Any = None
        self._id = ""
        self.done = False

    def feed(self, event: Any, name: str = "") -> list[Delta]:
        """Take one event (`name` is the event's name, which its ``type`` repeats).

        Raises:
            ProviderError: the event is an error, or not the protocol.
        """
        kind = event.get("type") if isinstance(event, Mapping) else None
        if kind is None:
            raise malformed("an event without a type", provider=self._provider)
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            return [Delta(text=event["delta"])] if event.get("delta") else []
        if kind == "response.function_call_arguments.delta":
            index = self._calls.get(event.get("output_index", 0), 0)
            return [Delta(tool_index=index, tool_arguments=event.get("delta") or "")]
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            return [Delta(reasoning=event["delta"])] if event.get("delta") else []
        if kind == "response.output_item.added":
            item = event.get("item") or {}
            if item.get("type") == "function_call":
                index = self._calls[event.get("output_index", 0)] = len(self._calls)
                return [
                    Delta(
                        tool_index=index,
                        tool_id=item.get("call_id") or "",
                        tool_name=item.get("name") or "",
                        tool_arguments=item.get("arguments") or "",
                    )
                ]
        elif kind in ("response.completed", "response.incomplete"):
            self._whole, self.done = event.get("response"), True
        elif kind == "response.created":
            self._id = str((event.get("response") or {}).get("id") or "")
        elif kind == "response.failed":
            error = (event.get("response") or {}).get("error")
            raise from_event(error, provider=self._provider, request_id=self._id)
        elif kind == "error":
            # `error` is an object here only if a proxy wrapped it; the API writes code and message beside the type.
            error = event.get("error") or {key: event.get(key) for key in ("code", "message")}
            raise from_event(error, provider=self._provider, request_id=self._id)
        return []

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: the event that carries it has not come.
        """
        if not self.done:
            raise StreamCut(
                f"{self._provider or 'the provider'} stopped in the middle of its answer",
                provider=self._provider,
                request_id=self._id,
            )
        return from_response(self._whole, provider=self._provider)


def read_usage(usage: Any) -> Usage:
    """Usage as the protocol writes it; what is missing is 0."""
    if not isinstance(usage, Mapping):
        return Usage()
    given, made = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Usage(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        given.get("cached_tokens") or 0,
        given.get("cache_write_tokens") or 0,
        made.get("reasoning_tokens") or 0,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as the protocol writes it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id or "", "output": message.text}
        return
    if message.state is not None and message.state.origin == ORIGIN:
        yield from json.loads(message.state.content)
    if message.content or not message.tool_calls:
        yield {"role": message.role, "content": _content(message)}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}


def _content(message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    if message.role == "assistant":
        return message.text
    return [
        {"type": "input_text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "input_image", "image_url": part.url, "detail": part.detail}
        for part in message.content
        if isinstance(part, Text | Image)
    ]


def _output(message: Message, id: str) -> list[dict[str, Any]]:
    kept = message.state is not None and message.state.origin == ORIGIN
    output: list[dict[str, Any]] = list(json.loads(message.state.content)) if message.state and kept else []
    if message.text or not message.tool_calls:
        text = {"type": "output_text", "text": message.text, "annotations": [], "logprobs": []}
        output.append(
            {"type": "message", "id": f"msg_{id}", "role": "assistant", "status": "completed", "content": [text]}
        )
    for index, call in enumerate(message.tool_calls):
        output.append(
            {
                "type": "function_call",
                "id": f"fc_{index}_{id}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
        )
    return output


def _read_output(output: Sequence[Any]) -> tuple[Message, bool]:
    text: list[str] = []
    calls: list[ToolCall] = []
    reasoning: list[str] = []
    state: list[Any] = []
    refused = False
    for item in output:
        kind = item.get("type") if isinstance(item, Mapping) else None
        if kind == "message":
            for part in item.get("content") or ():
                refused |= part.get("type") == "refusal"
                text.append(part.get("text") or part.get("refusal") or "")
        elif kind == "function_call":
            id = item.get("call_id") or item.get("id") or f"call_{len(calls)}"
            calls.append(ToolCall(id, item.get("name") or "", item.get("arguments") or ""))
        elif kind == "reasoning":
            reasoning += [part.get("text") or "" for part in item.get("summary") or ()]
            state.append(item)
    return Message(
        "assistant",
        "".join(text),
        tool_calls=tuple(calls),
        reasoning="".join(reasoning),
        state=VendorState(ORIGIN, json.dumps(state, ensure_ascii=False)) if state else None,
    ), refused


def _read_items(items: Sequence[Any]) -> list[Message]:
    """History items as messages: an assistant's text and its calls, which stand apart here, become one message."""
    messages: list[Message] = []
    names: dict[str, str] = {}
    pending: list[Any] = []

    def flush() -> None:
        if pending:
            messages.append(_read_output(pending)[0])
            pending.clear()

    for item in items:
        if not isinstance(item, Mapping):
            raise ValueError("input: expected objects")
        kind, role = item.get("type", "message"), item.get("role")
        if kind == "function_call_output":
            flush()
            id = str(item.get("call_id") or "")
            messages.append(Message("tool", str(item.get("output") or ""), tool_call_id=id, name=names.get(id)))
        elif kind in ("function_call", "reasoning"):
            if kind == "reasoning":
                flush()
            elif item.get("call_id"):
                names[item["call_id"]] = str(item.get("name"))
            pending.append(item)
        elif kind == "message" and role == "assistant":
            if any(earlier.get("type") != "reasoning" for earlier in pending):
                flush()
            content = item.get("content")
            parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else content
            pending.append({"type": "message", "content": parts})
        elif kind == "message" and role in ("system", "developer", "user"):
            flush()
            known = cast(Role, "system" if role == "developer" else role)
            messages.append(Message(known, _read_content(item.get("content"))))
        else:
            raise ValueError(f"input: expected messages, function calls or their outputs, not {kind!r} of {role!r}")
    flush()
    return messages


def _read_content(content: Any) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    parts: list[Part] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("input_text", "output_text", "text"):
            parts.append(Text(part.get("text") or ""))
        elif kind == "input_image":
            parts.append(Image(part.get("image_url") or "", part.get("detail") or "auto"))
        else:
            raise ValueError(f"input: expected content of type input_text or input_image, not {kind!r}")
    return tuple(parts)
