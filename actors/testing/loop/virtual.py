"""Virtual time: the clock of an event loop, and the timers that it goes on to."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, TypeVarTuple

Ts = TypeVarTuple("Ts")
RESOLUTION = 1e-9
"""Timers due within this many seconds of each other are due together."""
REARM_LIMIT = 100
"""How many timers may be set for "now" within one instant before the clock is moved on by `REARM_STEP`."""
REARM_STEP = 1e-6
FEW_LOOKS = 10_000
"""How often a step may look at a clock before each look costs `LOOK` seconds: by then it waits for time to go on."""
MOST_LOOKS = 200_000
"""How often it may look before it is given up."""
LOOK = 1e-4
_ON_ITS_WAY = __name__.partition(".testing.")[0] + ".core.mail."
"""Whose timers bring messages and replies: no clock decides when these arrive."""


class VirtualTime(asyncio.BaseEventLoop):
    """Keeps the time and the timers; what becomes of those that are due is for the loop itself."""

    def __init__(self) -> None:
        super().__init__()
        self.drift: Callable[[], float] | None = None
        """Asked for each timer by what its time is multiplied; None: it fires in time."""
        self._now = 0.0
        self._age = 0
        """The number of what was made ready, or set, last."""
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._instant = -1.0
        self._rearmed = 0
        self._looks = 0

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was made.

        Who looks again and again within one step waits for it to go on, so it does.
        """
        self._looks += 1
        if self._looks > FEW_LOOKS:
            self._looked_often()
        return self._now

    def _looked_often(self) -> None:
        """Somebody has looked at the time more than `FEW_LOOKS` times."""
        raise NotImplementedError

    def block(self, seconds: float) -> None:
        """Let time pass in the middle of a step, as in code that blocks."""
        self._now += max(0.0, seconds)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback at the virtual time ``when``; callbacks of one instant run in the order they were set."""
        self._check_closed()  # type: ignore[attr-defined]
        if when != when:  # it would never be due, nor would what is set later
            raise ValueError("Invalid delay: NaN")
        if when <= self._now + RESOLUTION:
            # A rate limiter's float residue can set a timer for "now" for ever; a real clock would have moved on.
            if self._instant != self._now:
                self._instant, self._rearmed = self._now, 0
            self._rearmed += 1
            if self._rearmed > REARM_LIMIT:
                when = self._now + REARM_STEP
        elif self.drift is not None and not getattr(callback, "__module__", "").startswith(_ON_ITS_WAY):
            when = self._now + (when - self._now) * self.drift()
        return self._set(when, callback, args, context)

    def _set(
        self, when: float, callback: Callable[..., object], args: Sequence[Any], context: Context | None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        self._age += 1
        heapq.heappush(self._timers, (when, self._age, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback after ``delay`` virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if handle._scheduled:  # type: ignore[attr-defined]
            self._cancelled_timers += 1
            if self._cancelled_timers > 1000 and self._cancelled_timers * 2 > len(self._timers):
                self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
                heapq.heapify(self._timers)
                self._cancelled_timers = 0

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that are set, earliest first."""
        return [entry[2] for entry in sorted(self._timers) if not entry[2].cancelled()]
