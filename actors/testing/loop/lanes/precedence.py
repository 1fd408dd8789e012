"""Which step may not overtake which: what asyncio's documentation says of its order, or every program relies on.

Steps are those of tasks and plain callbacks; actors' turns, replies to asks, timers and calls on executors are free.

- What one step makes ready runs in the order in which it was made ready (the documentation of `loop.call_soon`, of
  `Future.add_done_callback`, and of tasks, which start in the order in which they were made).
- All of it runs before the next step of the task that made it ready: after ``sleep(0)`` a new task has started, and a
  task's done callbacks have run once it has been awaited.
- What a step makes ready does not overtake a callback that was made ready together with that step: once a task group
  has ended, all done callbacks of its tasks have run, those added after the group's own too.
- Who waits at one lock, event, condition, semaphore or queue goes on in the order of being woken: they are fair.

On a stock loop all this follows from its one queue, together with much more that nobody should rely on.
"""

from __future__ import annotations

import asyncio
import asyncio.locks
import asyncio.queues
import sys
from collections.abc import Iterator
from typing import Any

from .lanes import Lane
from .tasks import SimFuture

_PRIMITIVES = frozenset({asyncio.locks.__file__, asyncio.queues.__file__})


class _Held:
    """A step that waits until others have run."""

    __slots__ = ("age", "handle", "lane", "left")

    def __init__(self, lane: Lane, age: int, handle: asyncio.Handle, left: int) -> None:
        self.lane = lane
        self.age = age
        self.handle = handle
        self.left = left


def primitive() -> Any:
    """Return the lock or queue whose method makes a future here, two calls up, or None."""
    frame = sys._getframe(2)
    return frame.f_locals.get("self") if frame.f_code.co_filename in _PRIMITIVES else None


class Precedence:
    """Holds steps back until those that they may not overtake have run."""

    def __init__(self) -> None:
        self.followers: dict[int, list[_Held]] = {}
        """By the age of the step that they wait for."""
        self._woken: dict[int, tuple[Any, Lane, int]] = {}
        self._together: list[tuple[int, int, Lane]] = []
        """Of each step that made a callback ready, and something before it: the age of the first of that, and age and
        lane of the last callback, as long as it has not run."""

    def holds(self, running: Lane, lane: Lane, age: int, handle: asyncio.Handle) -> bool:
        """Whether a new step of a task, or a callback, waits for others.

        Args:
            running: whose step makes it ready.
            lane, age, handle: the new step.
        """
        after: tuple[int, ...] = ()
        own = lane.made if lane.source is not None else None  # callbacks that are nobody's have no step before
        if own is not None and own[0].ran < own[1]:
            after = (own[1],)
        if lane.ran < lane.held:  # its elder in the same lane waits
            after += (lane.held,)
        args = handle._args
        cause = args[0] if args else None
        if cause is None or isinstance(cause, asyncio.Future) or lane.source is None:  # else it is the reply to an ask
            made = running.made
            if made is not None and made[0].ran < made[1]:
                after += (made[1],)
            first = made[3] if made is not None and made[2] == running.turn else age
            running.made = lane, age, running.turn, first
            if self._together:
                after += self._beside(running)
            if lane.source is None and first != age:
                if self._together and self._together[-1][0] == first:
                    self._together.pop()
                self._together.append((first, age, lane))
            if isinstance(cause, SimFuture) and cause.primitive is not None:
                _, elder, before = self._woken.get(id(cause.primitive), (None, lane, 0))
                if elder.ran < before:
                    after += (before,)
                self._woken[id(cause.primitive)] = cause.primitive, lane, age
        if not after:
            return False
        lane.held = age
        steps = set(after)
        held = _Held(lane, age, handle, len(steps))
        for step in steps:
            self.followers.setdefault(step, []).append(held)
        return True

    def _beside(self, running: Lane) -> tuple[int, ...]:
        """Return the callbacks that were made ready together with a step, after it, and have not run."""
        self._together = [each for each in self._together if each[2].ran < each[1]]
        if running.source is not None and not isinstance(running.source, asyncio.Task):
            return ()
        return tuple(last for first, last, _ in self._together if first <= running.ran < last)

    def held(self) -> Iterator[asyncio.Handle]:
        """Return the steps that wait for others."""
        return (held.handle for each in self.followers.values() for held in each)

    def ready_after(self, age: int) -> list[_Held]:
        """Return the steps that waited for this one and for no other any more."""
        ready = []
        for held in self.followers.pop(age, ()):
            held.left -= 1
            if not held.left:
                ready.append(held)
        return ready
