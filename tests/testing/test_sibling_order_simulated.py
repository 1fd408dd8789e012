"""In which order siblings start, stop and are started again, under random work, schedules and faults.

``CALLBOARD_EXAMPLES=1000`` draws more.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, ChildSpec, Supervision, Supervisor, System
from callboard.actors.core.base.errors import CoreError
from callboard.actors.testing import Crash, Fault, Simulation, Slow, simulate, virtual_time
from callboard.actors.testing.doubles.strategies import fault_plans

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "12"))
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = "abc"
Strategy = Literal["one_for_all", "rest_for_one"]
Above = Literal["supervisor", "waits", "goes on"]
Log = list[tuple[str, str]]
"""What became of whom: it was made, is up, stops, is down."""


class Sibling(Actor):
    """Takes down the steps of its life.

    Args:
        log: where.
        label: its name.
        pause: seconds that each hook takes.
        failing: the incarnations, counted from 1, that cannot start.
    """

    def __init__(self, log: Log, label: str, pause: float, failing: frozenset[int]) -> None:
        super().__init__()
        self.log, self.label, self.pause = log, label, pause
        log.append(("made", label))
        self.fails = log.count(("made", label)) in failing

    async def on_start(self) -> None:
        await self.waits()
        if self.fails:
            raise ValueError("it cannot start")
        self.log.append(("up", self.label))

    async def on_stop(self) -> None:
        self.log.append(("stops", self.label))
        await self.waits()
        self.log.append(("down", self.label))

    async def on_failure(self, *_: Any) -> None:
        await self.waits()
        self.log.append(("down", self.label))

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.1)
        return message

    async def waits(self) -> None:
        if self.pause:
            await asyncio.sleep(self.pause)


class Spawning(Actor):
    """Starts children in its `on_start`, and waits for each, or for none."""

    supervision: ClassVar[Supervision]

    def __init__(self, specs: list[ChildSpec[Any]], waits: bool) -> None:
        super().__init__()
        self.specs, self.waits = specs, waits

    async def on_start(self) -> None:
        for spec in self.specs:
            ref: ActorRef[Any] = self.spawn(spec)
            if self.waits:
                await ref.started()


def parent(above: Above, strategy: Strategy, specs: list[ChildSpec[Any]]) -> ChildSpec[Any]:
    if above == "supervisor":
        return Supervisor.spec(specs, strategy=strategy, intensity=99, period=1.0, name="p")
    kind = type("Parent", (Spawning,), {"supervision": Supervision(strategy, intensity=99, period=1.0)})
    return ChildSpec(kind, (specs, above == "waits"), name="p")


def check_order(log: Log, strategy: Strategy) -> None:
    """Hold a log to the page: what is made, and what stops, does so in its turn."""
    last: dict[tuple[str, str], int] = {}

    def since(kind: str, label: str, then: str) -> bool:
        return last.get((kind, label), -1) > last.get((then, label), -1)

    for at, (kind, label) in enumerate(log):
        told = f"{label} {kind} too early: {log[: at + 1]}"
        if kind == "made":
            for before in NAMES[: NAMES.index(label)]:
                # It may have crashed again since it was up.
                assert since("up", before, "made") or since("down", before, "made"), told
                if strategy == "one_for_all":
                    assert last["made", before] > last.get(("made", label), -1), told
        if kind in ("made", "stops"):
            for behind in NAMES[NAMES.index(label) + 1 :]:
                assert ("up", behind) not in last or since("down", behind, "up"), told
        last[kind, label] = at


@drawn
@given(
    st.integers(1, 3),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from(["one_for_all", "rest_for_one"]),
    st.sampled_from(["supervisor", "waits", "goes on"]),
    st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.integers(2, 4), max_size=2), max_size=2),
    fault_plans([f"p/{name}" for name in NAMES], kinds=(Crash, Slow), messages=3),
)
def test_a_group_stops_in_reverse_and_starts_again_in_order_each_when_the_one_before_has_started(
    count: int,
    pause: float,
    strategy: Strategy,
    above: Above,
    failing: dict[str, frozenset[int]],
    faults: tuple[Fault, ...],
) -> None:
    async def scenario(sim: Simulation) -> None:
        log: Log = []
        specs = [ChildSpec(Sibling, (log, name, pause, failing.get(name, frozenset())), name=name) for name in NAMES]
        ref = sim.system.supervise(parent(above, strategy, specs))
        sim.expect_dead_letters()
        await asyncio.sleep(10)
        if above == "goes on":  # the first start is in no order
            log[:] = [(kind, name) for name in NAMES for kind in ("made", "up")]

        async def asks(name: str) -> None:
            child = sim.system.find(f"p/{name}")
            assert child is not None
            for number in range(count):
                with suppress(CoreError):
                    await child.ask(number)

        await asyncio.gather(*map(asks, NAMES))
        await asyncio.sleep(100)
        assert ref.is_alive()
        await ref.stop()
        assert [label for kind, label in log if kind == "down"][-3:] == ["c", "b", "a"]
        check_order(log, strategy)

    simulate(scenario, seeds=4, faults=faults)


@pytest.mark.parametrize(("above", "together"), [("supervisor", False), ("waits", False), ("goes on", True)])
@virtual_time
async def test_who_spawns_its_children_itself_waits_for_each_only_where_it_says_so(
    above: Above, together: bool
) -> None:
    log: Log = []
    specs = [ChildSpec(Sibling, (log, name, 0.1, frozenset()), name=name) for name in "ab"]
    async with System("test") as system:
        system.supervise(parent(above, "one_for_all", specs))
        await asyncio.sleep(1)
        in_order = [("made", "a"), ("up", "a"), ("made", "b"), ("up", "b")]
        at_once = [("made", "a"), ("made", "b"), ("up", "a"), ("up", "b")]
        assert log == (at_once if together else in_order)
    assert [label for kind, label in log if kind == "down"] == ["b", "a"]
