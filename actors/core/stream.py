"""Streams: an ask whose answer is many items, with back-pressure, ended by either side."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from . import life
from .errors import NotAStream, SystemClosed

if TYPE_CHECKING:
    from types import TracebackType

    from .cell import Cell
    from .envelope import StreamAsk
    from .worker import Worker

T_co = TypeVar("T_co", covariant=True)
_END: Any = object()


class Channel:
    """A bounded queue between the producer beside the actor's mailbox and one consumer, both on the system's loop."""

    __slots__ = ("_getter", "_items", "_putter", "error", "finished", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.finished = False
        self.error: BaseException | None = None
        self._items: deque[Any] = deque()
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None

    async def put(self, item: Any) -> None:
        """Add an item; wait while the consumer is ``size`` items behind."""
        while len(self._items) >= self.size and not self.finished:
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter
        self._items.append(item)
        _wake(self._getter)

    def finish(self, error: BaseException | None) -> None:
        """Say that no more items come, and why if it was a failure."""
        if not self.finished:
            self.finished = True
            self.error = error
            _wake(self._getter)
            _wake(self._putter)

    def abandon(self) -> None:
        """Drop what was not read: nobody will."""
        self._items.clear()
        self.error = None
        self.finish(None)

    async def get(self) -> Any:
        """Return the next item, `_END` after the last, or raise the producer's error."""
        while not self._items:
            if self.finished:
                if self.error is not None:
                    raise self.error
                return _END
            self._getter = asyncio.get_running_loop().create_future()
            await self._getter
        item = self._items.popleft()
        _wake(self._putter)
        return item


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Stream(AsyncIterator[T_co]):
    """The items an actor answers with, one after another.

    Iterate it, or use it as ``async with``; leaving early, or closing it, cancels the producer.
    """

    __slots__ = ("_ask", "_begun")

    def __init__(self, ask: StreamAsk) -> None:
        self._ask = ask
        self._begun = False

    async def __anext__(self) -> T_co:
        ask = self._ask
        if not self._begun:
            if ask.cell.system.loop is not asyncio.get_running_loop():
                raise SystemClosed("a stream is read on the event loop of its system")
            self._begun = True
            if ask.cancelled():  # it was closed before it was read
                raise StopAsyncIteration
            try:
                await ask
            except BaseException:
                ask.channel.finish(None)
                raise
        try:
            item: T_co = await ask.channel.get()
        except BaseException:
            self._leave()
            raise
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Stop listening; the producer is cancelled."""
        self._leave()

    async def __aenter__(self) -> Stream[T_co]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()

    def __del__(self) -> None:
        ask = self._ask
        system = ask.cell.system
        if not ask.channel.finished and not system.closed:
            # Not now: the garbage collector calls this anywhere, in the middle of the dispatcher too.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                system.loop.call_soon_threadsafe(_abandon, ask)

    def _leave(self) -> None:
        _abandon(self._ask)


def _abandon(ask: StreamAsk) -> None:
    channel = ask.channel
    if channel.finished:
        channel.abandon()
        return
    channel.abandon()
    if not ask.cancel() and ask.work is not None:
        ask.work.cancel_softly()


def serve(cell: Cell, ask: StreamAsk, items: Any) -> None:
    """Answer a stream request with what the handler returned; it is iterated beside the mailbox."""
    if not hasattr(items, "__aiter__"):
        ask.fail(
            NotAStream(f"{cell.path} answered a stream request with {type(items).__name__}, which is no async iterator")
        )
        return
    if ask.done():
        return
    job = cell.system.start_job(cell, _produce(ask, items), _produced, answering=True, scope=ask.scope)
    job.ask = ask
    ask.work = job
    ask.answer(None)


async def _produce(ask: StreamAsk, items: Any) -> None:
    channel = ask.channel
    try:
        async for item in items:
            await channel.put(item)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


def _produced(job: Worker, value: Any, error: BaseException | None) -> None:
    ask = job.ask
    assert ask is not None
    ask.work = None
    if error is not None and not isinstance(error, Exception):
        error = life.interrupted(ask.cell, error)
    ask.channel.finish(error)  # type: ignore[attr-defined]
