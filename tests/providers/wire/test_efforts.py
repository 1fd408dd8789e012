"""Each model is asked to think in words and numbers that it takes, as the vendors document them."""

from __future__ import annotations

from typing import Any

import pytest

from callboard.providers.messages import Message, Request
from callboard.providers.wire import anthropic, gemini, openai_chat, openai_responses

Json = dict[str, Any]


def asked(module: Any, model: str, **more: Any) -> tuple[Json, list[str]]:
    """The payload, and what was noted."""
    notes: list[str] = []
    return module.to_payload(Request((Message("user", "x"),), **more), model=model, notes=notes), notes


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("gpt-4o", ""),
        ("gpt-4.1-mini", ""),
        ("gpt-3.5-turbo", ""),
        ("ft:gpt-4o-2024-08-06:org::id", ""),
        ("gpt-5-chat-latest", ""),
        ("gpt-5.2-chat-latest", ""),
        ("o1-mini", ""),
        ("o1", "low medium high"),
        ("o3", "low medium high"),
        ("o4-mini", "low medium high"),
        ("gpt-5", "minimal low medium high"),
        ("gpt-5-mini-2025-08-07", "minimal low medium high"),
        ("gpt-5-codex", "low medium high"),
        ("gpt-5-pro", "high"),
        ("gpt-5.1", "none low medium high"),
        ("gpt-5.1-codex", "low medium high"),
        ("gpt-5.1-codex-max", "low medium high xhigh"),
        ("gpt-5.2-pro", "medium high xhigh"),
        ("gpt-5.4", "none low medium high xhigh"),
        ("gpt-5.4-mini", "none low medium high xhigh"),
        ("our-deployment", "none minimal low medium high xhigh"),
        ("deepseek-chat", "none minimal low medium high xhigh"),
        ("gemini-2.0-flash", ""),
        ("gemini-2.5-pro", "minimal low medium high"),
        ("gemini-2.5-flash", "none minimal low medium high"),
    ],
)
def test_an_effort_that_a_model_takes_is_sent_and_any_other_is_made_the_nearest_with_a_note(
    model: str, takes: str
) -> None:
    taken = takes.split()
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh"):
        payload, notes = asked(openai_chat, model, reasoning_effort=effort)
        other, again = asked(openai_responses, model, reasoning_effort=effort)
        sent = payload.get("reasoning_effort")
        assert other.get("reasoning", {}).get("effort") == sent
        assert again == notes
        if effort in taken:
            assert (sent, notes) == (effort, [])
        elif taken:
            assert sent in (taken[0], taken[-1]) or effort in ("none", "minimal")
            assert notes == [f"the model takes no reasoning effort {effort}: {sent} was sent"]
        else:
            assert sent is None
            assert len(notes) == (effort != "none"), "a model that does not reason does what is asked"


@pytest.mark.parametrize(
    ("model", "effort", "level"),
    [
        ("gemini-3-pro-preview", "none", "low"),
        ("gemini-3-pro-preview", "high", "high"),
        ("gemini-3-pro-preview", "xhigh", "high"),
        ("gemini-3.1-pro-preview", "medium", "medium"),
        ("gemini-3.1-pro-preview", "minimal", "low"),
        ("gemini-3-flash-preview", "none", "minimal"),
        ("gemini-3.5-flash", "minimal", "minimal"),
        ("models/gemini-3.1-flash-lite", "low", "low"),
    ],
)
def test_googles_third_generation_is_told_a_level(model: str, effort: str, level: str) -> None:
    payload, notes = asked(gemini, model, reasoning_effort=effort)
    assert payload["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level
    assert len(notes) == (effort != level)


@pytest.mark.parametrize(
    ("model", "wanted", "max_tokens", "sent"),
    [
        ("gemini-2.5-pro", 5000, None, 5000),
        ("gemini-2.5-pro", 50_000, None, 32_768),
        ("gemini-2.5-pro", 0, None, 128),
        ("gemini-2.5-pro", 5000, 1000, 999),
        ("gemini-2.5-pro", 5000, 100, 128),
        ("gemini-2.5-flash", 0, 1000, 0),
        ("gemini-2.5-flash", 50_000, None, 24_576),
        ("gemini-2.5-flash", 500, 400, 399),
        ("gemini-2.5-flash-lite", 100, None, 512),
        ("gemini-2.5-flash-lite", 600, 300, 0),
        ("gemini-2.5-flash", -1, 300, -1),
    ],
)
def test_a_number_of_tokens_is_one_that_the_model_takes_and_less_than_its_whole_answer(
    model: str, wanted: int, max_tokens: int | None, sent: int
) -> None:
    payload, notes = asked(gemini, model, thinking_tokens=wanted, max_tokens=max_tokens)
    assert payload["generationConfig"]["thinkingConfig"]["thinkingBudget"] == sent
    assert len(notes) == (sent != wanted)


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemini-2.5-flash-image", "gemma-3-27b-it"])
def test_a_model_of_google_that_does_not_think_is_told_nothing(model: str) -> None:
    for more in ({"reasoning_effort": "high"}, {"thinking_tokens": 500}):
        payload, notes = asked(gemini, model, **more)
        assert "generationConfig" not in payload
        assert len(notes) == 1
    assert asked(gemini, model, reasoning_effort="none")[1] == []


def test_a_word_that_claude_has_another_for_is_noted() -> None:
    payload, notes = asked(anthropic, "claude-opus-4-6", reasoning_effort="xhigh")
    assert payload["output_config"]["effort"] == "max"
    assert notes == ["the model takes no reasoning effort xhigh: max was sent"]


def test_a_budget_that_claude_gets_less_of_is_noted() -> None:
    payload, notes = asked(anthropic, "claude-sonnet-4-5", thinking_tokens=5000, max_tokens=2000)
    assert payload["thinking"]["budget_tokens"] == 1999
    assert len(notes) == 1
