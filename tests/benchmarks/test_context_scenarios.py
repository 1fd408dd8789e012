"""The scenarios of ``benchmarks memory`` about context measure what they say. Nothing is timed."""

from __future__ import annotations

import pytest
from benchmarks.subjects import context_steps

from callboard import ContextView
from callboard.actors.agents.turns.history import problems


def test_the_conversation_is_one_that_vendors_take_and_has_2_000_messages() -> None:
    messages = context_steps.messages(0, context_steps.MESSAGES)
    assert len(messages) == 2_000
    assert problems(messages) == []
    assert ContextView.of(messages).total < context_steps.LIMIT


@pytest.mark.parametrize("scenario", [name for name in context_steps.SCENARIOS if name.startswith(("step", "paid"))])
def test_each_scenario_has_its_samples(scenario: str) -> None:
    samples = context_steps.SCENARIOS[scenario](30)
    assert all(sample.value >= 0 for sample in samples)
    assert {sample.unit for sample in samples} <= {"µs", "tokens", "%"}


def test_a_strategy_leaves_something_out_in_the_steps_that_are_measured() -> None:
    strategy = context_steps.STRATEGIES["window"]
    view = ContextView.of(context_steps.messages(0, context_steps.MESSAGES + 400))
    assert strategy.apply(view).shown < 2_000
