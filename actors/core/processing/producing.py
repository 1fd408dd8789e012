"""The actor's side of a stream: what the handler returned is iterated beside the mailbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import Any

from ..base.errors import NotAStream
from ..base.lifecycle import Phase
from ..base.send_context import active
from ..life.crash import crash_soon, interrupted, is_fatal
from ..mail.ask import StreamAsk
from ..mail.cell import Cell, describe
from ..mail.channel import Channel
from .jobs import JobDriver, start_job


def serve(cell: Cell, ask: StreamAsk, items: Any) -> None:
    """Answer a stream request with what the handler returned."""
    if not hasattr(items, "__aiter__"):
        ask.fail(
            NotAStream(
                f"{describe(cell)} answered a stream request with {type(items).__name__}, which is no async iterator:"
                " where self.expects is 'stream', return one, or be a generator"
            )
        )
        return
    if ask.done():
        return
    production = Production(items, ask.channel)
    ask.work = start_job(cell, production, _produced, about=ask, answering=True, send_context=ask.context)
    ask.answer(None)


def _produced(job: JobDriver, value: Any, error: BaseException | None) -> None:
    ask: StreamAsk = job.about
    ask.work = None
    if error is not None and not isinstance(error, Exception):
        error = interrupted(job.cell, error)
    ask.channel.finish(error)


def exhaust(cell: Cell, items: AsyncIterator[Any]) -> None:
    """Run a generator to its end for a tell, whose sender wants none of its items. A failure crashes the actor."""
    start_job(cell, Production(items, None), _exhausted, answering=True, send_context=active.get())


def _exhausted(job: JobDriver, value: Any, error: BaseException | None) -> None:
    cell = job.cell
    if error is not None and (is_fatal(error) or (isinstance(error, Exception) and cell.phase == Phase.RUNNING)):
        crash_soon(cell, error)


class Production(Coroutine[Any, Any, None]):
    """Iterates a producer into a channel.

    It is a coroutine of its own making for the sake of `close`: before 3.13, closing a coroutine that waits inside of
    an async generator does not reach the generator, and its ``finally`` would never run.

    Args:
        items: the producer.
        channel: where the items go; None drops them.
    """

    __slots__ = ("_coro", "_step")

    def __init__(self, items: AsyncIterator[Any], channel: Channel | None) -> None:
        self._step: Any = None
        self._coro: Any = self._produce(items, channel)

    async def _produce(self, items: AsyncIterator[Any], channel: Channel | None) -> None:
        iterator = items.__aiter__()
        try:
            while True:
                if channel is not None:
                    await channel.room()  # before the next item is made
                self._step = iterator.__anext__()
                try:
                    item = await self._step
                except StopAsyncIteration:
                    return
                finally:
                    self._step = None
                if channel is not None:
                    channel.put(item)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def send(self, value: Any) -> Any:
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coro.throw(*error)

    def close(self) -> None:
        """End the producer first, then what iterates it."""
        step = self._step
        try:
            if step is not None and hasattr(step, "throw"):
                step.throw(GeneratorExit())
        except (GeneratorExit, StopIteration, StopAsyncIteration):
            pass
        finally:
            self._coro.close()

    def __await__(self) -> Any:
        return self._coro.__await__()

    @property
    def cr_frame(self) -> Any:
        """The frame to show for the task."""
        return self._coro.cr_frame

    @property
    def cr_running(self) -> bool:
        """Whether it is on the stack."""
        return bool(self._coro.cr_running)
