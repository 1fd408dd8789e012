"""What is said, in the form that OpenTelemetry's conventions give it, with what nobody may read taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from ....providers.messages import Completion, Message, Request, shown
from ...observe import conventions as names
from ...observe.labels import fitting
from ..guardrails.findings import replaced, spans
from ..guardrails.patterns.numbers import card_numbers, email_addresses, ibans
from ..guardrails.patterns.secrets import vendor_keys

Redact = Callable[[str], str]


@cache
def _checks() -> tuple[Callable[[str], Any], ...]:
    return (*vendor_keys(), card_numbers(), ibans(), email_addresses())


def by_patterns(text: str) -> str:
    """A text without what the guardrails' patterns find: keys, passwords, card numbers, accounts, mail addresses."""
    found = spans(one for check in _checks() for one in check(text))
    return replaced([text], 0, found)[0] if found else text


def asked(request: Request, redact: Redact) -> dict[str, Any]:
    """The attributes that say what a model was asked."""
    instructions = [_text(message.text, redact) for message in request.messages if message.role == "system"]
    told: dict[str, Any] = {}
    if instructions:
        told[names.SYSTEM_INSTRUCTIONS] = _json(instructions)
    told[names.INPUT_MESSAGES] = messages((each for each in request.messages if each.role != "system"), redact)
    return told


def answered(completion: Completion, redact: Redact) -> dict[str, Any]:
    """The attributes that say what a model answered."""
    return {names.OUTPUT_MESSAGES: messages((completion.message,), redact, completion.finish_reason)}


def messages(said: Iterable[Message], redact: Redact, finish_reason: str = "") -> str:
    """Messages as JSON text.

    Args:
        said: they.
        redact: takes out of each text what nobody may read.
        finish_reason: why the model stopped, where a model said them.
    """
    why = {"finish_reason": finish_reason} if finish_reason else {}
    return _json([{**_message(one, redact), **why} for one in said])


def _message(message: Message, redact: Redact) -> Mapping[str, Any]:
    parts: list[dict[str, Any]] = []
    if message.role == "tool":
        parts.append({"type": "tool_call_response", "id": message.tool_call_id, "result": redact(message.text)})
    else:
        if message.reasoning:
            parts.append({"type": "reasoning", "content": redact(message.reasoning)})
        if message.content:
            parts.append(_text(shown(message.content), redact))
        for call in message.tool_calls:
            called = {"id": call.id, "name": call.name, "arguments": redact(call.arguments)}
            parts.append({"type": "tool_call", **called})
    return {"role": message.role, "parts": parts}


def _text(text: str, redact: Redact) -> dict[str, Any]:
    return {"type": "text", "content": redact(text)}


def _json(value: Any) -> str:
    return fitting(json.dumps(value, ensure_ascii=False), None)
