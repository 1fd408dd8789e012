"""The reader's side of a stream: an ask whose answer is many items, with back-pressure, ended by either side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..base.errors import SystemClosed
from ..mail.ask import StreamAsk
from ..mail.channel import END

if TYPE_CHECKING:
    from types import TracebackType

T_co = TypeVar("T_co", covariant=True)


class Stream(AsyncIterator[T_co]):
    """The items an actor answers with, one after another.

    Iterate it, or use it as ``async with``; leaving early, or closing it, cancels the producer. Several readers share
    the items: each goes to one of them.
    """

    __slots__ = ("_ask", "_beginning")

    def __init__(self, ask: StreamAsk) -> None:
        self._ask = ask
        self._beginning: asyncio.Future[Any] | None = None

    @property
    def ready(self) -> bool:
        """Whether the next item, or the end, is at hand, so that reading it does not wait."""
        ask = self._ask
        return ask.done() and ask.channel.ready

    async def __anext__(self) -> T_co:
        ask = self._ask
        if ask.cell.runtime.loop is not asyncio.get_running_loop():
            raise SystemClosed("a stream is read on the event loop of its system")
        try:
            if not ask.done():
                await self._begun()
            if ask.cancelled() or (ask.channel.finished and ask.failed()):
                raise StopAsyncIteration  # it was closed before it had begun, or its failure has been told
            ask.result()
            item: T_co = await ask.channel.get()
        except StopAsyncIteration:
            raise
        except BaseException:
            self._leave()
            raise
        if item is END:
            raise StopAsyncIteration
        return item

    async def _begun(self) -> None:
        """Wait until the stream has begun. The first reader awaits the ask itself, the others what that one finds."""
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
            return
        self._beginning = asyncio.get_running_loop().create_future()
        try:
            await self._ask
        except Exception:
            return  # read from the ask, by every reader
        finally:
            self._beginning.set_result(None)
            self._beginning = None

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
        runtime = ask.cell.runtime
        if not ask.channel.finished and not runtime.closed and not runtime.forked:
            # Not now: the garbage collector calls this anywhere, in the middle of the dispatcher too.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                runtime.loop.call_soon_threadsafe(_abandon, ask)

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
