"""Whatever a conversation is like and whatever of it is left out: every vendor takes what is shown."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import ContextStrategy
from callboard.actors.agents.memory.context.size import ContextSize
from callboard.actors.agents.turns.history import problems
from callboard.actors.agents.turns.shape import shown
from tests.agents.vendors import VENDORS, refusals

from .histories import Asked, Fold, conversations, leaving_whole, request_of, strategies

WINDOWS = st.sampled_from((None, 2_000, 20_000))


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_all_three_vendors_take_what_a_strategy_leaves(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    for asked in steps:
        messages, _ = fold.step(asked)
        assert refusals(request_of(messages)) == []
        assert problems([message for message in messages if message.role != "system"]) == []


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_a_call_and_its_results_are_shown_together_or_not_at_all(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    for asked in steps:
        messages, _ = fold.step(asked)
        called = {call.id for message in messages for call in message.tool_calls}
        answered = {message.tool_call_id for message in messages if message.role == "tool"}
        assert called == answered
        whole = [message for message in messages if message.tool_calls]
        assert all(message in asked.history for message in whole)  # with its reasoning and what its vendor wants back


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_an_answer_in_which_a_vendor_paused_is_shown_in_all_its_parts_or_not_at_all(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    for asked in steps:
        fold.step(asked)
        hidden = {position for start, end in fold.shape.left_out for position in range(start, end)}
        for at, (one, other) in enumerate(pairwise(asked.history)):
            if one.role == other.role == "assistant":
                assert (at in hidden) == (at + 1 in hidden)


@settings(max_examples=150)
@given(conversations(), leaving_whole, WINDOWS)
def test_system_messages_what_the_run_was_asked_and_the_last_results_are_always_shown(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    for asked in steps:
        messages, _ = fold.step(asked)
        assert [one for one in asked.history if one.role == "system"] == [
            one for one in messages if one.role == "system"
        ]
        question = next(one for one in asked.history[asked.start :] if one.role == "user")
        assert question in messages
        assert messages[-1] == asked.history[-1]


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_as_long_as_nothing_more_is_left_out_each_request_begins_with_the_one_before_byte_by_byte(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    before: dict[str, str] = {}
    changes = 0
    for asked in steps:
        messages, _ = fold.step(asked)
        for vendor in VENDORS:
            payload = vendor.payload(request_of(messages))
            written = json.dumps(
                [payload.get("system"), payload.get("tools"), payload.get("messages", payload.get("input"))]
            )
            unfinished = before.get(vendor.name, "").rstrip("]}")
            assert fold.changes > changes or written.startswith(unfinished)
            before[vendor.name] = written
        changes = fold.changes


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_keeping_count_message_by_message_comes_to_the_same_as_counting_anew(
    steps: list[Asked], strategy: ContextStrategy, window: int | None
) -> None:
    fold = Fold(strategy, window)
    for asked in steps:
        messages, _ = fold.step(asked)
        anew = ContextSize()
        assert anew.follow(asked.history, fold.shape) == messages == shown(asked.history, fold.shape)
        assert anew.total == fold.size.total


@settings(max_examples=150)
@given(conversations(), strategies, WINDOWS)
def test_what_was_left_out_stays_left_out(steps: list[Asked], strategy: ContextStrategy, window: int | None) -> None:
    fold = Fold(strategy, window)
    hidden: set[int] = set()
    for asked in steps:
        fold.step(asked)
        now = {position for start, end in fold.shape.left_out for position in range(start, end)}
        assert hidden <= now
        hidden = now
