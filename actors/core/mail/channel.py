"""The bounded queue of one stream, between the producer beside an actor's mailbox and whoever reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

END: Final[Any] = object()
"""What a reader gets after the last item."""


class Channel:
    """Items on their way from one producer to one reader, or to several that share them; all on the system's loop.

    Args:
        size: how many items the producer may be ahead.
    """

    __slots__ = ("_getters", "_items", "_putter", "error", "finished", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.finished = False
        self.error: BaseException | None = None
        self._items: deque[Any] | None = None  # while there are any: it takes 760 bytes, and most streams wait for some
        self._getters: list[asyncio.Future[None]] = []
        self._putter: asyncio.Future[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether `get` would not wait."""
        return self._items is not None or self.finished

    async def room(self) -> None:
        """Wait while the readers are ``size`` items behind."""
        while self._items is not None and len(self._items) >= self.size and not self.finished:
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter

    def put(self, item: Any) -> None:
        """Add an item."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self._wake_one()

    def finish(self, error: BaseException | None) -> None:
        """Say that no more items come, and why if it was a failure."""
        if not self.finished:
            self.finished = True
            self.error = error
            while self._getters:
                _wake(self._getters.pop(0))
            _wake(self._putter)

    def abandon(self) -> None:
        """Drop what was not read: nobody will."""
        self._items = None
        self.error = None
        self.finish(None)

    async def get(self) -> Any:
        """Return the next item, `END` after the last, or raise the producer's error. Readers are served in turn."""
        while (items := self._items) is None:
            if self.finished:
                if self.error is not None:
                    raise self.error
                return END
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except (asyncio.CancelledError, GeneratorExit):  # … or thrown away, as in a process that is killed
                if getter in self._getters:
                    self._getters.remove(getter)
                elif self._items:  # it was told of an item that it will not take: the next one is told
                    self._wake_one()
                raise
        item = items.popleft()
        if not items:
            self._items = None
        _wake(self._putter)
        return item

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.pop(0)
            if not getter.done():
                getter.set_result(None)
                return


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
