"""A limit on how many calls run at once, first come first served, per event loop."""

from __future__ import annotations

import asyncio
import weakref


class Slots:
    """A semaphore that tools shared by several loops can hold: each loop has its own count.

    Args:
        limit: how many may run at once in one loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    async def acquire(self) -> None:
        """Wait for a slot. Cancelling the wait takes none."""
        loop = asyncio.get_running_loop()
        semaphore = self._by_loop.get(loop)
        if semaphore is None:
            semaphore = self._by_loop[loop] = asyncio.Semaphore(self._limit)
        await semaphore.acquire()

    def release(self) -> None:
        """Give a slot back, in the loop that took it."""
        self._by_loop[asyncio.get_running_loop()].release()
