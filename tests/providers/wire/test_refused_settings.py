"""Settings that a model or its vendor refuses are made to fit or left out, and the notes say so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from callboard.providers.messages import Message, Request, Text, ToolCall, ToolSpec
from callboard.providers.registry.presets import PRESETS
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses
from tests.providers.wire.test_fitting import noted

Json = dict[str, Any]
ASK = Request((Message("user", "x"),))
TOOL = ToolSpec("look", "", {"type": "object", "properties": {}})
CALLED = (
    Message("user", "x"),
    Message("assistant", "", (ToolCall("c", "look", "{}"),)),
    Message("tool", "r", tool_call_id="c", name="look"),
)


# -- claude ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "both"),
    [
        ("claude-3-5-sonnet-20241022", True),
        ("claude-3-7-sonnet-20250219", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1", False),
        ("claude-sonnet-4-5", False),
        ("claude-haiku-4-5-20251001", False),
        ("eu.anthropic.claude-opus-4-6-v1:0", False),
    ],
)
def test_a_temperature_goes_without_top_p_where_the_model_takes_one_of_them(model: str, both: bool) -> None:
    payload, notes = noted(anthropic, replace(ASK, temperature=0.5, top_p=0.9), model)
    assert payload["temperature"] == 0.5
    assert ("top_p" in payload, len(notes)) == (both, not both)
    payload, notes = noted(anthropic, replace(ASK, top_p=0.9), model)
    assert (payload["top_p"], notes) == (0.9, [])


def test_a_temperature_above_the_highest_of_claude_is_the_highest() -> None:
    payload, notes = noted(anthropic, replace(ASK, temperature=1.5), "claude-sonnet-4-5")
    assert payload["temperature"] == 1.0
    assert len(notes) == 1
    assert noted(anthropic, replace(ASK, temperature=1.0), "claude-sonnet-4-5")[1] == []


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-7", "claude-sonnet-4-5"])
@pytest.mark.parametrize("choice", ["required", "look"])
def test_no_claude_thinks_with_a_tool_that_must_be_called(model: str, choice: str) -> None:
    request = replace(ASK, tools=(TOOL,), tool_choice=choice, reasoning_effort="high")
    payload, notes = noted(anthropic, request, model)
    assert "thinking" not in payload
    assert len(notes) == 1
    assert noted(anthropic, replace(request, tool_choice="auto"), model)[0]["thinking"]


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-opus-4-5", 64_000),
        ("claude-3-7-sonnet-20250219", 64_000),
    ],
)
@pytest.mark.parametrize(
    "wish",
    [
        {"reasoning_effort": "xhigh"},
        {"thinking_tokens": 30_000},
        {"thinking_tokens": 31_500},
        {"thinking_tokens": 10**6},
    ],
)
def test_what_is_thought_and_answered_is_together_no_more_than_the_model_gives(
    model: str, most: int, wish: Json
) -> None:
    payload, notes = noted(anthropic, replace(ASK, **wish), model)
    budget, tokens = payload["thinking"]["budget_tokens"], payload["max_tokens"]
    assert budget + 1000 < tokens <= most
    asked = wish.get("thinking_tokens")
    assert asked is None or len(notes) == (budget != asked)
    assert asked != 30_000 or budget == 30_000


def test_the_highest_effort_is_one_that_the_model_takes() -> None:
    for model, word in (("claude-opus-4-5", "high"), ("claude-opus-4-6", "max"), ("claude-opus-4-7", "xhigh")):
        payload, notes = noted(anthropic, replace(ASK, reasoning_effort="xhigh"), model)
        assert payload["output_config"] == {"effort": word}
        assert len(notes) == (word != "xhigh")


def test_a_model_that_always_thinks_is_not_told_not_to() -> None:
    payload, notes = noted(anthropic, replace(ASK, reasoning_effort="none"), "claude-fable-5")
    assert "thinking" not in payload
    assert len(notes) == 1
    payload, notes = noted(anthropic, replace(ASK, reasoning_effort="none"), "claude-opus-4-8")
    assert (payload["thinking"], notes) == ({"type": "disabled"}, [])


def test_while_it_thinks_claude_does_not_go_on_where_the_assistant_stopped() -> None:
    request = replace(ASK, messages=(*ASK.messages, Message("assistant", "Well")), reasoning_effort="high")
    payload, notes = noted(anthropic, request, "claude-sonnet-4-5")
    assert payload["thinking"]["type"] == "enabled"
    assert payload["messages"][-1] == {"role": "user", "content": [{"type": "text", "text": "Go on."}]}
    assert len(notes) == 1
    payload, notes = noted(anthropic, replace(request, max_tokens=500), "claude-sonnet-4-5")
    assert payload["messages"][-1]["role"] == "assistant", "with so few tokens it does not think"


def test_calls_that_another_model_made_without_thinking_are_answered_without_it() -> None:
    request = Request(CALLED, tools=(TOOL,), reasoning_effort="medium")
    payload, notes = noted(anthropic, request, "claude-sonnet-4-5")
    assert "thinking" not in payload
    assert payload["max_tokens"] == 8192
    assert len(notes) == 1
    payload, notes = noted(anthropic, request, "claude-opus-4-6")
    assert (payload["thinking"], notes) == ({"type": "adaptive"}, []), "which takes histories of others"
    later = replace(request, messages=(*CALLED, Message("assistant", "so"), Message("user", "and?")))
    payload, notes = noted(anthropic, later, "claude-sonnet-4-5")
    assert (payload["thinking"]["type"], notes) == ("enabled", [])


def test_calls_that_claude_thought_about_are_answered_thinking() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "c", "name": "look", "input": {}},
    ]
    answer = anthropic.from_response({"content": content, "stop_reason": "tool_use"}).message
    request = Request((CALLED[0], answer, CALLED[2]), tools=(TOOL,), reasoning_effort="medium")
    payload, notes = noted(anthropic, request, "claude-sonnet-4-5")
    assert (payload["thinking"]["type"], notes) == ("enabled", [])


def test_stop_sequences_of_blanks_alone_are_left_out() -> None:
    payload, notes = noted(anthropic, replace(ASK, stop=("\n\n", "END")), "claude-sonnet-4-5")
    assert payload["stop_sequences"] == ["END"]
    assert len(notes) == 1
    assert "stop_sequences" not in noted(anthropic, replace(ASK, stop=(" ",)), "claude-sonnet-4-5")[0]


def test_of_more_cache_marks_than_anthropic_takes_the_first_and_the_last_are_sent() -> None:
    turns = [message for n in range(6) for message in (Message("user", f"q{n}", cache=True), Message("assistant", "a"))]
    shown = Message("tool", (Text("seen", cache=True),), tool_call_id="c", cache=True)
    server = {"type": "web_search_20250305", "name": "web_search", "cache_control": {"type": "ephemeral"}}
    request = Request((*turns, *CALLED[:2], shown), tools=(TOOL,), extra={"tools": [server]})
    payload, notes = noted(anthropic, request)
    assert json.dumps(payload).count("cache_control") == 4
    assert "cache_control" in payload["tools"][1], "the first, which is shared most"
    result = payload["messages"][-1]["content"][0]
    assert "cache_control" in result
    assert "cache_control" in result["content"][0]
    assert len(notes) == 1
    assert "cache_control" in server, "what was asked is left as it is"
    automatic = replace(request, extra={"cache_control": {"type": "ephemeral"}})
    assert json.dumps(noted(anthropic, automatic)[0]).count("cache_control") == 4


def test_of_more_cache_marks_than_four_openrouter_gets_the_first_and_the_last() -> None:
    messages = (Message("system", "s", cache=True), *(Message("user", f"q{n}", cache=True) for n in range(5)))
    request = Request(messages, tools=(replace(TOOL, cache="1h"),))
    payload, notes = noted(openai_chat, request, dialect=PRESETS["openrouter"].dialect)
    assert json.dumps(payload).count("cache_control") == 4
    assert "cache_control" in payload["tools"][0]
    assert "cache_control" in payload["messages"][-1]["content"][0]
    assert len(notes) == 1


# -- openai ------------------------------------------------------------------------------------------------------------

SAMPLED = replace(ASK, temperature=0.2, top_p=0.5, frequency_penalty=0.1, stop=("x",), seed=1)
REFUSED = ("temperature", "top_p", "frequency_penalty", "stop")


@pytest.mark.parametrize(
    ("model", "effort", "taken"),
    [
        ("o3", None, False),
        ("o4-mini", "low", False),
        ("gpt-5", None, False),
        ("openai/gpt-5-mini", None, False),
        ("gpt-5.4", None, True),
        ("gpt-5.4", "none", True),
        ("gpt-5.4", "low", False),
        ("gpt-5.2-codex", None, False),
        ("gpt-5-chat-latest", None, True),
        ("gpt-4o", None, True),
        ("gpt-oss-120b", "low", True),
        ("some-model", "low", True),
    ],
)
def test_models_of_openai_get_no_sampling_while_they_reason(model: str, effort: str | None, taken: bool) -> None:
    request = replace(SAMPLED, reasoning_effort=effort)
    payload, notes = noted(openai_chat, request, model)
    assert [name in payload for name in REFUSED] == [taken] * len(REFUSED)
    assert payload["seed"] == 1
    assert any(all(name in note for name in REFUSED) for note in notes) == (not taken)
    payload, notes = noted(openai_responses, request, model)
    assert ("temperature" in payload, "top_p" in payload) == (taken, taken)
    assert any("top_p" in note for note in notes) == (not taken)


def test_sampling_that_says_what_is_usual_is_left_out_without_a_word() -> None:
    payload, notes = noted(openai_chat, replace(ASK, temperature=1.0, top_p=1.0), "gpt-5")
    assert ("temperature" in payload, "top_p" in payload, notes) == (False, False, [])


@pytest.mark.parametrize("model", ["o3-mini", "openai/o3-mini", "ft:o4-mini-2025-04-16:acme::1"])
def test_models_that_refuse_to_be_told_of_parallel_calls_are_not(model: str) -> None:
    request = replace(ASK, tools=(TOOL,), parallel_tool_calls=False)
    payload, notes = noted(openai_chat, request, model)
    assert "parallel_tool_calls" not in payload
    assert len(notes) == 1
    assert noted(openai_chat, request, "gpt-5.4")[0]["parallel_tool_calls"] is False


STOPS = replace(ASK, stop=tuple("abcdef"))


@pytest.mark.parametrize(
    ("vendor", "most"), [("openai", 4), ("azure", 4), ("groq", 4), ("google", 5), ("mistral", 6), ("vllm", 6)]
)
def test_no_vendor_gets_more_stop_sequences_than_it_takes(vendor: str, most: int) -> None:
    payload, notes = noted(openai_chat, STOPS, dialect=PRESETS[vendor].dialect)
    assert payload["stop"] == list("abcdef"[:most])
    assert len(notes) == (most < 6)


def test_gemini_gets_five_stop_sequences() -> None:
    payload, notes = noted(gemini, STOPS)
    assert payload["generationConfig"]["stopSequences"] == list("abcde")
    assert len(notes) == 1


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"title": "nothing"}])
def test_the_arguments_of_a_tool_without_any_are_an_object(parameters: Json) -> None:
    request = replace(ASK, tools=(ToolSpec("now", "", parameters),))
    chat = noted(openai_chat, request)[0]["tools"][0]["function"]["parameters"]
    responses = noted(openai_responses, request)[0]["tools"][0]["parameters"]
    assert chat == responses == {"type": "object", "properties": {}, **parameters}
    assert noted(anthropic, request)[0]["tools"][0]["input_schema"]["type"] == "object"
    google = noted(gemini, request)[0]["tools"][0]["functionDeclarations"][0]
    assert google.get("parametersJsonSchema", "none") == (parameters or "none")


def test_what_the_responses_api_has_no_place_for_is_noted() -> None:
    payload, notes = noted(openai_responses, replace(ASK, seed=1, stop=("x",), presence_penalty=0.5, top_k=3), "gpt-4o")
    assert payload.keys() == {"model", "input", "store", "include"}
    assert notes == ["the responses API has no place for seed, stop, presence_penalty, top_k: left out"]


# -- gemini ------------------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize("tools", [{"tools": (TOOL,)}, {"extra": {"tools": [{"googleSearch": {}}]}}])
def test_gemini_before_the_third_generation_hears_the_schema_of_its_answer_in_words_beside_tools(tools: Json) -> None:
    request = replace(ASK, response_schema=SCHEMA, **tools)
    payload, notes = noted(gemini, request, "gemini-2.5-flash")
    assert "generationConfig" not in payload
    assert json.dumps(SCHEMA) in payload["systemInstruction"]["parts"][0]["text"]
    assert len(notes) == 1
    chat, notes = noted(openai_chat, request, "gemini-2.5-flash", dialect=PRESETS["google"].dialect)
    assert "response_format" not in chat
    assert json.dumps(SCHEMA) in chat["messages"][0]["content"]
    assert len(notes) == 1


@pytest.mark.parametrize(("model", "tools"), [("gemini-3-pro", (TOOL,)), ("gemini-2.5-flash", ())])
def test_the_schema_is_enforced_where_it_can_be(model: str, tools: tuple[ToolSpec, ...]) -> None:
    request = replace(ASK, response_schema=SCHEMA, tools=tools)
    payload, notes = noted(gemini, request, model)
    assert payload["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert notes == []
    assert noted(openai_chat, request, model)[0]["response_format"]["json_schema"]["schema"] == SCHEMA
