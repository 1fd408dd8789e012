"""Work beside the loop that elsewhere has a thread of its own: here steps of a lane, and waits of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextvars import copy_context
from typing import Protocol


class Clock(Protocol):
    """What background work needs of the loop that it takes steps of."""

    background_timers: int
    background_steps: int

    def time(self) -> float:
        """The virtual time, in seconds."""
        ...

    def block(self, seconds: float) -> None:
        """Let time pass in the middle of a step."""
        ...


class Killed(BaseException):
    """Raised through background work whose process is killed at this very step."""


class Background:
    """Runs a generator that yields where it waits: for so many seconds, or None for ever, but not once it is woken.

    Args:
        loop: whose steps it takes.
        steps: the generator.
        label: of its lane.
    """

    def __init__(self, loop: Clock, steps: Generator[float | None, None, None], label: str) -> None:
        self.label = label
        self._clock = loop
        self._loop: asyncio.AbstractEventLoop = loop  # type: ignore[assignment]
        self._steps = steps
        # Its own, whoever wakes it: by its context it is known which process it belongs to.
        self._context = copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._queued = self._woken = self._running = self._over = False

    def start(self) -> None:
        """Begin."""
        self._queue()

    def wake(self) -> None:
        """End its present wait, or the next one."""
        if self._running or self._queued:
            self._woken = True
        elif not self._over:
            self._unset()
            self._queue()

    def join(self, seconds: float) -> bool:
        """Have it end now, for so long at most, in which the loop stands still as it does elsewhere."""
        end = self._clock.time() + seconds
        while not self._over and not self._running:
            if self._timer is not None:
                due = self._timer.when()
                self._unset()
                if due > end:
                    break
                self._clock.block(due - self._clock.time())
            elif not self._queued:
                break
            self._next()
        return self._over

    def is_current(self) -> bool:
        """Whether it is what runs here."""
        return self._running

    def kill(self) -> None:
        """Have it never run again."""
        self._over = True
        self._unset()

    def _queue(self) -> None:
        self._queued = True
        self._loop.call_soon(self.take_step, context=self._context)

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._clock.background_timers -= 1

    def take_step(self) -> None:
        """Go on up to the next wait."""
        self._clock.background_steps += 1
        if self._timer is not None:
            self._timer = None
            self._clock.background_timers -= 1
        if not self._over and not self._running:
            self._next()

    def _next(self) -> None:
        self._queued = self._woken = False
        self._running = True
        try:
            seconds = next(self._steps)
        except (StopIteration, Killed):
            self._over = True
            return
        finally:
            self._running = False
        if self._over:
            return
        if self._woken:
            self._queue()
        elif seconds is not None:
            self._clock.background_timers += 1
            self._timer = self._loop.call_later(seconds, self.take_step, context=self._context)
