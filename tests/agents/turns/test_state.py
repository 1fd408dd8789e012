"""The state of a conversation, folded from its journal: what waits, what has begun, what is kept, and in what order."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Answer, Limits, Message, ToolCall, Usage
from callboard.actors.agents.errors import GuardrailTripped, RunCancelled, StepLimit
from callboard.actors.agents.turns.history import problems
from callboard.actors.agents.turns.outcome import Outcome, finished, unanswered
from callboard.actors.agents.turns.records import (
    Accepted,
    ApprovalAsked,
    Ended,
    Resumed,
    Rewound,
    Snapshot,
    ToolsStarted,
)
from callboard.actors.agents.turns.state import ConversationState, fold
from callboard.actors.agents.turns.steps import (
    Begin,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    HandoffReturned,
    Interrupted,
    Steered,
    ToolReturned,
)
from callboard.providers.messages import ToolSpec

from .support import AGENT, CONVERSATION, request, said

HELLO = Begin((Message("user", "go"),))
SAID: tuple[Message, ...] = HELLO.messages or ()
CALL = ToolCall("k", "work", "{}")


def ended(name: str, **options: Any) -> Ended:
    return Ended(name, Answer("done", AGENT, CONVERSATION, name), **options)


def folded(*events: Any) -> ConversationState:
    return fold(AGENT, CONVERSATION, events)


def accepted(name: str, **options: Any) -> Accepted:
    return Accepted(request(name, **options))


def test_runs_wait_in_the_order_in_which_they_were_accepted_and_each_once() -> None:
    state = folded(accepted("1"), accepted("2"), accepted("1"))
    assert [waiting.id for waiting in state.queue] == ["1", "2"]
    assert not state.begun


def test_a_run_that_ended_last_is_known_and_not_taken_up_again() -> None:
    state = folded(accepted("1"), HELLO, said("done"), ended("1"), accepted("1"))
    assert state.knows("1")
    assert state.queue == []


def test_only_the_last_outcome_and_those_with_a_key_are_remembered() -> None:
    one = (accepted("1", keyed=True), HELLO, said("first"), Ended("1"))
    state = folded(*one, accepted("2"), HELLO, said("second"), Ended("2"), accepted("3"), HELLO, said("x"), Ended("3"))
    assert [state.knows(run) for run in ("1", "2", "3", "4")] == [True, False, True, False]
    first, third = state.outcome_of("1"), state.outcome_of("3")
    assert first is not None
    assert (first.answer.text, first.answer.messages) == ("first", ())
    assert third is not None
    assert third is state.last
    assert third.answer.messages == state.turn.history


def test_calls_that_were_started_may_have_had_effects_until_the_step_is_over() -> None:
    events = (accepted("1"), HELLO, said("", CALL), ToolsStarted(("k",)))
    state = folded(*events)
    assert state.begun
    assert state.started == {"k"}
    assert folded(*events, ToolReturned("k", "out")).started == frozenset()


def test_what_a_person_was_asked_is_known_until_it_is_decided_or_the_step_is_over() -> None:
    other = ToolCall("l", "work", "{}")
    asked = ApprovalAsked("k", "secret", 60.0)
    events = (accepted("1"), HELLO, said("", CALL, other), asked, ApprovalAsked("l", "other"))
    assert folded(*events).approvals == {"k": asked, "l": ApprovalAsked("l", "other")}
    assert folded(*events, Decided("l", True)).approvals == {"k": asked}
    assert folded(*events, Decided("l", True), Decided("k", False)).approvals is None
    assert folded(*events, Interrupted(RunCancelled("stop"))).approvals is None


def test_an_outcome_takes_the_run_off_the_queue_and_forgets_the_calls_it_had_started() -> None:
    state = folded(accepted("1"), accepted("2"), HELLO, said("", CALL), ToolsStarted(("k",)), ended("1"))
    assert [waiting.id for waiting in state.queue] == ["2"]
    assert (state.begun, state.started) == (False, frozenset())


def test_a_run_ended_by_others_in_the_middle_of_a_step_leaves_a_valid_history() -> None:
    said_to_it = Steered((Message("user", "also this"),))
    state = folded(accepted("1"), HELLO, said("", CALL), said_to_it, ended("1"))
    assert state.turn.phase == "ended"
    assert problems(state.turn.history) == []
    assert state.turn.history[-1].text == "also this"
    assert state.last is not None
    assert state.last.answer.messages == state.turn.history


def test_a_run_cancelled_before_its_time_leaves_the_one_under_way_alone() -> None:
    cancelled = unanswered(request("2"), RunCancelled("not wanted")).recorded(request("2"))
    state = folded(accepted("1"), accepted("2"), HELLO, cancelled)
    assert [waiting.id for waiting in state.queue] == ["1"]
    assert state.begun
    assert state.last is not None
    assert state.last.answer.messages == (), "it was given another run's messages"
    assert state.last.error is not None
    assert state.last.error.partial is state.last.answer


def test_the_owner_stays_once_the_conversation_was_transferred() -> None:
    state = folded(accepted("1"), HELLO, said("x"), ended("1", owner=("B", "d")), accepted("2"), ended("2"))
    assert state.owner == ("B", "d")


def test_the_end_of_a_run_that_is_not_there_changes_nothing() -> None:
    state = folded(accepted("1"), HELLO, ended("2", owner=("B", "d")))
    assert (state.owner, state.last, state.begun) == (None, None, True)


def test_a_snapshot_stands_for_what_was_before_it() -> None:
    kept = Snapshot(SAID, ("B", "d"), ended("1", error=RunCancelled("enough")))
    state = folded(kept, accepted("1"), accepted("2"))
    assert (state.turn.history.as_tuple(), state.owner) == (SAID, ("B", "d"))
    assert [run.id for run in state.queue] == ["2"]
    assert state.last is not None
    assert state.last.answer == Answer("done", AGENT, CONVERSATION, "1", SAID)


@pytest.mark.parametrize("messages", range(6))
def test_a_conversation_goes_on_from_any_point_of_its_history(messages: int) -> None:
    before = (accepted("1"), HELLO, said("", CALL), ToolReturned("k", "out"), said("done"), Ended("1"))
    whole = folded(*before).turn.history
    state = folded(*before, Rewound(messages))
    assert problems(state.turn.history) == []
    if not problems(whole[:messages]):
        assert state.turn.history == whole[:messages]
    assert state.last is not None, "how the run ended is not forgotten"
    again = folded(*before, Rewound(messages), accepted("2"), HELLO, said("again"), Ended("2"))
    assert again.turn.history == (*state.turn.history, *SAID, Message("assistant", "again"))


@pytest.mark.parametrize(
    "event",
    [
        said("x"),
        CompletionFailed(ValueError("x")),
        ToolReturned("k", "x"),
        HandoffReturned("k", "x"),
        Decided("k", True),
        Steered(()),
        Interrupted(RunCancelled("x")),
    ],
    ids=lambda event: type(event).__name__,
)
@pytest.mark.parametrize("before", [(), (accepted("1"),), (accepted("1"), HELLO, said("x"), Ended("1"), accepted("2"))])
def test_a_journal_with_a_gap_is_found_out(event: Any, before: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=f"{type(event).__name__} cannot happen"):
        folded(*before, event)


@pytest.mark.parametrize("event", [HELLO, Rewound(0)])
def test_a_run_under_way_neither_begins_again_nor_is_rewound(event: Any) -> None:
    with pytest.raises(TypeError):
        folded(accepted("1"), HELLO, event)


def test_the_time_a_run_has_used_is_what_was_recorded_last() -> None:
    events = (accepted("1"), HELLO, said("", CALL, used=1.5), Resumed(2.0), Resumed(2.5))
    state = folded(*events)
    assert (state.used, state.resumed) == (2.5, 2)
    state = folded(*events, ToolReturned("k", "out", used=3.0))
    assert (state.used, state.resumed) == (3.0, 0)
    assert folded(*events, ended("1")).used == 0.0


def test_a_recorded_limit_counts_and_not_the_one_of_today() -> None:
    events = (HELLO, said("", CALL))
    state = folded(accepted("1", limits=Limits(steps=1)), *events)
    assert isinstance(state.verdict, Fail)
    assert isinstance(state.verdict.error, StepLimit)
    assert folded(accepted("1", limits=None), *events).turn.phase == "acting"


# -- outcomes --------------------------------------------------------------------------------------------------------


def last_of(state: ConversationState) -> Finish | Fail:
    assert state.verdict is not None
    return state.verdict


def test_an_answer_keeps_the_conversation_and_what_the_run_used() -> None:
    state = folded(accepted("1"), HELLO, said("done", cost=0.5))
    made = finished(request("1"), state.turn, last_of(state), 2.0, value={"a": 1})
    answer = made.answer
    assert (answer.text, answer.usage, answer.cost, answer.seconds) == ("done", Usage(3, 2), 0.5, 2.0)
    assert answer.value == {"a": 1}
    assert answer.messages == state.turn.history
    assert made.recorded(request("1")) == Ended("1", seconds=2.0, value={"a": 1}), "the rest follows from the turn"


def test_an_error_keeps_what_was_done_until_then() -> None:
    error = RunCancelled("enough")
    state = folded(accepted("1"), HELLO, said("let me see", CALL), Interrupted(error, Usage(1, 1), 0.25))
    made = finished(request("1"), state.turn, last_of(state), 2.0)
    assert made.error is error
    assert error.partial is made.answer
    assert (made.answer.text, made.answer.usage, made.answer.cost) == ("let me see", Usage(4, 3), 0.25)
    assert problems(made.answer.messages) == []


@pytest.mark.parametrize("keyed", [False, True])
def test_calls_that_are_left_to_the_caller_are_open_in_its_answer_before_and_after_a_restart(keyed: bool) -> None:
    run = request("1", keyed=keyed, external=(ToolSpec("outside", "", {}),))
    events = (Accepted(run), HELLO, said("see", ToolCall("o", "outside", "{}"), CALL), ToolReturned("k", "out"))
    state = folded(*events)
    made = finished(run, state.turn, last_of(state), 2.0)
    assert made.answer.tool_calls == (ToolCall("o", "outside", "{}"),)
    assert [message.role for message in made.answer.messages] == ["user", "assistant", "tool"]
    again = folded(*events, made.recorded(run)).last
    assert again is not None
    assert again.answer == made.answer


def test_an_answer_that_a_guardrail_refused_keeps_its_text() -> None:
    events = (accepted("1"), HELLO, said("let me see", CALL), ToolReturned("k", "out"), said(""))
    state = folded(*events)
    made = finished(request("1"), state.turn, last_of(state), 2.0)
    refused = made._replace(error=GuardrailTripped("not this"))
    again = folded(*events, refused.recorded(request("1"))).last
    assert again is not None
    assert again.answer == made.answer
    assert isinstance(again.error, GuardrailTripped)
    assert again.error.partial is again.answer


def test_an_answer_that_was_changed_is_recorded_without_its_messages() -> None:
    answer = Answer("changed", AGENT, CONVERSATION, "1", SAID)
    recorded = Outcome("1", answer).recorded(request("1"))
    assert recorded.answer == Answer("changed", AGENT, CONVERSATION, "1")
    last = folded(accepted("1"), HELLO, said("done"), recorded).last
    assert last is not None
    assert (last.answer.text, len(last.answer.messages)) == ("changed", 2)


def test_a_run_that_was_handed_over_says_who_answered_and_who_has_the_conversation() -> None:
    handed = HandoffReturned("k", "hello", final=True, owner=("B", "d"), agent="C")
    events = (accepted("1"), HELLO, said("", CALL), handed)
    state = folded(*events)
    made = finished(request("1"), state.turn, last_of(state), 1.0, agent="C")._replace(owner=("B", "d"))
    last = folded(*events, made.recorded(request("1"))).last
    assert last is not None
    assert (last.answer.agent, last.owner, last.answer) == ("C", ("B", "d"), made.answer)
