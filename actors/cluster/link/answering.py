"""The side that answers: what travels with an acknowledgement, and streams that the other node reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from .frames import Message
from .peer import BYTES

SOON: Final = 0.002
"""Seconds that an acknowledgement waits for answers: those that are there travel with it, which saves a frame back."""


class Soon:
    """Answers that are there soon after a frame came.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._said: list[Message] = []
        self._room = BYTES
        self._expected: set[int] = set()
        self._future: asyncio.Future[Sequence[Message]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def expect(self, id: int) -> None:
        """An answer may come."""
        self._expected.add(id)

    def take(self, said: Message) -> bool:
        """Take an answer; whether it is in time, and has room."""
        if self._closed:
            return False
        _, id, what = said
        fits = len(what) <= self._room
        if fits:
            self._said.append(said)
            self._room -= len(what)
        self._expected.discard(id)
        if self._future is not None and not self._expected:
            self._close()
        return fits

    def closed(self) -> asyncio.Future[Sequence[Message]] | Sequence[Message]:
        """All messages of the frame have been handed on; what travels with the acknowledgement, once that is known."""
        if not self._expected:  # and nobody can answer any more
            return self._said
        self._future = self._loop.create_future()
        self._timer = self._loop.call_later(SOON, self._close)
        return self._future

    def _close(self) -> None:
        self._closed = True
        assert self._future is not None
        if self._timer is not None:
            self._timer.cancel()
        if not self._future.done():
            self._future.set_result(self._said)


class Producer:
    """A stream that the other node reads.

    Args:
        stream: the items.
        room: how many the reader has room for.
    """

    task: asyncio.Task[None]

    def __init__(self, stream: Any, room: int) -> None:
        self._stream = stream
        self._room = room
        self._wake = asyncio.Event()

    async def items(self) -> AsyncGenerator[Any]:
        """The items, as there is room for them."""
        async with self._stream as stream:
            async for item in stream:
                while self._room < 1:
                    self._wake.clear()
                    await self._wake.wait()
                self._room -= 1
                yield item

    def more(self, items: int) -> None:
        """The reader has room for more."""
        self._room += items
        self._wake.set()

    def cancel(self) -> None:
        """Nobody wants more."""
        self.task.cancel()
