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
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            self._rung = True
        else:
            waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Wait until it has rung since the last wait. A future, and no coroutine around one, which has 200 bytes."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._rung:
            self._rung = False
            waiter.set_result(None)
        else:
            self._waiter = waiter
        return waiter
