"""The turn machine: what follows what, and that the history is valid wherever it is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.agents import turn as t
from callboard.actors.agents.errors import (
    AnswerBlocked,
    CostLimit,
    HandoffDepth,
    InvalidAnswer,
    RunCancelled,
    RunFailed,
    StepLimit,
    TokenLimit,
)
from callboard.actors.agents.history import problems, repaired
from callboard.providers.messages import Completion, Message, ToolCall, Usage

RULES = t.Rules(delegates=frozenset({"ask"}), transfers=frozenset({"transfer"}), external=frozenset({"outside"}))


def said(text: str, *calls: ToolCall, usage: Usage | None = None, cost: float | None = None) -> t.Completed:
    finish: Any = "tool_calls" if calls else "stop"
    return t.Completed(Completion(Message("assistant", text, calls), finish, usage or Usage(3, 2), cost=cost))


def begun(rules: t.Rules = RULES) -> t.Turn:
    return t.advance(t.Turn(), t.Begin((Message("user", "go"),)), rules)[0]


def after(*inputs: t.Input, rules: t.Rules = RULES) -> tuple[t.Turn, t.Commands]:
    turn = begun(rules)
    commands: t.Commands = ()
    for happened in inputs:
        turn, commands = t.advance(turn, happened, rules)
    return turn, commands


def a_call(name: str, id: str = "1") -> ToolCall:
    return ToolCall(id, name, "{}")


def test_a_text_ends_the_run_and_stands_in_the_history() -> None:
    turn, commands = after(said("done"))
    assert commands == (t.Finish("done"),)
    assert [m.role for m in turn.history] == ["user", "assistant"]


def test_tool_calls_are_carried_out_together_and_the_model_goes_on_when_all_have_results() -> None:
    one, two = a_call("x", "1"), a_call("x", "2")
    turn, commands = after(said("", one, two))
    assert commands == (t.CallTool(one), t.CallTool(two))
    turn, commands = t.advance(turn, t.ToolFinished("2", "second"), RULES)
    assert commands == ()
    turn, commands = t.advance(turn, t.ToolFinished("1", "first"), RULES)
    assert commands == (t.Complete(),)
    assert [(m.tool_call_id, m.text) for m in turn.history[-2:]] == [("1", "first"), ("2", "second")]


def test_a_second_result_for_a_call_is_ignored() -> None:
    turn, _ = after(said("", a_call("x", "1"), a_call("x", "2")), t.ToolFinished("1", "first"))
    assert t.advance(turn, t.ToolFinished("1", "again"), RULES)[0].results[0] == turn.results[0]


def test_a_transfer_waits_for_the_other_calls_of_its_message() -> None:
    turn, commands = after(said("", a_call("transfer", "1"), a_call("x", "2")))
    assert commands == (t.CallTool(a_call("x", "2")),)
    turn, commands = t.advance(turn, t.ToolFinished("2", "ok"), RULES)
    assert commands == (t.HandOff(a_call("transfer", "1"), True),)
    turn, commands = t.advance(turn, t.HandoffFinished("1", "from the other", final=True), RULES)
    assert commands == (t.Finish("from the other"),)
    assert problems(turn.history) == []


def test_two_agents_may_be_asked_at_once() -> None:
    _, commands = after(said("", a_call("ask", "1"), a_call("ask", "2")))
    assert commands == (t.HandOff(a_call("ask", "1"), False), t.HandOff(a_call("ask", "2"), False))


def test_external_calls_end_the_run_once_the_others_are_done() -> None:
    turn, commands = after(said("see", a_call("outside", "1"), a_call("x", "2")), t.ToolFinished("2", "ok"))
    assert commands == (t.Finish("see", (a_call("outside", "1"),)),)
    turn, commands = t.advance(turn, t.Begin((Message("tool", "42", tool_call_id="1"),)), RULES)
    assert commands == (t.Complete(),)
    assert [m.text for m in turn.history[-2:]] == ["42", "ok"]
    assert problems(turn.history) == []


def test_external_calls_that_the_caller_leaves_open_are_marked_as_not_run() -> None:
    turn, _ = after(said("", a_call("outside")))
    turn, _ = t.advance(turn, t.Begin((Message("user", "never mind"),)), RULES)
    assert problems(turn.history) == []
    assert [m.is_error for m in turn.history if m.role == "tool"] == [True]


@pytest.mark.parametrize(
    ("limits", "error"),
    [(t.Limits(steps=1), StepLimit), (t.Limits(tokens=5), TokenLimit), (t.Limits(cost=0.5), CostLimit)],
)
def test_a_limit_ends_the_run_by_name_before_further_tools_run(limits: t.Limits, error: type) -> None:
    turn, commands = after(said("thinking", a_call("x"), cost=0.5), rules=t.Rules(limits=limits))
    assert isinstance(commands[0], t.Fail)
    assert type(commands[0].error) is error
    assert problems(turn.history) == []
    assert turn.usage.total_tokens == 5


def test_an_answer_that_reaches_a_limit_is_still_an_answer() -> None:
    assert after(said("done"), rules=t.Rules(limits=t.Limits(steps=1, tokens=1)))[1] == (t.Finish("done"),)


def test_an_answer_that_does_not_fit_is_repaired_once_then_refused() -> None:
    rules = t.Rules(check=lambda text: None if text == "good" else "not good")
    turn, commands = after(said("bad"), rules=rules)
    assert commands == (t.Complete(),)
    assert "not good" in turn.history[-1].text
    assert t.advance(turn, said("good"), rules)[1] == (t.Finish("good"),)
    failed = t.advance(turn, said("bad"), rules)[1][0]
    assert isinstance(failed, t.Fail)
    assert isinstance(failed.error, InvalidAnswer)


def test_a_filtered_answer_is_a_named_error() -> None:
    _, commands = after(t.Completed(Completion(Message("assistant", ""), "content_filter")))
    assert isinstance(commands[0], t.Fail)
    assert isinstance(commands[0].error, AnswerBlocked)


def test_a_failed_completion_is_chained() -> None:
    cause = ValueError("no")
    _, commands = after(t.CompletionFailed(cause))
    assert isinstance(commands[0], t.Fail)
    assert isinstance(commands[0].error, RunFailed)
    assert commands[0].error.__cause__ is cause


def test_approval_comes_before_a_call_and_a_denial_is_told_to_the_model() -> None:
    rules = t.Rules(needs_approval=lambda call: call.name == "risky")
    turn, commands = after(said("", a_call("risky", "1"), a_call("safe", "2")), rules=rules)
    assert commands == (t.AskApproval(a_call("risky", "1")), t.CallTool(a_call("safe", "2")))
    _, commands = t.advance(turn, t.Decided("1", True, '{"a": 1}'), rules)
    assert commands == (t.CallTool(ToolCall("1", "risky", '{"a": 1}')),)
    denied, commands = t.advance(turn, t.Decided("1", False, reason="too dear"), rules)
    assert denied.results[0] is not None
    assert "too dear" in denied.results[0].text
    assert t.outstanding(denied, rules) == (t.CallTool(a_call("safe", "2")),)


def test_calls_without_distinct_ids_are_given_some() -> None:
    turn, commands = after(said("", a_call("x", ""), a_call("x", "")))
    ids = [command.call.id for command in commands if isinstance(command, t.CallTool)]
    assert len(set(ids)) == 2
    assert all(ids)
    assert turn.message is not None
    assert [c.id for c in turn.message.tool_calls] == ids


def test_an_input_that_cannot_happen_is_a_bug_that_shows() -> None:
    with pytest.raises(TypeError, match="cannot happen"):
        t.advance(begun(), t.ToolFinished("1", "x"), RULES)


# -- properties ------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["x", "y", "ask", "transfer", "outside", "risky"])
CALLS = st.lists(st.builds(ToolCall, st.sampled_from(["", "1", "2", "3"]), NAMES, st.just("{}")), max_size=4)
GENERATED = t.Rules(
    limits=t.Limits(steps=6),
    delegates=RULES.delegates,
    transfers=RULES.transfers,
    external=RULES.external,
    needs_approval=lambda call: call.name == "risky",
    check=lambda text: "bad" if text == "bad" else None,
)


def happening(turn: t.Turn, data: st.DataObject) -> t.Input:
    """Anything that can happen in this state, as the shell around the machine may report it."""
    if turn.phase in ("idle", "ended"):
        return t.Begin((Message("user", data.draw(st.text(max_size=3))),))
    ways: list[t.Input] = [t.Interrupted(RunCancelled("stop"))]
    if turn.phase == "completing":
        ways.append(said(data.draw(st.sampled_from(["", "ok", "bad"])), *data.draw(CALLS)))
        ways.append(t.CompletionFailed(ValueError("down")))
    for command in t.outstanding(turn, GENERATED):
        match command:
            case t.CallTool(call):
                ways += [t.ToolFinished(call.id, "out"), t.ToolFinished(call.id, "failed", True)]
            case t.AskApproval(call):
                ways += [t.Decided(call.id, True), t.Decided(call.id, False)]
            case t.HandOff(call, transfer):
                ways.append(t.HandoffFinished(call.id, "back", final=transfer))
                ways.append(t.HandoffFinished(call.id, "refused", True))
                ways.append(t.HandoffFinished(call.id, "no", True, fatal=HandoffDepth("deep")))
    return data.draw(st.sampled_from(ways[1:]) if data.draw(st.integers(0, 9)) else st.sampled_from(ways))


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 25))
def test_whatever_happens_the_history_is_valid_and_the_run_can_go_on_or_has_ended(
    data: st.DataObject, steps: int
) -> None:
    turn = t.Turn()
    journal: list[t.Input] = []
    for _ in range(steps):
        happened = happening(turn, data)
        turn, commands = t.advance(turn, happened, GENERATED)
        journal.append(happened)
        assert problems(t.cut(turn)) == [], "a vendor would refuse the history at this cut"
        assert problems(turn.history) == []
        assert problems(t.transferred(turn, GENERATED)) == []
        ended = any(isinstance(command, t.Finish | t.Fail) for command in commands)
        assert ended == (turn.phase == "ended"), "a run ends with exactly one outcome"
        assert turn.phase == "ended" or t.outstanding(turn, GENERATED), "nothing to do and not ended: a hang"
        assert turn.steps <= 6
    replayed = t.Turn()
    for happened in journal:
        replayed, _ = t.advance(replayed, happened, GENERATED)
    assert replayed == turn, "the journal is not the whole run"


ROLES = st.sampled_from(["system", "user", "assistant", "tool"])


@given(
    st.lists(
        st.builds(
            Message,
            role=ROLES,
            content=st.sampled_from(["", "a"]),
            tool_calls=st.just(()),
            tool_call_id=st.sampled_from([None, "1", "2"]),
        )
        | st.builds(
            lambda calls: Message("assistant", "", tuple(calls)),
            st.lists(
                st.builds(ToolCall, st.sampled_from("123"), NAMES, st.just("{}")), max_size=3, unique_by=lambda c: c.id
            ),
        ),
        max_size=12,
    )
)
def test_repairing_makes_any_history_valid_and_leaves_a_valid_one_alone(messages: list[Message]) -> None:
    fixed = repaired(messages)
    assert problems(fixed) == []
    assert repaired(fixed) == fixed
    if not problems(messages):
        assert list(fixed) == messages
