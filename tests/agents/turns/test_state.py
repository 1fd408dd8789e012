"""The state of a conversation, folded from its journal: what waits, what has begun, what is kept, and in what order."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Answer, Completion, Message, ToolCall, Usage
from callboard.actors.agents.errors import RunCancelled
from callboard.actors.agents.turns.history import problems
from callboard.actors.agents.turns.outcome import outcome, unanswered
from callboard.actors.agents.turns.records import Accepted, Ended, Run, Snapshot, ToolsStarted
from callboard.actors.agents.turns.rules import Rules
from callboard.actors.agents.turns.state import ConversationState, compacted, fold, is_unfinished, knows, owner_of
from callboard.actors.agents.turns.steps import Begin, Commands, Completed, Fail, Finish, Interrupted

RULES = Rules()
HELLO = Begin((Message("user", "hello"),))


def run(name: str) -> Run:
    return Run(name, name, "A", "c", HELLO.messages, ("A",))


def said(text: str, *calls: ToolCall) -> Completed:
    return Completed(Completion(Message("assistant", text, calls), "tool_calls" if calls else "stop", Usage(3, 2)))


def ended(name: str, **options: Any) -> Ended:
    return Ended(name, Answer("done", "A", "c", name), **options)


def folded(*events: Any) -> tuple[ConversationState, Commands]:
    state = ConversationState()
    commands: Commands = ()
    for event in events:
        commands = fold(state, event, lambda _: RULES) or commands
    return state, commands


def test_runs_wait_in_the_order_in_which_they_were_accepted_and_each_once() -> None:
    state, _ = folded(Accepted(run("1")), Accepted(run("2")), Accepted(run("1")))
    assert [waiting.id for waiting in state.queue] == ["1", "2"]
    assert not state.begun


def test_a_run_that_ended_last_is_known_and_not_taken_up_again() -> None:
    state, _ = folded(Accepted(run("1")), HELLO, said("done"), ended("1"), Accepted(run("1")))
    assert knows(state, "1")
    assert state.queue == []


def test_the_commands_of_the_last_input_are_what_is_still_to_be_done() -> None:
    call = ToolCall("k", "work", "{}")
    state, commands = folded(Accepted(run("1")), HELLO, said("", call), ToolsStarted(("k",)))
    assert [type(command).__name__ for command in commands] == ["CallTool"]
    assert state.begun
    assert state.interrupted == {"k"}


def test_an_outcome_takes_the_run_off_the_queue_and_forgets_the_calls_it_had_started() -> None:
    call = ToolCall("k", "work", "{}")
    state, _ = folded(Accepted(run("1")), Accepted(run("2")), HELLO, said("", call), ToolsStarted(("k",)), ended("1"))
    assert [waiting.id for waiting in state.queue] == ["2"]
    assert (state.begun, state.interrupted) == (False, frozenset())


def test_a_run_ended_by_others_in_the_middle_of_a_step_leaves_a_valid_history() -> None:
    state, _ = folded(Accepted(run("1")), HELLO, said("", ToolCall("k", "work", "{}")), ended("1"))
    assert state.turn.phase == "ended"
    assert problems(state.turn.history) == []
    assert state.last is not None
    assert state.last.answer.messages == state.turn.history


def test_a_run_cancelled_before_its_time_leaves_the_one_under_way_alone() -> None:
    cancelled = unanswered(run("2"), RunCancelled("not wanted"))
    state, _ = folded(Accepted(run("1")), Accepted(run("2")), HELLO, cancelled)
    assert [waiting.id for waiting in state.queue] == ["1"]
    assert state.begun


def test_the_owner_stays_once_the_conversation_was_transferred() -> None:
    events = (Accepted(run("1")), HELLO, said("x"), ended("1", owner=("B", "d")), Accepted(run("2")), ended("2"))
    state, _ = folded(*events)
    assert state.owner == ("B", "d")
    assert owner_of(events) == ("B", "d")


@pytest.mark.parametrize("cut_after", range(4))
def test_what_is_kept_between_two_runs_folds_to_the_same_state(cut_after: int) -> None:
    events = (Accepted(run("1")), HELLO, said("done"), ended("1"))
    more = tuple(Accepted(run(str(number))) for number in range(2, 2 + cut_after))
    state, _ = folded(*events, *more)
    assert state.last is not None
    kept = compacted(state, state.last, (*events, *more))
    assert isinstance(kept[0], Snapshot)
    again, _ = folded(*kept)
    assert (again.turn.history, again.owner, again.last) == (state.turn.history, state.owner, state.last)
    assert again.queue == state.queue
    assert is_unfinished(kept) == bool(more)


def test_a_conversation_is_unfinished_while_a_run_has_no_outcome() -> None:
    assert is_unfinished([Accepted(run("1")), HELLO])
    assert not is_unfinished([Accepted(run("1")), HELLO, said("done"), ended("1")])


def test_an_answer_keeps_the_conversation_and_what_the_run_used() -> None:
    state, commands = folded(Accepted(run("1")), HELLO, said("done"))
    last = commands[-1]
    assert isinstance(last, Finish)
    made = outcome(run("1"), state.turn, last, 2.0, parse=len)
    assert (made.answer.text, made.answer.usage, made.answer.seconds, made.answer.value) == (
        "done",
        Usage(3, 2),
        2.0,
        4,
    )
    assert made.answer.messages == state.turn.history


def test_an_error_keeps_what_was_done_until_then() -> None:
    error = RunCancelled("enough")
    state, commands = folded(
        Accepted(run("1")), HELLO, said("let me see", ToolCall("k", "work", "{}")), Interrupted(error)
    )
    last = commands[-1]
    assert isinstance(last, Fail)
    made = outcome(run("1"), state.turn, last, 2.0)
    assert made.error is error
    assert error.partial is made.answer
    assert made.answer.text == "let me see"
    assert problems(made.answer.messages) == []
