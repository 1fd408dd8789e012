"""Three vendors as tests need them: the answers that they give, and what they refuse in a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from callboard.actors.testing.oracles.requests import anthropic_refuses, chat_refuses, responses_refuses
from callboard.providers.messages import Completion, Request, ToolCall
from callboard.providers.wire import anthropic, openai_chat, openai_responses

Json = dict[str, Any]


@dataclass(frozen=True)
class Vendor:
    """One vendor's protocol.

    Args:
        name: of the vendor; what it alone may see of its own state has it in its text.
        payload: a request as it would be sent.
        body: an answer as the vendor says it: a number, a text, calls.
        read: what we make of such an answer.
        refused: what the vendor would refuse in a payload, in words.
    """

    name: str
    payload: Callable[[Request], Json]
    body: Callable[[int, str, tuple[ToolCall, ...]], Json]
    read: Callable[[Json], Completion]
    refused: Callable[[Json], list[str]]

    def answer(self, number: int, text: str, calls: tuple[ToolCall, ...], cost: float) -> Completion:
        """A completion that came over this vendor's protocol."""
        return replace(self.read(self.body(number, text, calls)), cost=cost, provider=self.name)


# -- chat completions --------------------------------------------------------------------------------------------------


def _chat_body(number: int, text: str, calls: tuple[ToolCall, ...]) -> Json:
    message: Json = {"role": "assistant", "content": text or None, "reasoning_content": f"state of chat {number}"}
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    }


# -- Anthropic's messages ----------------------------------------------------------------------------------------------


def _anthropic_body(number: int, text: str, calls: tuple[ToolCall, ...]) -> Json:
    content: list[Json] = [{"type": "thinking", "thinking": "hm", "signature": f"state of anthropic {number}"}]
    if text:
        content.append({"type": "text", "text": text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)} for call in calls
    ]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 8, "output_tokens": 2},
    }


# -- responses ---------------------------------------------------------------------------------------------------------


def _responses_body(number: int, text: str, calls: tuple[ToolCall, ...]) -> Json:
    output: list[Json] = [
        {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"state of responses {number}"}
    ]
    if text:
        said = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
        output.append({**message, "content": [said]})
    output += [
        {
            "type": "function_call",
            "id": f"fc_{number}_{index}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for index, call in enumerate(calls)
    ]
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": "gpt-5",
        "output": output,
        "usage": {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10},
    }


def _responses_refuses(payload: Json) -> Iterator[str]:
    yield from responses_refuses(payload)
    ids = [item["id"] for item in payload["input"] if item.get("id")]
    for at, item in enumerate(payload["input"]):
        if str(item.get("id", "")).startswith(("fc_", "msg_")):  # as `_responses_body` numbers them
            reasoning = f"rs_{item['id'].split('_')[1]}"
            if reasoning not in ids[: ids.index(item["id"])]:
                yield f"{at}: {item['id']} without its reasoning"


CHAT = Vendor(
    "chat",
    lambda request: openai_chat.to_payload(request, model="gpt-4o"),
    _chat_body,
    openai_chat.from_response,
    lambda payload: list(chat_refuses(payload)),
)
ANTHROPIC = Vendor(
    "anthropic",
    lambda request: anthropic.to_payload(request, model="claude-sonnet-4-5"),
    _anthropic_body,
    anthropic.from_response,
    lambda payload: list(anthropic_refuses(payload)),
)
RESPONSES = Vendor(
    "responses",
    lambda request: openai_responses.to_payload(request, model="gpt-5"),
    _responses_body,
    openai_responses.from_response,
    lambda payload: list(_responses_refuses(payload)),
)
VENDORS = (CHAT, ANTHROPIC, RESPONSES)


def refusals(request: Request) -> list[str]:
    """What any of the vendors would refuse in a request, and what of another's state it would see."""
    found = []
    for vendor in VENDORS:
        payload = vendor.payload(request)
        found += [f"{vendor.name}: {what}" for what in vendor.refused(payload)]
        written = json.dumps(payload)
        # What of the reasoning is text may be told as text; what is opaque may not.
        found += [
            f"{vendor.name} is sent the state of {other.name}"
            for other in VENDORS
            if other is not vendor and other is not CHAT and f"state of {other.name}" in written
        ]
    return found
