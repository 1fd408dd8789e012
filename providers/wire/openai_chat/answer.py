"""Answers in the protocol of chat completions, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ProviderError
from ...messages import Completion, FinishReason, Usage
from .. import fields, openai_parts
from ..failures import from_event, read_by
from .messages import ORIGIN, read_answer, write_answer

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # vendors who copy the protocol, not its words
    "": "stop",  # Snowflake
    "eos": "stop",
    "end_turn": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "safety": "content_filter",
    "sensitive": "content_filter",  # Z.ai
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "refusal": "content_filter",
}
BROKEN = frozenset(
    {
        *("error", "abort", "aborted", "cancelled", "network_error", "insufficient_system_resource"),
        *("malformed_function_call", "unexpected_tool_call"),
    }
)
"""Reasons to finish that are the vendor's trouble: what came is no answer."""

_TOKENS = ("prompt", "completion")
_KNOWN = ("id", "object", "created", "model", "choices", "usage")


def from_response(body: Any, *, provider: str = "", origin: str = ORIGIN) -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if (type(body) is dict or isinstance(body, Mapping)) and body.get("error"):
        raise from_event(body["error"], provider=provider)
    return read_by(_completion, body, provider, origin, provider=provider)


def _completion(body: Any, provider: str, origin: str) -> Completion:
    answer = fields.mapping(body, "body")
    choices = fields.mappings(answer.get("choices"), "choices")
    if not choices:
        raise fields.WrongField("JSON without choices")
    choice = choices[0]
    error = choice.get("error")
    if error:
        raise from_event(error, provider=provider)
    if choice.get("message") is None or choice.get("finish_reason") is None:
        raise fields.WrongField("a choice without a message or a finish reason")
    return completion_of(answer, choice, provider, origin)


def completion_of(answer: Mapping[str, Any], choice: Mapping[str, Any], provider: str, origin: str) -> Completion:
    """The completion in the first choice of an answer.

    Raises:
        WrongField: it is not the protocol.
        ProviderError: the model stopped because of the vendor's trouble.
    """
    reason = fields.text(choice.get("finish_reason"), "choices[0].finish_reason").lower()
    id = fields.name(answer.get("id"))
    if reason.rpartition(":")[2].strip() in BROKEN:
        raise broken(reason, provider, id)
    message, refused = read_answer(fields.mapping(choice.get("message"), "choices[0].message"), "message", origin)
    extra = fields.rest(answer, *_KNOWN)
    for name, value in fields.rest(choice, "index", "message", "delta", "finish_reason").items():
        extra.setdefault(name, value)
    return Completion(
        message,
        _finish(reason, bool(message.tool_calls), refused),
        openai_parts.read_usage(answer.get("usage"), *_TOKENS),
        model=fields.name(answer.get("model")),
        provider=provider,
        request_id=id,
        extra=extra,
    )


def broken(reason: str, provider: str, id: str) -> ProviderError:
    """The error for an answer that ended with a reason of `BROKEN`."""
    return from_event({"message": f"the answer ended with finish reason {reason!r}"}, provider=provider, request_id=id)


def _finish(reason: str, has_calls: bool, refused: bool) -> FinishReason:
    finish = FINISH.get(reason, "stop")
    if refused and finish == "stop":
        return "content_filter"
    # Several vendors say "stop" although they call tools.
    return "tool_calls" if has_calls and finish == "stop" else finish


def to_response(completion: Completion, *, id: str, created: int = 0) -> dict[str, Any]:
    """The response a server sends for `completion`; `created` is in Unix seconds."""
    message = {"refusal": None, **write_answer(completion.message, [], history=False)}
    finish = FINISH_WORDS.get(completion.finish_reason, completion.finish_reason)
    return {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": completion.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": write_usage(completion.usage),
    }


FINISH_WORDS: Mapping[str, str] = {"pause": "stop"}
"""Reasons that the protocol has no word for."""


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as the protocol writes it."""
    return openai_parts.write_usage(usage, *_TOKENS)
