"""Waking the one who waits for something."""

from __future__ import annotations

import asyncio


class Bell:
    """Wakes the one who waits, who then looks for themselves what there is.

    `asyncio.Event` serves many who wait, and keeps 760 bytes for their queue; thousands of streams wait at once.
    """

    __slots__ = ("_rung", "_waiter")

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits, or comes next to wait."""
        self._rung = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it has rung since the last wait."""
        if not self._rung:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rung = False
