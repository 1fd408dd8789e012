"""Answers in Anthropic's protocol, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...messages import Completion, FinishReason, Message, Usage
from .. import fields
from ..failures import from_event, read_by
from ..state import kept, with_state
from .blocks import ORIGIN, answer_blocks, read_answer

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
}


def from_response(body: Any, *, provider: str = "", origin: str = ORIGIN) -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if isinstance(body, Mapping) and (body.get("type") == "error" or body.get("error")):
        raise from_event(body.get("error"), provider=provider)
    return read_by(completion_of, body, provider, origin, provider=provider)


def completion_of(body: Any, provider: str, origin: str) -> Completion:
    """The completion in a response's JSON.

    Raises:
        WrongField: the body is not the protocol.
    """
    answer = fields.mapping(body, "body")
    reason = fields.text(answer.get("stop_reason"), "stop_reason")
    if answer.get("content") is None or not reason:
        raise fields.WrongField("JSON without content or a stop reason")
    message = read_answer(fields.sequence(answer["content"], "content"), origin=origin)
    container = fields.name(fields.mapping(answer.get("container"), "container").get("id"))
    more = {**({"pause": True} if reason == "pause_turn" else {}), **({"container": container} if container else {})}
    if more:
        message = _with_more(message, origin, more)
    known = ("id", "type", "role", "model", "content", "stop_reason", "usage")
    return Completion(
        message,
        FINISH.get(reason, "stop"),
        read_usage(answer.get("usage")),
        model=fields.name(answer.get("model")),
        provider=provider,
        request_id=fields.name(answer.get("id")),
        extra=fields.rest(answer, *known),
    )


def _with_more(message: Message, origin: str, more: Mapping[str, Any]) -> Message:
    mine = kept(message, origin)
    if mine is not None:
        return with_state(message, origin, {**mine.content, **more})
    blocks: list[list[Any]] = [["text", len(message.text), {}]] if message.text else []
    blocks += [["call", number, {}] for number in range(len(message.tool_calls))]
    return with_state(message, origin, {"blocks": blocks, **more})


def to_response(completion: Completion, *, id: str) -> dict[str, Any]:
    """The response a server sends for `completion`."""
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": answer_blocks(completion.message, [], history=False),
        "stop_reason": REASONS[completion.finish_reason],
        "stop_sequence": None,
        "usage": write_usage(completion.usage),
    }


def read_usage(value: Any) -> Usage:
    """Usage as the protocol writes it: there ``input_tokens`` leaves out what the cache read or wrote.

    Raises:
        WrongField: it is not the protocol.
    """
    usage = fields.mapping(value, "usage")
    counts = {
        name: fields.count(usage.get(name), f"usage.{name}")
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    }
    details = fields.mapping(usage.get("output_tokens_details"), "usage.output_tokens_details")
    read, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
    thought = fields.count(details.get("thinking_tokens"), "usage.output_tokens_details.thinking_tokens")
    return Usage(counts["input_tokens"] + read + written, counts["output_tokens"], read, written, thought)


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as the protocol writes it."""
    return {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
