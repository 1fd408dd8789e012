"""Partial-order reduction by itself: on small abstract programs it misses no outcome, and repeats none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.testing.schedules.reduction import Parted, Reduction, Step

Operation = tuple[Any, ...]
Program = tuple[list[list[Operation]], dict[int, list[Operation]]]
Choose = Callable[[int, list[int], Step | None], int | None]


def run(program: Program, choose: Choose) -> tuple[Any, list[Step]] | None:
    """Run a program of tasks and of actors, which do the operations of a message each time they take one up.

    Operations are ``("send", actor, message)``, ``("read", name)``, ``("write", name)`` and ``("pause",)``, at which a
    task lets others go on. Returns what each lane saw, and the steps; None where nothing new can come.
    """
    tasks, handlers = program
    queues: dict[int, list[tuple[int, int]]] = {}  # the messages of an actor, and by which step they were sent
    todo = {lane: list(operations) for lane, operations in enumerate(tasks)}
    variables: dict[str, int] = {}
    seen: dict[int, list[Any]] = {}
    steps: list[Step] = []
    while True:
        ready = [lane for lane, rest in todo.items() if rest]
        ready += [100 + actor for actor in sorted(queues) if queues[actor]]
        if not ready:
            return (tuple(sorted(variables.items())), tuple((lane, tuple(seen[lane])) for lane in sorted(seen))), steps
        lane = choose(len(steps), ready, steps[-1] if steps else None)
        if lane is None:
            return None
        step = Step(lane)
        if lane >= 100:
            message, cause = queues[lane - 100].pop(0)
            step.after.add(cause)
            seen.setdefault(lane, []).append(message)
            operations = handlers.get(message, [])
        else:
            rest = todo[lane]
            cut = next((i + 1 for i, operation in enumerate(rest) if operation[0] == "pause"), len(rest))
            operations, todo[lane] = rest[:cut], rest[cut:]
        for operation in operations:
            match operation:
                case ("send", actor, message):
                    step.writes.add(("mail", actor))
                    queues.setdefault(actor, []).append((message, len(steps)))
                case ("read", name):
                    step.reads.add(name)
                    seen.setdefault(lane, []).append((name, variables.get(name, 0)))
                case ("write", name):
                    step.writes.add(name)
                    variables[name] = variables.get(name, 0) * 10 + lane % 100 + 1
        steps.append(step)


def all_outcomes(program: Program) -> set[Any]:
    """Run every schedule."""
    found = set()
    picks: list[tuple[int, int]] = []
    while True:

        def choose(index: int, ready: list[int], last: Step | None) -> int:
            if index == len(picks):
                picks.append((0, len(ready)))
            return ready[picks[index][0]]

        outcome = run(program, choose)
        assert outcome is not None
        found.add(outcome[0])
        while picks and picks[-1][0] + 1 == picks[-1][1]:
            picks.pop()
        if not picks:
            return found
        pick, count = picks.pop()
        picks.append((pick + 1, count))


def reduced_outcomes(program: Program) -> tuple[set[Any], int, int]:
    """Run one schedule of each class: the outcomes, how many schedules ran to their end, and how many were given up."""
    reduction = Reduction()
    found = set()
    ended = given_up = 0
    while True:
        ran: list[Step] = []

        def choose(index: int, ready: list[int], last: Step | None, ran: list[Step] = ran) -> int | None:
            if last is not None:
                ran.append(last)
            return reduction.choose(index, ready, last)

        outcome = run(program, choose)
        if outcome is None:
            given_up += 1
            reduction.ran(ran)
        else:
            ended += 1
            found.add(outcome[0])
            reduction.ran(outcome[1])
        if not reduction.advance():
            return found, ended, given_up


sends = st.tuples(st.just("send"), st.integers(0, 2), st.integers(0, 5))
touches = st.tuples(st.sampled_from(["read", "write"]), st.sampled_from("xy"))
operations = st.lists(st.one_of(sends, touches, st.just(("pause",))), max_size=4)
tasks = st.lists(operations, min_size=2, max_size=3).filter(lambda tasks: sum(map(len, tasks)) <= 7)


@st.composite
def programs(draw: Callable[..., Any]) -> Program:
    """Messages lead to messages of higher numbers only, so that each program ends."""
    handlers: dict[int, list[Operation]] = {}
    for message in range(4):
        further = st.tuples(st.just("send"), st.integers(0, 2), st.integers(message + 1, 5))
        handlers[message] = draw(st.lists(st.one_of(further, touches), max_size=1))
    return draw(tasks), handlers


@settings(deadline=None, max_examples=150)
@given(programs())
def test_each_outcome_of_all_schedules_is_found_by_the_reduced_ones(program: Program) -> None:
    assert reduced_outcomes(program)[0] == all_outcomes(program)


def test_messages_to_different_actors_need_no_order() -> None:
    program: Program = ([[("send", actor, 0)] for actor in range(5)], {})
    assert reduced_outcomes(program)[1:] == (1, 0)


def test_messages_to_one_actor_come_in_every_order_once() -> None:
    program: Program = ([[("send", 0, message)] for message in range(4)], {})
    found, ended, given_up = reduced_outcomes(program)
    assert (len(found), ended, given_up) == (24, 24, 0)


def test_reads_need_no_order_among_themselves() -> None:
    program: Program = ([[("read", "x")], [("read", "x")], [("write", "x")]], {})
    found, ended, _ = reduced_outcomes(program)
    assert len(found) == ended == 4


def test_a_run_that_parts_from_an_earlier_one_is_noticed() -> None:
    reduction = Reduction()
    first = reduction.choose(0, [1, 2], None)
    assert first == 1
    steps = [Step(1, writes={"x"}), Step(2, writes={"x"})]
    assert reduction.choose(1, [2], steps[0]) == 2
    reduction.ran(steps)
    assert reduction.left == 1
    assert reduction.advance()
    with pytest.raises(Parted):
        reduction.choose(0, [1, 3], None)
