"""Three vendors as tests need them: the answers that they give, and what they refuse in a request, by their documents.

The rules are written from the vendors' pages, not from our mapping: what a chat completion, a message and a response
may hold, in which order, and what it has to end with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from callboard.providers.messages import Completion, Request, ToolCall
from callboard.providers.wire import anthropic, openai_chat, openai_responses

Json = dict[str, Any]
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")


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


def _chat_refuses(payload: Json) -> Iterator[str]:
    messages = payload["messages"]
    if not messages:
        yield "no messages"
    yield from _tool_names([tool["function"]["name"] for tool in payload.get("tools", ())])
    if payload.get("tools") == []:
        yield "an empty list of tools"
    open_calls: list[str] = []
    for at, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role not in ("system", "developer", "user", "assistant", "tool"):
            yield f"{at}: role {role}"
        if role == "tool":
            if message["tool_call_id"] not in open_calls:
                yield f"{at}: a result of {message['tool_call_id']!r}, which was not called just before"
            else:
                open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            yield f"{at}: calls {open_calls} have no result"
            open_calls = []
        calls = message.get("tool_calls")
        if calls is not None:
            open_calls = [call["id"] for call in calls]
            if not calls or len(set(open_calls)) != len(open_calls):
                yield f"{at}: no calls, or one id twice"
            for call in calls:
                if not 0 < len(call["id"]) <= 40 or not _TOOL_NAME.fullmatch(call["function"]["name"]):
                    yield f"{at}: call {call['id']!r} of {call['function']['name']!r}"
                if not isinstance(call["function"]["arguments"], str):
                    yield f"{at}: arguments that are no text"
        if not content and not (role == "assistant" and calls):
            yield f"{at}: {role} without content"
    if open_calls:
        yield f"calls {open_calls} have no result"
    if messages and messages[-1]["role"] not in ("user", "tool"):
        yield f"ends with {messages[-1]['role']}"


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


def _anthropic_refuses(payload: Json) -> Iterator[str]:
    messages = payload["messages"]
    if not isinstance(payload.get("max_tokens"), int) or payload["max_tokens"] < 1:
        yield "no max_tokens"
    if not messages or messages[0]["role"] != "user":
        yield "does not begin with a user"
    yield from _tool_names([tool["name"] for tool in payload.get("tools", ())])
    before: list[str] = []
    ever: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] not in ("user", "assistant"):
            yield f"{at}: role {message['role']}"
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            yield f"{at}: no content"
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                yield f"{at}: a text without a word"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        kinds = [block["type"] == "tool_result" for block in blocks]
        if sorted(kinds, reverse=True) != kinds:
            yield f"{at}: results stand behind something else"
        if sorted(results) != sorted(before) and (before or results):
            yield f"{at}: results {results} of the calls {before}"
        before = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for block in blocks:
            if block["type"] == "tool_use":
                if not _ANTHROPIC_ID.fullmatch(block["id"]) or block["id"] in ever:
                    yield f"{at}: the id {block['id']!r} does not fit, or stands twice"
                if not isinstance(block["input"], dict):
                    yield f"{at}: input that is no object"
                ever.add(block["id"])
    if before:
        yield f"calls {before} have no result"
    if messages and messages[-1]["role"] != "user":
        yield "ends with the assistant"
    if ever and not payload.get("tools"):
        yield "calls in the history and no tools"


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
    items = payload["input"]
    if not items:
        yield "no input"
    yield from _tool_names([tool["name"] for tool in payload.get("tools", ())])
    called: set[str] = set()
    answered: set[str] = set()
    ids = [item["id"] for item in items if item.get("id")]
    if len(set(ids)) != len(ids):
        yield "an item's id stands twice"
    for at, item in enumerate(items):
        kind = item.get("type", "message")
        following = items[at + 1] if at + 1 < len(items) else {}
        if kind == "function_call":
            if (
                item["call_id"] in called
                or not 0 < len(item["call_id"]) <= 64
                or not _TOOL_NAME.fullmatch(item["name"])
            ):
                yield f"{at}: call {item['call_id']!r} of {item['name']!r} does not fit, or stands twice"
            called.add(item["call_id"])
        elif kind == "function_call_output":
            if item["call_id"] not in called or item["call_id"] in answered:
                yield f"{at}: an output of {item['call_id']!r}, which is not open"
            answered.add(item["call_id"])
        elif kind == "reasoning":
            by_model = following.get("type") == "function_call" or following.get("role") == "assistant"
            if not by_model:
                yield f"{at}: reasoning without the item that it belongs to"
        elif kind == "message":
            if item["role"] not in ("user", "assistant", "system", "developer") or not item.get("content"):
                yield f"{at}: {item['role']} without content"
        else:
            yield f"{at}: an item of type {kind}"
        if str(item.get("id", "")).startswith(("fc_", "msg_")):
            reasoning = f"rs_{item['id'].split('_')[1]}"
            if reasoning not in ids[: ids.index(item["id"])]:
                yield f"{at}: {item['id']} without its reasoning"
    if called - answered:
        yield f"calls {called - answered} have no output"
    if items and items[-1].get("type") != "function_call_output" and items[-1].get("role") not in ("user",):
        yield f"ends with {items[-1].get('role') or items[-1]['type']}"


def _tool_names(names: list[str]) -> Iterator[str]:
    if len(set(names)) != len(names):
        yield "two tools of one name"
    for name in names:
        if not _TOOL_NAME.fullmatch(name):
            yield f"a tool called {name!r}"


CHAT = Vendor(
    "chat",
    lambda request: openai_chat.to_payload(request, model="gpt-4o"),
    _chat_body,
    openai_chat.from_response,
    lambda payload: list(_chat_refuses(payload)),
)
ANTHROPIC = Vendor(
    "anthropic",
    lambda request: anthropic.to_payload(request, model="claude-sonnet-4-5"),
    _anthropic_body,
    anthropic.from_response,
    lambda payload: list(_anthropic_refuses(payload)),
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
