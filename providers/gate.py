"""A bound on what runs at once, first come, first in."""

from __future__ import annotations

import asyncio
from collections import deque


class Gate:
    """Lets a number of holders in at once and the others in the order they came: ``async with gate``.

    Args:
        size: how many may be inside.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: deque[asyncio.Future[None]] = deque()
        self.inside = 0

    @property
    def waiting(self) -> int:
        """How many are waiting."""
        return sum(1 for waiter in self._queue if not waiter.done())

    async def __aenter__(self) -> None:
        if self.inside < self._size and not self._queue:
            self.inside += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._queue.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._leave()  # let in and cancelled at once: the place goes to the next
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the place passes on, `inside` stays
                return
        self.inside -= 1
