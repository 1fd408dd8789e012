"""The turn machine where limits are spent and a person may give more: pure, so any order of events is tried."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.agents.errors import LimitReached
from callboard.actors.agents.turns.loop.budget import narrowed, raised, reached
from callboard.actors.agents.turns.loop.machine import advance, outstanding
from callboard.actors.agents.turns.loop.turn import Turn, cut
from callboard.actors.agents.turns.rules import Limits, Rules
from callboard.actors.agents.turns.steps import (
    AskApproval,
    Begin,
    Completed,
    Decided,
    Fail,
    Finish,
    Raised,
    Steered,
    ToolReturned,
)
from callboard.providers.messages import Completion, Message, ToolCall, Usage

numbers = st.none() | st.integers(0, 6)
some_limits = st.builds(
    lambda steps, tokens, cost, ask: Limits(
        steps, None if tokens is None else 10 * tokens, cost, None, ask, repeats=None
    ),
    numbers,
    numbers,
    st.none() | st.integers(0, 6).map(float),
    st.booleans(),
)


def completion(calls: int, number: int) -> Completed:
    made = tuple(ToolCall(f"{number}.{index}", "work", "{}") for index in range(calls))
    message = Message("assistant", "" if calls else "done", made)
    return Completed(Completion(message, "tool_calls" if calls else "stop", Usage(5, 5), cost=1.0))


def next_input(data: st.DataObject, turn: Turn, number: int) -> Any:
    """Anything that can happen in a phase."""
    if turn.phase == "completing":
        return completion(data.draw(st.integers(0, 2)), number)
    if turn.phase == "acting":
        assert turn.message is not None
        open_calls = [c.id for c, r in zip(turn.message.tool_calls, turn.results, strict=True) if r is None]
        return ToolReturned(data.draw(st.sampled_from(open_calls)), "worked")
    said = Steered((Message("user", "hurry"),))
    return data.draw(st.sampled_from([Raised(data.draw(some_limits)), Decided("", False, None, "no"), said]))


@given(some_limits, st.data())
def test_a_turn_is_held_just_where_it_would_end_and_goes_on_just_where_it_was(limits: Limits, data: Any) -> None:
    rules = Rules(limits=limits)
    inputs: list[Any] = [Begin((Message("user", "go"),))]
    turn, commands = advance(Turn(), inputs[0], rules)
    for number in range(25):
        if turn.phase == "ended":
            break
        before, happened = turn, next_input(data, turn, number)
        inputs.append(happened)
        turn, commands = advance(turn, happened, rules)
        now = turn.limits or limits
        spent = reached(now, turn.steps, turn.usage, turn.cost)
        if turn.phase == "held":
            assert limits.ask
            assert spent, "it is held with nothing spent"
            if type(happened) is not Steered:
                (command,) = commands
                assert isinstance(command, AskApproval)
                assert json.loads(command.call.arguments)["limit"] == spent[0]
            assert outstanding(turn, rules) == (outstanding(turn, rules)[0],)
        elif turn.phase != "ended" and type(happened) is not ToolReturned:
            assert not spent or before.phase == "acting"
        if type(happened) is Raised and turn.phase == "completing":
            assert before.message is None
        if type(happened) is Decided:
            (command,) = commands
            assert isinstance(command, Fail)
            assert isinstance(command.error, LimitReached)
        if turn.phase == "ended" and isinstance(commands[-1], Fail):
            assert spent
        _valid(cut(turn))
    again = Turn()
    for happened in inputs:
        again, _ = advance(again, happened, rules)
    assert again == turn, "a replay of what happened gives another turn"
    assert turn.phase != "ended" or isinstance(commands[-1], Fail | Finish)


def _valid(history: tuple[Message, ...]) -> None:
    """Every call has its result, right behind it."""
    waiting: list[str | None] = []
    for message in history:
        if message.role == "tool":
            waiting.remove(message.tool_call_id)
        else:
            assert not waiting, "a call without its result"
            waiting = [call.id for call in message.tool_calls]
    assert not waiting


@given(some_limits, some_limits, st.integers(0, 8), st.integers(0, 80), st.integers(0, 8))
def test_raising_lowers_nothing_and_touches_only_what_is_spent(
    limits: Limits, more: Limits, steps: int, tokens: int, cost: int
) -> None:
    spent = reached(limits, steps, Usage(tokens, 0), float(cost))
    after = raised(limits, more, spent)
    for name in ("steps", "tokens", "cost", "seconds"):
        old, new, given_ = getattr(limits, name), getattr(after, name), getattr(more, name)
        if name not in spent:
            assert new == old
        else:
            assert new == (old if given_ is None else max(old, given_))
    assert after.ask == limits.ask


@given(some_limits, st.none() | some_limits)
def test_what_is_handed_down_is_never_more_than_either_has(own: Limits, given_: Limits | None) -> None:
    both = narrowed(own, given_)
    for name in ("steps", "tokens", "cost", "seconds"):
        there = [value for one in (own, given_) if one is not None and (value := getattr(one, name)) is not None]
        assert getattr(both, name) == (min(there) if there else None)
    assert both.ask == own.ask
