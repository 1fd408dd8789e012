"""The turn machine: what follows what, and that the history is valid wherever it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from callboard.actors.agents.turns.history import problems, repaired
from callboard.actors.agents.turns.loop.machine import advance, outstanding
from callboard.actors.agents.turns.loop.turn import Turn, cut, transferred
from callboard.actors.agents.turns.rules import Limits, Rules
from callboard.actors.agents.turns.steps import (
    AskApproval,
    Begin,
    CallTool,
    Commands,
    Complete,
    Completed,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    HandOff,
    HandoffReturned,
    Input,
    Interrupted,
    Steered,
    ToolReturned,
)
from callboard.providers.messages import Completion, Message, ToolCall, VendorState

from .support import CALLS, NAMES, USED, said

RULES = Rules(delegates=frozenset({"ask"}), transfers=frozenset({"transfer"}), external=frozenset({"outside"}))


def begun(rules: Rules = RULES) -> Turn:
    return advance(Turn(), Begin((Message("user", "go"),)), rules)[0]


def after(*inputs: Input, rules: Rules = RULES) -> tuple[Turn, Commands]:
    turn = begun(rules)
    commands: Commands = ()
    for happened in inputs:
        turn, commands = advance(turn, happened, rules)
    return turn, commands


def a_call(name: str, id: str = "1") -> ToolCall:
    return ToolCall(id, name, "{}")


def test_a_text_ends_the_run_and_stands_in_the_history() -> None:
    turn, commands = after(said("done"))
    assert commands == (Finish("done"),)
    assert [m.role for m in turn.history] == ["user", "assistant"]


def test_tool_calls_are_carried_out_together_and_the_model_goes_on_when_all_have_results() -> None:
    one, two = a_call("x", "1"), a_call("x", "2")
    turn, commands = after(said("", one, two))
    assert commands == (CallTool(one), CallTool(two))
    turn, commands = advance(turn, ToolReturned("2", "second"), RULES)
    assert commands == ()
    turn, commands = advance(turn, ToolReturned("1", "first"), RULES)
    assert commands == (Complete(),)
    assert [(m.tool_call_id, m.text) for m in turn.history[-2:]] == [("1", "first"), ("2", "second")]


def test_a_second_result_for_a_call_is_ignored() -> None:
    turn, _ = after(said("", a_call("x", "1"), a_call("x", "2")), ToolReturned("1", "first"))
    assert advance(turn, ToolReturned("1", "again"), RULES)[0].results[0] == turn.results[0]


def test_a_transfer_waits_for_the_other_calls_of_its_message() -> None:
    turn, commands = after(said("", a_call("transfer", "1"), a_call("x", "2")))
    assert commands == (CallTool(a_call("x", "2")),)
    turn, commands = advance(turn, ToolReturned("2", "ok"), RULES)
    assert commands == (HandOff(a_call("transfer", "1"), True),)
    turn, commands = advance(turn, HandoffReturned("1", "from the other", final=True), RULES)
    assert commands == (Finish("from the other"),)
    assert problems(turn.history) == []


def test_two_agents_may_be_asked_at_once() -> None:
    _, commands = after(said("", a_call("ask", "1"), a_call("ask", "2")))
    assert commands == (HandOff(a_call("ask", "1"), False), HandOff(a_call("ask", "2"), False))


def test_external_calls_end_the_run_once_the_others_are_done() -> None:
    turn, commands = after(said("see", a_call("outside", "1"), a_call("x", "2")), ToolReturned("2", "ok"))
    assert commands == (Finish("see", (a_call("outside", "1"),)),)
    turn, commands = advance(turn, Begin((Message("tool", "42", tool_call_id="1"),)), RULES)
    assert commands == (Complete(),)
    assert [m.text for m in turn.history[-2:]] == ["42", "ok"]
    assert problems(turn.history) == []


def test_external_calls_that_the_caller_leaves_open_are_marked_as_not_run() -> None:
    turn, _ = after(said("", a_call("outside")))
    turn, _ = advance(turn, Begin((Message("user", "never mind"),)), RULES)
    assert problems(turn.history) == []
    assert [m.is_error for m in turn.history if m.role == "tool"] == [True]


@pytest.mark.parametrize(
    ("limits", "error"),
    [(Limits(steps=1), StepLimit), (Limits(tokens=5), TokenLimit), (Limits(cost=0.5), CostLimit)],
)
def test_a_limit_ends_the_run_by_name_before_further_tools_run(limits: Limits, error: type) -> None:
    turn, commands = after(said("thinking", a_call("x"), cost=0.5), rules=Rules(limits=limits))
    assert isinstance(commands[0], Fail)
    assert type(commands[0].error) is error
    assert problems(turn.history) == []
    assert turn.usage.total_tokens == 5


def test_an_answer_that_reaches_a_limit_is_still_an_answer() -> None:
    assert after(said("done"), rules=Rules(limits=Limits(steps=1, tokens=1)))[1] == (Finish("done"),)


def test_an_answer_that_does_not_fit_is_repaired_once_then_refused() -> None:
    turn, commands = after(said("bad", problem="not good"))
    assert commands == (Complete(),)
    assert "not good" in turn.history[-1].text
    assert advance(turn, said("good"), RULES)[1] == (Finish("good"),)
    failed = advance(turn, said("bad", problem="not good"), RULES)[1][0]
    assert isinstance(failed, Fail)
    assert isinstance(failed.error, InvalidAnswer)


def test_an_answer_that_could_not_be_looked_at_ends_the_run_by_name_and_stays_in_the_history() -> None:
    broken = RunFailed("the validator raised")
    turn, commands = after(said("maybe", broken=broken))
    assert commands == (Fail(broken),)
    assert turn.history[-1] == Message("assistant", "maybe")


def test_a_filtered_answer_is_a_named_error() -> None:
    _, commands = after(Completed(Completion(Message("assistant", ""), "content_filter")))
    assert isinstance(commands[0], Fail)
    assert isinstance(commands[0].error, AnswerBlocked)


def paused(text: str, state: VendorState | None = None) -> Completed:
    return Completed(Completion(Message("assistant", text, state=state), "pause", USED))


def test_a_vendor_that_pauses_is_asked_again_with_what_came_and_the_answer_has_all_of_it() -> None:
    searching = VendorState("anthropic", "{}")
    turn, commands = after(paused("I look. ", searching))
    assert commands == (Complete(),)
    assert turn.history[-1] == Message("assistant", "I look. ", state=searching)
    turn, commands = advance(turn, paused("", searching), Rules())
    assert commands == (Complete(),)
    assert turn.history[-1].state is searching, "what is only for the vendor stays in the history"
    assert problems(turn.history) == []
    turn, commands = advance(turn, said("Found."), Rules())
    assert commands == (Finish("I look. Found."),)
    assert turn.steps == 3


def test_a_vendor_that_pauses_for_ever_comes_to_the_limit_of_steps() -> None:
    rules = Rules(limits=Limits(steps=3))
    turn = begun(rules)
    commands: Commands = (Complete(),)
    for _ in range(3):
        assert commands == (Complete(),)
        turn, commands = advance(turn, paused("…"), rules)
    assert isinstance(commands[0], Fail)
    assert isinstance(commands[0].error, StepLimit)


def test_a_failed_completion_is_chained() -> None:
    cause = ValueError("no")
    _, commands = after(CompletionFailed(cause))
    assert isinstance(commands[0], Fail)
    assert isinstance(commands[0].error, RunFailed)
    assert commands[0].error.__cause__ is cause


def test_approval_comes_before_a_call_and_a_denial_is_told_to_the_model() -> None:
    rules = Rules(needs_approval=lambda call: call.name == "risky")
    turn, commands = after(said("", a_call("risky", "1"), a_call("safe", "2")), rules=rules)
    assert commands == (AskApproval(a_call("risky", "1")), CallTool(a_call("safe", "2")))
    _, commands = advance(turn, Decided("1", True, '{"a": 1}'), rules)
    assert commands == (CallTool(ToolCall("1", "risky", '{"a": 1}')),)
    denied, commands = advance(turn, Decided("1", False, reason="too dear"), rules)
    assert denied.results[0] is not None
    assert "too dear" in denied.results[0].text
    assert outstanding(denied, rules) == (CallTool(a_call("safe", "2")),)


STEERED = Steered((Message("user", "also this"),))
SAID = STEERED.messages[0]


def test_what_is_said_to_a_run_comes_behind_the_results_and_before_the_next_completion() -> None:
    turn, commands = after(said("", a_call("x")), STEERED)
    assert commands == ()
    assert turn.history == (Message("user", "go"),)
    turn, commands = advance(turn, ToolReturned("1", "out"), RULES)
    assert commands == (Complete(),)
    assert [message.role for message in turn.history] == ["user", "assistant", "tool", "user"]
    assert turn.history[-1] == SAID


def test_what_is_said_while_the_model_answers_makes_it_go_on() -> None:
    turn, commands = after(STEERED, said("done"))
    assert commands == (Complete(),)
    assert turn.history[-2:] == (Message("assistant", "done"), SAID)


def test_what_is_said_stands_behind_the_request_to_answer_again() -> None:
    turn, commands = after(STEERED, said("bad", problem="not good"))
    assert commands == (Complete(),)
    assert "not good" in turn.history[-2].text
    assert turn.history[-1] == SAID


@pytest.mark.parametrize(
    ("inputs", "before"),
    [
        ((said("done"),), ["assistant"]),
        ((said("", a_call("x")),), ["assistant", "tool"]),
        ((Interrupted(RunCancelled("stop")),), []),
        ((CompletionFailed(ValueError("down")),), []),
        ((said("odd", broken=RunFailed("the validator raised")),), ["assistant"]),
    ],
)
def test_what_is_said_to_a_run_that_may_not_go_on_stands_at_the_end(
    inputs: tuple[Input, ...], before: list[str]
) -> None:
    turn, commands = after(STEERED, *inputs, rules=Rules(limits=Limits(steps=1)))
    assert isinstance(commands[0], Finish | Fail)
    assert [message.role for message in turn.history[1:-1]] == before
    assert turn.history[-1] == SAID
    assert turn.steering == ()
    assert advance(turn, Begin((Message("user", "next"),)), RULES)[0].history.count(SAID) == 1


def test_what_is_said_while_another_agent_takes_over_stands_behind_its_answer() -> None:
    turn, _ = after(said("", a_call("transfer")), STEERED, HandoffReturned("1", "from the other", final=True))
    assert turn.history[-2:] == (Message("assistant", "from the other"), SAID)


def test_what_is_said_to_a_run_that_leaves_calls_to_its_caller_comes_behind_their_results() -> None:
    turn, _ = after(said("", a_call("outside", "1"), a_call("x", "2")), STEERED, ToolReturned("2", "ok"))
    assert problems(cut(turn)) == []
    turn, _ = advance(turn, Begin((Message("tool", "42", tool_call_id="1"), Message("user", "so?"))), RULES)
    assert [message.text for message in turn.history[-4:]] == ["42", "ok", "also this", "so?"]
    assert problems(turn.history) == []


def test_no_half_of_a_tool_call_gets_into_the_history_by_being_said() -> None:
    odd = Steered((Message("tool", "what", tool_call_id="9"), Message("assistant", "", (a_call("x", "9"),)), SAID))
    turn, _ = after(odd, said("done"))
    assert problems(turn.history) == []
    assert turn.history[-1] == SAID


def test_calls_without_distinct_ids_are_given_some() -> None:
    turn, commands = after(said("", a_call("x", ""), a_call("x", "")))
    ids = [command.call.id for command in commands if isinstance(command, CallTool)]
    assert len(set(ids)) == 2
    assert all(ids)
    assert turn.message is not None
    assert [c.id for c in turn.message.tool_calls] == ids


def test_an_input_that_cannot_happen_is_a_bug_that_shows() -> None:
    with pytest.raises(TypeError, match="cannot happen"):
        advance(begun(), ToolReturned("1", "x"), RULES)


# -- properties ------------------------------------------------------------------------------------------------------

GENERATED = Rules(
    limits=Limits(steps=6),
    delegates=RULES.delegates,
    transfers=RULES.transfers,
    external=RULES.external,
    needs_approval=lambda call: call.name == "risky",
)


def happening(turn: Turn, data: st.DataObject) -> Input:
    """Anything that can happen in this state, as the shell around the machine may report it."""
    if turn.phase in ("idle", "ended"):
        return Begin((Message("user", data.draw(st.text(max_size=3))),))
    ways: list[Input] = [Interrupted(RunCancelled("stop"))]
    if turn.phase == "completing":
        ways.append(said(data.draw(st.sampled_from(["", "ok"])), *data.draw(CALLS)))
        ways.append(said("bad", problem="bad"))
        ways.append(CompletionFailed(ValueError("down")))
    for command in outstanding(turn, GENERATED):
        match command:
            case CallTool(call):
                ways += [ToolReturned(call.id, "out"), ToolReturned(call.id, "failed", True)]
            case AskApproval(call):
                ways += [Decided(call.id, True), Decided(call.id, False)]
            case HandOff(call, transfer):
                ways.append(HandoffReturned(call.id, "back", final=transfer))
                ways.append(HandoffReturned(call.id, "refused", True))
                ways.append(HandoffReturned(call.id, "no", True, fatal=HandoffDepth("deep")))
    drawn: Input = data.draw(st.sampled_from(ways[1:]) if data.draw(st.integers(0, 9)) else st.sampled_from(ways))
    return drawn


@settings(max_examples=300)
@given(st.data(), st.integers(1, 25))
def test_whatever_happens_the_history_is_valid_and_the_run_can_go_on_or_has_ended(
    data: st.DataObject, steps: int
) -> None:
    turn = Turn()
    journal: list[Input] = []
    for _ in range(steps):
        happened = happening(turn, data)
        turn, commands = advance(turn, happened, GENERATED)
        journal.append(happened)
        assert problems(cut(turn)) == [], "a vendor would refuse the history at this cut"
        assert problems(turn.history) == []
        assert problems(transferred(turn, GENERATED)) == []
        ended = any(isinstance(command, Finish | Fail) for command in commands)
        assert ended == (turn.phase == "ended"), "a run ends with exactly one outcome"
        assert turn.phase == "ended" or outstanding(turn, GENERATED), "nothing to do and not ended: a hang"
        assert turn.steps <= 6
    replayed = Turn()
    for happened in journal:
        replayed, _ = advance(replayed, happened, GENERATED)
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
                st.builds(ToolCall, st.sampled_from("123"), st.sampled_from(NAMES), st.just("{}")),
                max_size=3,
                unique_by=lambda c: c.id,
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
