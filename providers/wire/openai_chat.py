"""OpenAI's chat completions, which most vendors copy: https://platform.openai.com/docs/api-reference/chat

What the protocol cannot say is lost on the way: ``is_error`` and the name of a tool result (the name is found again
through the call), the state of vendors, and cache marks (caching is automatic there).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
)
from .failures import from_event, malformed

PATH = "/chat/completions"

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # vendors who copy the protocol, not its words
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a vendor's copy of the protocol differs from OpenAI's.

    Args:
        max_tokens: the name of the field that limits output tokens.
        drops: names of `Request` fields the vendor refuses or does not know; they are left out.
        stream_usage: whether ``stream_options.include_usage`` must be asked for.
    """

    max_tokens: str = "max_completion_tokens"
    drops: frozenset[str] = frozenset({"top_k"})
    stream_usage: bool = True


OPENAI = Dialect()

_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "reasoning_effort",
    "user",
)


def to_payload(request: Request, *, model: str, stream: bool = False, dialect: Dialect = OPENAI) -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last."""
    payload: dict[str, Any] = {"model": model, "messages": [_message(message) for message in request.messages]}
    for name in _SAMPLING:
        value = getattr(request, name)
        if value is not None and name not in dialect.drops:
            payload[name] = value
    if request.max_tokens is not None:
        payload[dialect.max_tokens] = request.max_tokens
    if request.stop and "stop" not in dialect.drops:
        payload["stop"] = list(request.stop)
    if request.tools:
        payload["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in request.tools
        ]
        if request.tool_choice in ("none", "required"):
            payload["tool_choice"] = request.tool_choice
        elif request.tool_choice != "auto":
            payload["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
        if not request.parallel_tool_calls and "parallel_tool_calls" not in dialect.drops:
            payload["parallel_tool_calls"] = False
    if request.response_schema is not None and "response_schema" not in dialect.drops:
        schema = dict(request.response_schema)
        payload["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)},
        }
    if stream:
        payload["stream"] = True
        if dialect.stream_usage:
            payload["stream_options"] = {"include_usage": True}
    payload.update(request.extra)
    return payload


def from_payload(payload: Mapping[str, Any]) -> Request:
    """The request a JSON body asks for; fields that are not known go to ``extra``.

    Raises:
        ValueError: the body is not a chat completions request; says which field and what was expected.
    """
    rest = dict(payload)
    messages = rest.pop("messages", None)
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise ValueError("messages: expected a list with at least one message")
    for name in ("stream", "stream_options"):
        rest.pop(name, None)
    choice = rest.pop("tool_choice", None) or "auto"
    if isinstance(choice, Mapping):
        choice = choice.get("function", {}).get("name") or choice.get("name") or "required"
    stop = rest.pop("stop", None) or ()
    limit, older = rest.pop("max_completion_tokens", None), rest.pop("max_tokens", None)
    names: dict[str, str] = {}
    tools = []
    for tool in rest.pop("tools", None) or ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not function.get("name"):
            raise ValueError("tools: expected entries of type function with a name")
        tools.append(ToolSpec(function["name"], function.get("description") or "", function.get("parameters") or {}))
    return Request(
        messages=tuple(_read_message(message, names) for message in messages),
        model=str(rest.pop("model", "")),
        tools=tuple(tools),
        tool_choice=choice,
        max_tokens=limit if limit is not None else older,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        response_schema=_read_format(rest),
        parallel_tool_calls=rest.pop("parallel_tool_calls", True) is not False,
        **{name: rest.pop(name, None) for name in _SAMPLING},
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
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise malformed("JSON without choices", provider=provider)
    message, finish = choices[0].get("message"), choices[0].get("finish_reason")
    if not isinstance(message, Mapping) or not finish:
        raise malformed("a choice without a message or a finish reason", provider=provider)
    calls = _read_calls(message.get("tool_calls") or ())
    refusal = message.get("refusal") or ""
    content = message.get("content")
    if isinstance(content, list):  # Mistral's reasoning models answer in parts
        content = "".join(part.get("text", "") for part in content if isinstance(part, Mapping) and "text" in part)
    return Completion(
        Message(
            "assistant",
            (content or "") + refusal,
            tool_calls=calls,
            reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
        ),
        _finish(finish, bool(calls), bool(refusal)),
        read_usage(body.get("usage")),
        model=str(body.get("model") or ""),
        provider=provider,
        request_id=str(body.get("id") or ""),
    )


def to_response(completion: Completion, *, id: str, created: int = 0) -> dict[str, Any]:
    """The response a server sends for `completion`; `created` is in Unix seconds."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.message.text or None, "refusal": None}
    if completion.message.reasoning:
        message["reasoning_content"] = completion.message.reasoning
    if completion.message.tool_calls:
        message["tool_calls"] = [_call(call) for call in completion.message.tool_calls]
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": completion.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}],
        "usage": write_usage(completion.usage),
    }


