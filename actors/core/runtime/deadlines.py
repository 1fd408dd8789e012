"""When asks expire: one timer of the loop for all of them.

A timer a message (`loop.call_at`, and a callback that cancels it) cost three times as much as the ask itself. Deadlines
are kept in a heap; those of answered asks are swept out when the heap has doubled since the last time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from .parts import Expires


class Timers:
    """The deadlines of asks on a simulated loop: a timer each, so that the simulation chooses which of two is first.

    Args:
        loop: whose timers are used.
    """

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def add(self, deadline: float, ask: Expires) -> None:
        """Have an ask expire at ``deadline``, in the loop's seconds, unless it has ended before."""
        timer = self._loop.call_at(deadline, ask.expire)
        ask.when_done(lambda _: timer.cancel())

    def clear(self) -> None:
        """Do nothing: each timer goes with its ask."""


SWEEP: Final = 256
"""Entries below which nothing is swept."""


class Deadlines:
    """The deadlines of one system's asks.

    Args:
        loop: whose timer is used.
        clock: the time that deadlines are counted in.
    """

    __slots__ = ("_at", "_clock", "_count", "_heap", "_limit", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._heap: list[tuple[float, int, Expires]] = []
        self._count = 0
        self._limit = SWEEP
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, deadline: float, ask: Expires) -> None:
        """Have an ask expire at ``deadline``, in the clock's seconds, unless it has ended before."""
        heap = self._heap
        if len(heap) >= self._limit:
            self._sweep()
        self._count = count = self._count + 1
        heappush(heap, (deadline, count, ask))
        if self._timer is None or deadline < self._at:
            self._arm()

    def clear(self) -> None:
        """Forget them all, and the timer."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        heap = self._heap
        heap[:] = [entry for entry in heap if not entry[2]._state]
        heapify(heap)
        self._limit = max(SWEEP, 2 * len(heap))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = self._heap[0][0]
        self._timer = self._loop.call_at(self._at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        heap = self._heap
        # The loop may call a timer early by its resolution: what was due at the timer's time is due now.
        now = max(self._clock(), self._at)
        while heap and (heap[0][0] <= now or heap[0][2]._state):
            heappop(heap)[2].expire()
        if heap and self._timer is None:
            self._arm()
