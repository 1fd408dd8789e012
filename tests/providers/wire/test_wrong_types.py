"""Whatever stands in a body where something else should: a completion or a named error comes of it, never another."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.providers.errors import MalformedResponse, ProviderError
from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses
from tests.providers.wire.histories import json_values, requests

anything = json_values | st.floats() | st.sampled_from([-1, 1.5, 10**400, {"type": "text"}, [[]], [None], {"error": 1}])

CHAT: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": {"content": [{"token": "a"}]},
            "message": {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "so"},
                    {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
                ],
                "refusal": "no",
                "reasoning_content": "hm",
                "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}],
                "images": [{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}],
                "audio": {"id": "a", "data": "UklG", "transcript": "t"},
                "annotations": [{"type": "url_citation"}],
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {}}
                ],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
ANTHROPIC: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "type": "message",
    "stop_reason": "tool_use",
    "container": {"id": "c"},
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "so", "citations": [{"type": "x"}]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
    ],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "output_tokens_details": {"thinking_tokens": 1},
    },
}
RESPONSES: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}], "content": []},
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "so", "annotations": [{}]},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "image_generation_call", "result": "aGk=", "output_format": "png"},
    ],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
GEMINI: dict[str, Any] = {
    "responseId": "x",
    "modelVersion": "m",
    "candidates": [
        {
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thoughtSignature": "s"},
                    {"text": "so"},
                    {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}},
                ],
            },
        }
    ],
    "promptFeedback": {"blockReason": ""},
    "usageMetadata": {
        "promptTokenCount": 1,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 1,
        "cachedContentTokenCount": 0,
    },
}
WHOLE = [(anthropic, ANTHROPIC), (openai_chat, CHAT), (openai_responses, RESPONSES), (gemini, GEMINI)]
NAMES = ["anthropic", "chat", "responses", "gemini"]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all nodes within a value, and to itself."""
    yield at
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*at, key))


def changed(value: Any, data: st.DataObject) -> Any:
    """`value` with one node replaced by anything."""
    value = copy.deepcopy(value)
    way = data.draw(st.sampled_from(list(places(value))))
    other = data.draw(anything)
    if not way:
        return other
    node = value
    for key in way[:-1]:
        node = node[key]
    node[way[-1]] = other
    return value


@pytest.mark.parametrize(("module", "body"), WHOLE, ids=NAMES)
@settings(max_examples=80)
@given(data=st.data())
def test_a_wrong_field_of_an_answer_makes_a_completion_or_a_named_error(
    module: Any, body: Any, data: st.DataObject
) -> None:
    assert isinstance(module.from_response(body), Completion), "it is right as it stands"
    try:
        made = module.from_response(changed(body, data))
    except ProviderError:
        return
    module.to_payload(Request((Message("user", "x"), made.message)), model="m")  # and it goes back


COMPLETION = Completion(
    Message("assistant", "so it is", (ToolCall("c", "f", '{"a": 1}'),), reasoning="hm"),
    "tool_calls",
    Usage(1, 2),
    "m",
)


@pytest.mark.parametrize("module", [module for module, _ in WHOLE], ids=NAMES)
@settings(max_examples=80)
@given(data=st.data())
def test_a_wrong_field_of_a_chunk_makes_a_completion_or_a_named_error(module: Any, data: st.DataObject) -> None:
    completion = module.from_response(next(body for known, body in WHOLE if known is module))
    made = data.draw(st.sampled_from([completion, COMPLETION]))
    events = list(module.to_events(made, id="x", size=4))
    at = data.draw(st.integers(0, len(events) - 1))
    events[at] = changed(events[at], data)
    assembler = module.Assembler()
    try:
        for event in events:
            assembler.feed(event)
        assembler.completion()
    except ProviderError:
        pass


MORE: dict[Any, dict[str, Any]] = {
    anthropic: {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "tools": [{"name": "f", "input_schema": {}, "strict": True, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "metadata": {"user_id": "u"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                    {"type": "document", "title": "t", "source": {"type": "text", "data": "x"}},
                    {"type": "document", "source": {"type": "url", "url": "https://x.org"}},
                ],
            },
            {"role": "assistant", "content": ANTHROPIC["content"]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "is_error": True}],
            },
        ],
    },
    openai_chat: {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,", "filename": "f"}},
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                ],
            },
            CHAT["choices"][0]["message"],
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
    },
    openai_responses: {
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
        "instructions": "s",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_file", "file_data": "data:application/pdf;base64,", "filename": "f"},
                    {"type": "input_image", "image_url": "https://x.org/a.png", "detail": "low"},
                ],
            },
            *RESPONSES["output"],
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "r"}]},
        ],
    },
}


MORE[gemini] = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "thinkingConfig": {"thinkingBudget": 1024},
        "stopSequences": ["x"],
        "responseJsonSchema": {"type": "object"},
    },
    "contents": [
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        GEMINI["candidates"][0]["content"],
        {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"output": "r"}}}]},
    ],
}


@pytest.mark.parametrize("module", [module for module, _ in WHOLE], ids=NAMES)
@settings(max_examples=80)
@given(data=st.data())
def test_a_wrong_field_of_a_request_makes_a_request_or_a_plain_error(module: Any, data: st.DataObject) -> None:
    request = data.draw(requests(openai=module is not anthropic))
    payload = data.draw(
        st.sampled_from([module.to_payload(request, model="m"), {"model": "m", "max_tokens": 5, **MORE[module]}])
    )
    module.from_payload(payload)  # right as it stands
    problem = "expected"
    try:
        module.from_payload(changed(payload, data))
    except ValueError as error:
        problem = str(error)
    assert "expected" in problem


def test_a_wrong_type_is_named_with_its_place_and_without_what_stood_there() -> None:
    body = {**ANTHROPIC, "content": [{"type": "text", "text": {"secret": "prompt"}}]}
    with pytest.raises(MalformedResponse, match=r"content\[0\]\.text: expected text, not an object") as caught:
        anthropic.from_response(body)
    assert "prompt" not in str(caught.value)


@pytest.mark.parametrize(("tokens", "read"), [(2.0, 2), (1.5, None), (-1, None), (True, None), ("2", None)])
def test_a_count_is_a_whole_number_however_it_is_written(tokens: Any, read: int | None) -> None:
    body = {**ANTHROPIC, "usage": {"input_tokens": tokens}}
    if read is None:
        with pytest.raises(MalformedResponse, match=r"usage\.input_tokens: expected a whole number"):
            anthropic.from_response(body)
    else:
        assert anthropic.from_response(body).usage.input_tokens == read


@pytest.mark.parametrize("tokens", [10**12 + 1, 10**30, 10**400, 1e300])
@pytest.mark.parametrize(
    ("module", "body", "usage", "count"),
    [
        (openai_chat, CHAT, "usage", "prompt_tokens"),
        (anthropic, ANTHROPIC, "usage", "output_tokens"),
        (openai_responses, RESPONSES, "usage", "input_tokens"),
        (gemini, GEMINI, "usageMetadata", "candidatesTokenCount"),
    ],
)
def test_a_count_above_every_vendors_is_malformed(
    module: Any, body: dict[str, Any], usage: str, count: str, tokens: float
) -> None:
    with pytest.raises(MalformedResponse, match=rf"{usage}\.{count}: expected a count of tokens"):
        module.from_response({**body, usage: {count: tokens}})


def test_a_code_of_thousands_of_digits_is_no_status() -> None:
    with pytest.raises(ProviderError):
        openai_chat.from_response({"error": {"message": "no", "code": "1" * 5000}})
