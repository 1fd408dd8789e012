"""Every field that OpenAI's documents name is what they say; one of another kind is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from .test_wrong_requests import asked, places

FUNCTION: Any = {"name": "look", "description": "x", "parameters": {"type": "object"}, "strict": False}
SHARED: Any = {
    "model": "A",
    "frequency_penalty": 0.5,
    "metadata": {"a": "b"},
    "parallel_tool_calls": True,
    "presence_penalty": 0.5,
    "prompt_cache_key": "x",
    "prompt_cache_retention": "24h",
    "safety_identifier": "x",
    "service_tier": "auto",
    "store": True,
    "stream": False,
    "stream_options": {"include_obfuscation": True},
    "temperature": 0.5,
    "top_logprobs": 1,
    "top_p": 0.5,
    "user": "x",
}
CHAT: Any = {
    **SHARED,
    "messages": [
        {"role": "developer", "content": "x", "name": "n"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,aaaa", "filename": "f"}},
            ],
        },
        {
            "role": "assistant",
            "content": "x",
            "refusal": "x",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "x"},
    ],
    "audio": {"format": "wav", "voice": "x"},
    "callboard": {"conversation": "c"},
    "function_call": "auto",
    "functions": [{"name": "x"}],
    "logit_bias": {"5": 1},
    "logprobs": False,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "modalities": ["text"],
    "n": 1,
    "prediction": {"type": "content", "content": "x"},
    "reasoning_effort": "low",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "description": "x", "schema": {"type": "object"}, "strict": True},
    },
    "seed": 1,
    "stop": ["x"],
    "stream_options": {"include_usage": True, "include_obfuscation": True},
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "tools": [{"type": "function", "function": FUNCTION}],
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
RESPONSE: Any = {
    **SHARED,
    "background": False,
    "callboard": {"when_busy": "queue"},
    "context_management": [{"type": "compaction", "compact_threshold": 1_000}],
    "conversation": {"id": "conv_1"},
    "include": ["x"],
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}", "id": "x", "status": "completed"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,aaaa", "detail": "low"}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
        {"type": "reasoning", "id": "x", "summary": [], "encrypted_content": "x"},
        {
            "role": "user",
            "content": [{"type": "input_file", "file_data": "data:,aaaa", "filename": "f"}],
        },
    ],
    "instructions": "x",
    "max_output_tokens": 5,
    "max_tool_calls": 5,
    "moderation": {"model": "x"},
    "prompt_cache_options": {"mode": "x"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {
        "format": {
            "type": "json_schema",
            "name": "x",
            "description": "x",
            "schema": {"type": "object"},
            "strict": True,
        },
        "verbosity": "low",
    },
    "tool_choice": {"type": "function", "name": "look"},
    "tools": [{"type": "function", **FUNCTION}],
    "truncation": "auto",
}
"""Bodies with every field, the value being of the kind that is documented."""

OTHERS: Any = [True, 5, 1.5, "x", [], {}, [5], {"a": 5}]
KINDS: Any = {int: "number", float: "number", str: "text", bool: "flag", list: "list", dict: "object"}

ALSO: dict[str, tuple[str, ...]] = {
    "content": ("text", "list"),
    "output": ("text", "list"),
    "input": ("text",),
    "stop": ("text",),
    "image_url": ("text",),
    "voice": ("object",),
    "conversation": ("text",),
}
"""Fields that may be of another kind as well."""

REQUIRED = {
    *("response_format.json_schema.name", "text.format.name", "tool_choice.type", "tools[0].type"),
    *("tools[0].name", "tools[0].function.name", "tool_choice.function.name", "messages[1].content[1].image_url.url"),
    *("messages[2].tool_calls[0].function.arguments", "conversation.id", "input[2].output[0].image_url"),
}
"""Some that must be there: null is refused, as if they were not."""


def written(place: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    body = deepcopy(body)
    holder = body
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return body


def of_other_kinds(body: Any) -> Iterator[tuple[str, Any, Any]]:
    """A field's place, a value that it cannot have, and the body that has it."""
    for place in places(body):
        name, kind = str(place[-1]), KINDS[type(value_at(body, place))]
        inside_a_schema = "parameters" in place[:-1] or "schema" in place[:-1]
        for value in () if inside_a_schema else OTHERS:
            if KINDS[type(value)] not in (kind, *ALSO.get(name, ())):
                yield written(place), value, replaced(body, place, value)


def value_at(body: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        body = body[step]
    return body


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSE)])
async def test_a_field_of_another_kind_than_documented_is_refused_by_name(path: str, body: Any) -> None:
    without = {**body, "conversation": None} if "conversation" in body else body
    assert [one.status_code for one in await asked(("POST", path, without))] == [200]
    wrong = list(of_other_kinds(body))
    for (where, value, _), found in zip(wrong, await asked(*(("POST", path, one) for *_, one in wrong)), strict=True):
        assert found.status_code == 400, f"{where} was taken as {value!r}: {found.status_code}"
        assert found.json()["error"]["param"].startswith(where), f"{where} as {value!r}: {found.text}"


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSE)])
async def test_null_is_refused_where_a_field_must_be(path: str, body: Any) -> None:
    must = {written(place): replaced(body, place, None) for place in places(body) if written(place) in REQUIRED}
    assert len(must) > 4
    for where, found in zip(must, await asked(*(("POST", path, one) for one in must.values())), strict=True):
        assert (found.status_code, found.json()["error"]["param"]) == (400, where), found.text


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "naïve"])
async def test_the_name_of_a_form_is_a_name(name: str) -> None:
    form = {"name": name, "schema": {"type": "object"}}
    chat = {**CHAT, "response_format": {"type": "json_schema", "json_schema": form}}
    response = {**RESPONSE, "conversation": None, "text": {"format": {"type": "json_schema", **form}}}
    answers = await asked(("POST", "/v1/chat/completions", chat), ("POST", "/v1/responses", response))
    params = [(found.status_code, found.json()["error"]["param"]) for found in answers]
    assert params == [(400, "response_format.json_schema.name"), (400, "text.format.name")]
