"""Answers in the protocol of chat completions, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ProviderError
from ...messages import Completion, FinishReason, Usage
from .. import fields
from ..failures import from_event, malformed
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

_KNOWN = ("id", "object", "created", "model", "choices", "usage")


def from_response(body: Any, *, provider: str = "", origin: str = ORIGIN) -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if (type(body) is dict or isinstance(body, Mapping)) and body.get("error"):
        raise from_event(body["error"], provider=provider)
    try:
        answer = fields.mapping(body, "body")
        choices = fields.mappings(answer.get("choices"), "choices")
        if not choices:
            raise fields.WrongField("JSON without choices")
        choice = choices[0]
        error = choice.get("error")
        if not error and (choice.get("message") is None or choice.get("finish_reason") is None):
            raise fields.WrongField("a choice without a message or a finish reason")
        if error:
            raise from_event(error, provider=provider)
        return completion_of(answer, choice, provider, origin)
    except fields.WrongField as wrong:
        problem = str(wrong)
    raise malformed(problem, provider=provider)


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
        read_usage(answer.get("usage")),
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


def read_usage(value: Any) -> Usage:
    """Usage as the protocol writes it; what is missing is 0.

    Raises:
        WrongField: it is not the protocol.
    """
    usage = fields.mapping(value, "usage")
    prompt = fields.mapping(usage.get("prompt_tokens_details"), "usage.prompt_tokens_details")
    output = fields.mapping(usage.get("completion_tokens_details"), "usage.completion_tokens_details")
    return Usage(
        fields.count(usage.get("prompt_tokens"), "usage.prompt_tokens"),
        fields.count(usage.get("completion_tokens"), "usage.completion_tokens"),
        fields.count(prompt.get("cached_tokens"), "usage.prompt_tokens_details.cached_tokens"),
        fields.count(prompt.get("cache_write_tokens"), "usage.prompt_tokens_details.cache_write_tokens"),
        fields.count(output.get("reasoning_tokens"), "usage.completion_tokens_details.reasoning_tokens"),
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
