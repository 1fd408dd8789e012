"""What vendors refuse in a request, by their documents: the rules of chat completions, messages and responses.

The rules are written from the vendors' pages, not from our mapping: what each of the three may hold, in which order,
and what it has to end with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from ....providers.messages import Request
from ....providers.wire import anthropic, openai_chat, openai_responses

Json: TypeAlias = "dict[str, Any]"
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")


def refusals(request: Request) -> list[str]:
    """What any of the vendors would refuse in a request, in words; empty where each would take it."""
    return [
        *(f"chat: {what}" for what in chat_refuses(openai_chat.to_payload(request, model="gpt-4o"))),
        *(f"anthropic: {what}" for what in anthropic_refuses(anthropic.to_payload(request, model="claude-sonnet-4-5"))),
        *(f"responses: {what}" for what in responses_refuses(openai_responses.to_payload(request, model="gpt-5"))),
    ]


def chat_refuses(payload: Json) -> Iterator[str]:
    """What chat completions would refuse in a payload, in words."""
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


def anthropic_refuses(payload: Json) -> Iterator[str]:
    """What Anthropic's messages would refuse in a payload, in words."""
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


def responses_refuses(payload: Json) -> Iterator[str]:
    """What responses would refuse in a payload, in words."""
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
