"""Making small what failed among 50 actors and 500 messages: one client overtaken by another, or two by two.

For each client one deviation is enough: its first message, held back for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from callboard.actors import Actor
from callboard.actors.testing import Run, Simulation, SimulationFailed
from callboard.actors.testing.search.running.run import reproducible
from callboard.actors.testing.search.running.runner import Runner
from callboard.actors.testing.search.running.scenario import Scenario
from callboard.actors.testing.search.simulation import Search

ACTORS, EACH = 50, 10
OVERTAKEN: tuple[tuple[int, ...], ...] = ((3,), (3, 7))
"""The clients that have to be overtaken, each by the one two places before it."""
_MAX_STEPS = 20_000


class Sink(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "seen":
            return self.seen
        self.seen.append(message)
        return None


class _Timed(Search):
    """Takes the CPU seconds between a failure and its report."""

    seconds = 0.0

    def fail(self, run: Run, found: str) -> NoReturn:
        began = time.process_time()
        try:
            super().fail(run, found)
        finally:
            self.seconds = time.process_time() - began
        raise AssertionError("a failure ends the search")


def scenario_of(overtaken: Sequence[int]) -> Scenario:
    """Return a scenario that fails where all of these clients are overtaken."""

    async def scenario(sim: Simulation) -> None:
        sinks = [sim.system.spawn(Sink, name=f"sink{number}") for number in range(ACTORS)]

        async def client(number: int) -> None:
            for step in range(EACH):
                await asyncio.sleep(0)
                sinks[(number + step) % ACTORS].tell((number, step))

        async with asyncio.TaskGroup() as group:
            for number in range(ACTORS):
                group.create_task(client(number), name=f"client{number}")
        await sim.idle()
        for number in overtaken:
            seen = await sinks[number].ask("seen")
            if seen.index((number, 0)) < seen.index((number - 2, 2)):
                return
        raise AssertionError("all were overtaken")

    return scenario


def shrunk(first: int, schedules: int) -> Iterator[tuple[float, int]]:
    """Search for each failure, and yield the CPU seconds from there to its report, and the deviations left.

    Args:
        first: the first seed of each search.
        schedules: what a search may take.

    Raises:
        AssertionError: nothing failed.
    """
    for overtaken in OVERTAKEN:
        search = _Timed(Runner(scenario_of(overtaken), (), (), _MAX_STEPS, "contract", None), "mix")
        try:
            with reproducible():
                search.search(iter(range(first, first + schedules)), 1)
        except SimulationFailed as failed:
            yield search.seconds, failed.run.deviations
        else:
            raise AssertionError(f"nobody overtook all of {overtaken} in {schedules} schedules")