def to_events(completion: Completion, *, id: str, created: int = 0, size: int = 16) -> Iterator[dict[str, Any]]:
    """The chunks a server streams for `completion`, text in pieces of `size` characters, without ``[DONE]``."""

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": completion.model,
            "choices": [{"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}],
            "usage": None,
        }

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(completion.message.reasoning, size):
        yield chunk({"reasoning_content": piece})
    for piece in pieces(completion.message.text, size):
        yield chunk({"content": piece})
    for index, call in enumerate(completion.message.tool_calls):
        yield chunk({"tool_calls": [{"index": index, **_call(call, "")}]})
        for piece in pieces(call.arguments, size):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, completion.finish_reason)
    yield {**chunk({}), "choices": [], "usage": write_usage(completion.usage)}


class Assembler:
    """Builds the completion from a stream's chunks, and says what each one adds."""

    def __init__(self, *, provider: str = "") -> None:
        self._provider = provider
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[tuple[str, str, list[str]]] = []
        self._slots: dict[Any, int] = {}
        self._finish: str = ""
        self._refused = False
        self._usage: Any = None
        self._model = ""
        self._id = ""
        # Usage comes after the finish reason, so no chunk says that it is the last: ``[DONE]`` does, and is not one.
        self.done = False

    def feed(self, chunk: Any, name: str = "") -> list[Delta]:
        """Take one chunk (`name` is the event's name, which this protocol does not use).

        Raises:
            ProviderError: the chunk is an error, or not the protocol.
        """
        if not isinstance(chunk, Mapping):
            raise malformed(f"a chunk that is {type(chunk).__name__}, not an object", provider=self._provider)
        if chunk.get("error"):
            raise from_event(chunk["error"], provider=self._provider, request_id=self._id)
        self._id = self._id or str(chunk.get("id") or "")
        self._model = self._model or str(chunk.get("model") or "")
        self._usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or self._usage
        choices = chunk.get("choices")
        if not choices:
            return []
        choice = choices[0]
        delta = choice.get("delta") or {}
        deltas: list[Delta] = []
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self._reasoning.append(reasoning)
            deltas.append(Delta(reasoning=reasoning))
        refusal = delta.get("refusal")
        self._refused |= bool(refusal)
        text = delta.get("content") or refusal
        if isinstance(text, list):
            text = "".join(part.get("text", "") for part in text if isinstance(part, Mapping) and "text" in part)
        if text:
            self._text.append(text)
            deltas.append(Delta(text=text))
        for call in delta.get("tool_calls") or ():
            deltas.append(self._call(call))
        if choice.get("finish_reason"):
            self._finish = choice["finish_reason"]
        return deltas

    def _call(self, call: Mapping[str, Any]) -> Delta:
        # Some vendors leave the index out: then a new id starts a call, and no id continues the last one.
        slot = call.get("index")
        if slot is None:
            slot = call.get("id") or (len(self._calls) - 1 if self._calls else 0)
        function = call.get("function") or {}
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if slot not in self._slots:
            index = self._slots[slot] = len(self._calls)
            id, name = call.get("id") or f"call_{index}", function.get("name") or ""
            self._slots.setdefault(index, index)
            self._calls.append((id, name, [arguments]))
            return Delta(tool_index=index, tool_id=id, tool_name=name, tool_arguments=arguments)
        index = self._slots[slot]
        self._calls[index][2].append(arguments)
        return Delta(tool_index=index, tool_arguments=arguments)

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            StreamCut: no finish reason has come.
        """
        if not self._finish:
            raise StreamCut(
                f"{self._provider or 'the provider'} stopped in the middle of its answer",
                provider=self._provider,
                request_id=self._id,
            )
        calls = tuple(ToolCall(id, name, "".join(arguments)) for id, name, arguments in self._calls)
        return Completion(
            Message("assistant", "".join(self._text), tool_calls=calls, reasoning="".join(self._reasoning)),
            _finish(self._finish, bool(calls), self._refused),
            read_usage(self._usage),
            model=self._model,
            provider=self._provider,
            request_id=self._id,
        )


def pieces(text: str, size: int) -> Iterator[str]:
    """`text` in pieces of `size` characters."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes a schema: every object closed, every property required.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if isinstance(schema, Mapping):
        if schema.get("type") == "object" or "properties" in schema:
            properties = schema.get("properties") or {}
            if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
                return False
        return all(is_strict(value) for value in schema.values())
    if isinstance(schema, list):
        return all(is_strict(value) for value in schema)
    return True


