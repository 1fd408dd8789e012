"""Answers in the responses API, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...messages import Completion, FinishReason, Message
from .. import fields, openai_parts
from ..failures import from_event, read_by
from .items import ORIGIN, answer_items, read_answer

_TOKENS = ("input", "output")
_INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}

_KNOWN = frozenset(
    {
        *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "error", "model", "output"),
        *("usage", "output_text"),
        # what the request said, repeated
        *("background", "frequency_penalty", "include", "instructions", "max_output_tokens", "max_tool_calls"),
        *("metadata", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature"),
        *("text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
    }
)


def from_response(body: Any, *, provider: str = "", origin: str = ORIGIN) -> Completion:
    """The completion in a response's JSON.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`).
    """
    if isinstance(body, Mapping) and body.get("error"):
        raise from_event(body["error"], provider=provider)
    return read_by(_completion, body, provider, origin, provider=provider)


def _completion(body: Any, provider: str, origin: str) -> Completion:
    answer = fields.mapping(body, "body")
    status = fields.text(answer.get("status"), "status")
    if answer.get("output") is None or status not in ("completed", "incomplete"):
        raise fields.WrongField(f"JSON without output, or with status {status[:40]!r}")
    message, refused = read_answer(fields.sequence(answer["output"], "output"), origin=origin)
    finish: FinishReason = "tool_calls" if message.tool_calls else "content_filter" if refused else "stop"
    if status == "incomplete":
        details = fields.mapping(answer.get("incomplete_details"), "incomplete_details")
        finish = _INCOMPLETE.get(fields.text(details.get("reason"), "incomplete_details.reason"), "length")
    return Completion(
        message,
        finish,
        openai_parts.read_usage(answer.get("usage"), *_TOKENS),
        model=fields.name(answer.get("model")),
        provider=provider,
        request_id=fields.name(answer.get("id")),
        extra=fields.rest(answer, *_KNOWN),
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
        "usage": openai_parts.write_usage(completion.usage, *_TOKENS),
    }


def _output(message: Message, id: str) -> list[dict[str, Any]]:
    before = answer_items(message)
    if before is not None:
        return before
    output: list[dict[str, Any]] = []
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
