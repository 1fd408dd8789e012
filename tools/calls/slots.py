"""A limit on how many calls run at once, first come first served, per event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable


class _Count:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[Callable[[], object]] = deque()


class Slots:
    """Slots that calls hold while they run. A tool may be shared by several loops: each has its own count.

    Args:
        limit: how many may be held at once in one loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Count] = weakref.WeakKeyDictionary()

    def take(self, begin: Callable[[], object]) -> None:
        """Call ``begin`` with a slot held: now, or when one is given back and those before it have had theirs."""
        count = self._counts.setdefault(asyncio.get_running_loop(), _Count())
        if count.running < self._limit:
            count.running += 1
            begin()
        else:
            count.waiting.append(begin)

    def withdraw(self, begin: Callable[[], object]) -> None:
        """Wait no longer for the slot that ``begin`` was to have."""
        self._counts[asyncio.get_running_loop()].waiting.remove(begin)

    def release(self) -> None:
        """Give a slot back, in the loop that took it."""
        count = self._counts[asyncio.get_running_loop()]
        if count.waiting:
            count.waiting.popleft()()
        else:
            count.running -= 1
