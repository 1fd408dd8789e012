"""Settings that a model or its vendor refuses are made to fit or left out, and the notes say so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from callboard.providers.messages import Message, Request, Text, ToolCall, ToolSpec
from callboard.providers.wire import anthropic
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
