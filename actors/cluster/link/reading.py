"""The reader's side of a stream that comes from another node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any


class Incoming:
    """Items as they come.

    Args:
        buffer: how many may be on their way or unread.
        more: tells the other side that there is room for so many besides.
    """

    def __init__(self, buffer: int, more: Callable[[int], object]) -> None:
        self._items: deque[Any] = deque()
        self._more = more
        self._half = max(1, buffer // 2)
        self._read = 0
        self._ended = False
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()

    def put(self, item: Any) -> None:
        """An item came."""
        self._items.append(item)
        self._arrived.set()

    def end(self, error: BaseException | None) -> None:
        """No more will come."""
        if not self._ended:
            self._ended, self._error = True, error
            self._arrived.set()

    async def next(self) -> Any:
        """The next item.

        Raises:
            StopAsyncIteration: there is none.
            BaseException: what the stream ended in.
        """
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        self._read += 1
        if self._read >= self._half and not self._ended:
            self._more(self._read)
            self._read = 0
        return item


class Reading(AsyncIterator[Any]):
    """A stream that is read; it is left by `aclose`, or by letting go of it, also where nobody has begun.

    Args:
        incoming: the items.
        leave: called once nobody wants more.
    """

    def __init__(self, incoming: Incoming, leave: Callable[[], object]) -> None:
        self._incoming = incoming
        self._leave: Callable[[], object] | None = leave
        self._loop = asyncio.get_running_loop()

    async def __anext__(self) -> Any:
        return await self._incoming.next()

    async def aclose(self) -> None:
        """Want no more."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def __del__(self) -> None:
        if self._leave is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._leave)  # the garbage collector may call this anywhere
