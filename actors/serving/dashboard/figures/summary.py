"""What stands above every view."""

from __future__ import annotations

import time
from typing import Any, Final

from ....observe.resources import resources
from .reading import Reading, finite, stuck_runs

_LEAST: Final = 0.25
"""Seconds over which the use of the processor is told, at least."""


class Summary:
    """Makes the summary of each reading; what the process has used is since the one before."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._used = time.process_time()
        self._cpu = 0.0

    def of(self, reading: Reading, lag: float) -> dict[str, Any]:
        """The summary.

        Args:
            reading: of the agency.
            lag: seconds by which the event loop was late.
        """
        now, used = time.monotonic(), time.process_time()
        passed = now - self._at
        if passed >= _LEAST:
            self._cpu = round((used - self._used) / passed, 4)
            self._at, self._used = now, used
        return {
            "actors": reading.all_actors,
            "runs": len(reading.runs),
            "waiting": len(reading.waiting),
            "dead_letters": reading.happened.dead_letters,
            "stuck": len(stuck_runs(reading.runs)),
            "cost": finite(sum(pool.stats.cost for pool in reading.pools)),
            "cost_a_minute": finite(reading.rates.cost),
            "tokens_a_minute": finite(reading.rates.tokens),
            "rss": resources().memory,
            "cpu": self._cpu,
            "lag": round(lag, 4),
        }
