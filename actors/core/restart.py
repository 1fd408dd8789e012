"""The decisions of a supervisor, without actors and without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from .spec import Restart, Strategy

C = TypeVar("C")


class Intensity:
    """At most ``limit`` restarts within ``period`` seconds; one more is too many (OTP's intensity and period)."""

    __slots__ = ("_times", "limit", "period")

    def __init__(self, limit: int, period: float) -> None:
        self.limit = limit
        self.period = period
        self._times: deque[float] = deque()

    def record(self, now: float) -> bool:
        """Note a restart at ``now`` (seconds); return whether it is still within the limit."""
        times = self._times
        times.append(now)
        while now - times[0] > self.period:
            times.popleft()
        return len(times) <= self.limit


def wants_restart(restart: Restart, *, failed: bool) -> bool:
    """Whether a child of this restart type is started again after it ended."""
    return restart == "permanent" or (restart == "transient" and failed)


def affected(strategy: Strategy, children: Sequence[C], child: C) -> list[C]:
    """Return the children that are restarted when ``child`` is, in start order, ``child`` among them."""
    if strategy == "one_for_one":
        return [child]
    if strategy == "one_for_all":
        return list(children)
    return list(children[children.index(child) :])
