"""The runtime's invariants, each on a trace that breaks it and on one that does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import (
    RUNTIME,
    InvariantViolated,
    OracleSawNothing,
    Simulation,
    SimulationFailed,
    Trace,
    children_end,
    simulate,
)
from callboard.actors.testing.trace.invariants import runtime

Row = tuple[str, dict[str, Any]]


def trace(*rows: Row) -> Trace:
    made = Trace()
    for kind, fields in rows:
        made.add(0.0, kind, fields)
    return made


def send(id: int, sender: str = "a", actor: str = "b") -> Row:
    return "send", {"actor": actor, "sender": sender, "id": id, "message": id}


def ask(id: int) -> Row:
    return "ask", {"actor": "b", "sender": "a", "id": id, "message": id}


def recv(id: int, sender: str = "a", actor: str = "b", priority: int = 0) -> Row:
    return "recv", {"actor": actor, "sender": sender, "id": id, "message": id, "priority": priority}


def ends(id: int, how: str = "reply") -> Row:
    return "ask_end", {"actor": "b", "sender": "a", "id": id, "how": how, "outcome": None}


def dead(id: int, **more: Any) -> Row:
    return "dead_letter", {"actor": "b", "id": id, "message": id, "reason": "stopped", **more}


def struck(what: str, actor: str = "b", **more: Any) -> Row:
    return "fault", {"what": what, "actor": actor, "nth": 1, **more}


def stashed(id: int) -> Row:
    return "stashed", {"actor": "b", "id": id, "message": id}


STOPPED: Row = ("system_stopped", {"actor": ""})
STOPPING: Row = ("system_stopping", {"actor": ""})

BROKEN: dict[str, list[Row]] = {
    "fifo_per_pair": [send(1), send(2), recv(2, priority=5), recv(1, priority=5)],
    "at_most_once": [send(1), recv(1), recv(1)],
    "conservation": [send(1), send(2), recv(2)],
    "asks_resolved_once": [ask(1), recv(1)],
    "nothing_after_stop": [send(1), STOPPED, recv(1)],
    "no_dead_letters": [send(1), dead(1)],
}
FINE: dict[str, list[Row]] = {
    "another sender may be overtaken": [send(1, "a"), send(2, "c"), recv(2, "c"), recv(1, "a")],
    "another receiver may be faster": [send(1), send(2, actor="c"), recv(2, actor="c"), recv(1)],
    "another priority may go first": [send(1), send(2), recv(2, priority=-1), recv(1)],
    "a duplicated message may come twice": [send(1), struck("duplicate", id=1), recv(1), recv(1)],
    "a dropped message may be missing": [send(1), struck("drop", id=1)],
    "a stashed message may be overtaken, and is taken up again": [
        send(1),
        send(2),
        *(recv(1), stashed(1), recv(2), recv(1), stashed(1), recv(1)),
    ],
    "a stashed message may become a dead letter": [send(1), recv(1), stashed(1), dead(1, expected=True)],
    "an ask may time out and be refused": [ask(1), ends(1, "timeout"), dead(1)],
    "an expected dead letter": [send(1), dead(1, expected=True)],
    "a dead letter of an actor that was killed": [struck("kill"), send(1), dead(1)],
    "a dead letter below an actor that crashed": [struck("crash", "top"), send(1), dead(1, actor="top/b")],
    "a dead letter of a system that stops": [send(1), STOPPING, dead(1), STOPPED],
    "two systems that number alike": [
        send(1),
        recv(1),
        ("send", {**send(1)[1], "system": 2}),
        ("recv", {**recv(1)[1], "system": 2}),
    ],
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_invariant_breaks_on_its_own_trace_and_on_no_other(name: str) -> None:
    found = set()
    for invariant in RUNTIME:
        try:
            invariant(trace(*BROKEN[name]))
        except InvariantViolated:
            found.add(invariant.__name__)
    assert found == {name}


@pytest.mark.parametrize("name", BROKEN)
def test_the_quick_check_sees_what_the_single_ones_see(name: str) -> None:
    with pytest.raises(InvariantViolated):
        runtime(trace(*BROKEN[name]))


@pytest.mark.parametrize("name", FINE)
def test_what_the_contract_allows_is_no_violation(name: str) -> None:
    runtime(trace(*FINE[name]))
    for invariant in RUNTIME:
        invariant(trace(*FINE[name]))


def test_a_message_taken_up_once_more_than_it_was_stashed_is_a_violation() -> None:
    with pytest.raises(InvariantViolated, match="at most once"):
        runtime(trace(send(1), recv(1), stashed(1), recv(1), recv(1)))


def test_a_stashed_message_that_is_never_taken_up_again_is_a_violation() -> None:
    with pytest.raises(InvariantViolated, match="vanished"):
        runtime(trace(send(1), recv(1), stashed(1)))


def test_a_message_that_was_not_stashed_keeps_its_place_among_those_that_were() -> None:
    with pytest.raises(InvariantViolated, match="FIFO"):
        runtime(trace(send(1), send(2), send(3), recv(1), stashed(1), recv(3), recv(2), recv(1)))


def test_an_ask_that_ends_twice_is_a_violation() -> None:
    with pytest.raises(InvariantViolated, match="ended 2 times"):
        runtime(trace(ask(1), recv(1), ends(1), ends(1)))


class Job(Actor):
    def on_receive(self, message: object) -> None:
        if message == "work":
            self.stop()


class Desk(Actor):
    """Starts an actor for each message; of those that it has ``lost`` it stops none."""

    def on_receive(self, message: object) -> None:
        self.spawn(Job, name=f"job-{message}").tell("lost" if message == "lost" else "work")


def at_the_desk(*messages: str) -> Callable[[Simulation], Awaitable[None]]:
    async def scenario(sim: Simulation) -> None:
        desk = sim.system.spawn(Desk, name="desk")
        sim.system.spawn(Job, name="job")  # of another parent: it may stay
        for message in messages:
            desk.tell(message)

    return scenario


def test_a_child_that_nobody_stops_is_found_when_its_parent_is_to_have_none_left() -> None:
    simulate(at_the_desk("a", "lost"))
    with pytest.raises(SimulationFailed, match="children end: still there when the system was stopped: desk/job-lost"):
        simulate(at_the_desk("a", "lost"), invariants=[children_end("desk")])


def test_children_that_end_before_the_system_is_stopped_are_none_too_many() -> None:
    simulate(at_the_desk("a", "b", "c"), invariants=[children_end("desk")], seeds=100)


def test_a_parent_of_whose_children_something_is_said_has_to_be_there() -> None:
    with pytest.raises(OracleSawNothing, match=r"there is no actor 'dask'. Did you mean 'desk'\?"):
        simulate(at_the_desk(), invariants=[children_end("dask")])
    with pytest.raises(TypeError, match="path of an actor"):
        children_end(None)  # type: ignore[arg-type]
