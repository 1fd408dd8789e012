"""Making small what failed among 50 actors and 500 messages: one client overtaken by another, or two by two.

For each client one deviation is enough: its first message, held back for long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NoReturn

from tests.testing.overtaken import scenario_of

from callboard.actors.testing import Run, SimulationFailed
from callboard.actors.testing.search.running.run import reproducible
from callboard.actors.testing.search.running.runner import Runner
from callboard.actors.testing.search.simulation import Search

OVERTAKEN: tuple[tuple[int, ...], ...] = ((3,), (3, 7))
"""The clients that have to be overtaken."""
_MAX_STEPS = 20_000


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
