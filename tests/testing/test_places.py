"""Where faults strike that leave it open: a search tries all their places before any a second time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from callboard.actors import Actor, ActorCrashed, ChildSpec
from callboard.actors.testing import Crash, Fault, Simulation, Slow, simulate
from callboard.actors.testing.trace.trace import Trace


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


async def asked(sim: Simulation, *names: str) -> None:
    """Three clients ask each actor two things: there are many schedules, and each has all messages."""

    async def ask(name: str) -> None:
        for number in range(2):
            with contextlib.suppress(ActorCrashed):
                await echoes[name].ask(number)
            await asyncio.sleep(1)

    echoes = {name: sim.system.supervise(ChildSpec(Echo, name=name)) for name in names}
    await asyncio.gather(*(ask(name) for name in names for _ in range(3)))


async def one(sim: Simulation) -> None:
    await asked(sim, "one")


async def two(sim: Simulation) -> None:
    await asked(sim, "one", "two")


def struck(scenario: Any, faults: Sequence[Fault], seeds: Any, strategy: str = "mix") -> list[tuple[Any, ...]]:
    """The faults of each run: of the ordinary one first."""
    found: list[tuple[Any, ...]] = []

    def look(trace: Trace) -> None:
        found.append(tuple((it.actor, it.nth, it.fields.get("when")) for it in trace.of("fault")))

    simulate(scenario, seeds=seeds, faults=faults, strategy=strategy, invariants=[look])
    return found


@pytest.mark.parametrize("first", [0, 400])
@pytest.mark.parametrize(
    ("fault", "phases", "left_out"), [(Slow("one"), [None], 2), (Crash("one"), ["before", "after"], 5)]
)
def test_in_as_many_seeds_as_a_fault_has_places_it_strikes_once_at_each(
    fault: Fault, phases: list[str | None], left_out: int, first: int
) -> None:
    cycle = 7 * len(phases) + left_out  # six messages, and one more that there may be in other schedules
    for turn in range(2):
        start = (first + turn) * cycle
        _, *runs = struck(one, [fault], range(start, start + cycle))
        places = Counter(place for run in runs for place in run)
        assert places == Counter(("one", nth, phase) for nth in range(1, 7) for phase in phases)
        assert runs.count(()) == left_out + len(phases)


def test_several_faults_have_their_places_each_for_itself() -> None:
    runs = struck(two, [Slow("one"), Slow("two")], 90)
    for name in ("one", "two"):
        times = Counter(place for run in runs for place in run if place[0] == name)
        assert len(times) == 6
        assert set(times.values()) == {10}
    pairs = {run for run in runs if len(run) == 2}
    assert len(pairs) > 20, "they go round together"


def test_with_feedback_the_places_that_are_drawn_are_the_early_ones_first_and_each_once_before_any_twice() -> None:
    _, *runs = struck(one, [Slow("one")], 60, strategy="feedback")
    assert [nth for run in runs[:7] for _, nth, _ in run] == [1, 2, 3, 4, 5, 6]
    _, *runs = struck(one, [Crash("one")], 40, strategy="feedback")
    assert len({place for run in runs for place in run}) == 12


def test_the_coverage_says_at_how_many_places_a_fault_struck_of_how_many_that_are_known() -> None:
    slow, crash, numbered = Slow("one"), Crash("one"), Slow("two", 2)
    coverage = simulate(two, seeds=4, faults=[slow, crash, numbered]).coverage
    assert coverage.places.keys() == {slow, crash}
    for fault, known in ((slow, 6), (crash, 12)):
        at, of = coverage.places[fault]
        assert of == known
        assert 1 <= at <= 4
    assert f", at {coverage.places[slow][0]} of 6 places" in coverage.faults()[0]
    assert coverage.faults()[2].endswith(": struck in 5 of 5")
    assert simulate(two, seeds=100, faults=[slow, crash]).coverage.places == {slow: (6, 6), crash: (12, 12)}


def test_in_several_processes_the_places_are_those_of_one() -> None:
    alone, spread = (
        simulate(two, seeds=40, faults=[Slow("one"), Crash("two")], strategy="pct", processes=number).coverage
        for number in (1, 2)
    )
    assert alone.places == spread.places