def read_usage(usage: Any) -> Usage:
    """Usage as the protocol writes it; what is missing is 0."""
    if not isinstance(usage, Mapping):
        return Usage()
    prompt = usage.get("prompt_tokens_details") or {}
    output = usage.get("completion_tokens_details") or {}
    return Usage(
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
        prompt.get("cached_tokens") or 0,
        prompt.get("cache_write_tokens") or 0,
        output.get("reasoning_tokens") or 0,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as the protocol writes it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": message.text}
    written: dict[str, Any] = {"role": message.role, "content": _content(message.content)}
    if message.name:
        written["name"] = message.name
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
        if not message.content:
            written["content"] = None
    return written


def _content(content: str | tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}
        for part in content
        if isinstance(part, Text | Image)
    ]


def _call(call: ToolCall, arguments: str | None = None) -> dict[str, Any]:
    text = call.arguments if arguments is None else arguments
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": text}}


def _read_message(message: Any, names: dict[str, str]) -> Message:
    if not isinstance(message, Mapping):
        raise ValueError("messages: expected objects with a role")
    role = message.get("role")
    if role == "developer":
        role = "system"
    if role not in ("system", "user", "assistant", "tool"):
        raise ValueError(f"messages: expected role system, developer, user, assistant or tool, not {role!r}")
    content = message.get("content")
    calls = _read_calls(message.get("tool_calls") or ())
    names.update({call.id: call.name for call in calls})
    id = message.get("tool_call_id")
    return Message(
        cast(Role, role),
        _read_content(content),
        tool_calls=calls,
        tool_call_id=id,
        name=names.get(id or "") if role == "tool" else message.get("name"),
    )


def _read_content(content: Any) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        raise ValueError("messages: expected content to be text or a list of parts")
    parts: list[Part] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text":
            parts.append(Text(part.get("text") or ""))
        elif kind == "image_url":
            image = part.get("image_url") or {}
            parts.append(Image(image.get("url") or "", image.get("detail") or "auto"))
        else:
            raise ValueError(f"messages: expected parts of type text or image_url, not {kind!r}")
    return tuple(parts)


def _read_calls(calls: Any) -> tuple[ToolCall, ...]:
    read = []
    for index, call in enumerate(calls):
        function = call.get("function") or {}
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):  # Ollama's older versions send the object
            arguments = json.dumps(arguments, ensure_ascii=False)
        read.append(ToolCall(call.get("id") or f"call_{index}", function.get("name") or "", arguments or ""))
    return tuple(read)


def _read_format(rest: dict[str, Any]) -> Mapping[str, Any] | None:
    wanted = rest.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        del rest["response_format"]
        schema = (wanted.get("json_schema") or {}).get("schema")
        return schema if isinstance(schema, Mapping) else {}
    return None


def _finish(reason: str, has_calls: bool, refused: bool) -> FinishReason:
    finish = _FINISH.get(str(reason).lower(), "stop")
    if refused and finish == "stop":
        return "content_filter"
    # Several vendors say "stop" although they call tools.
    return "tool_calls" if has_calls and finish == "stop" else finish
