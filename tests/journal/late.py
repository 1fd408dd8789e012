"""A journal in memory whose writes take their time, as those of a database do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from callboard.actors import Future
from callboard.actors.journal import EventNotWritable, MemoryJournal, Stream


class LateJournal:
    """Carries out one write after the other, each some seconds after it was asked for. It has what actors use.

    Args:
        kept: where it is kept in the end.
        seconds: that a write takes.
    """

    def __init__(self, kept: MemoryJournal, seconds: float = 1.0) -> None:
        self.kept = kept
        self.worker = kept.worker
        self.seconds = seconds
        self._last: Future[Any] | None = None
        self._free = 0.0

    def open(self, stream: str) -> Future[LateStream]:
        return self.later(lambda: LateStream(self, self.kept.open(stream)))

    def later(self, write: Callable[[], Any]) -> Future[Any]:
        loop = asyncio.get_running_loop()
        self._free = max(self._free, loop.time()) + self.seconds
        done: Future[Any] = Future()
        loop.call_at(self._free, self._carry_out, write, done)
        self._last = done
        return done

    def _carry_out(self, write: Callable[[], Any], done: Future[Any]) -> None:
        try:
            result = write()
            value = result.result() if isinstance(result, Future) else result
        except Exception as error:
            if not done.done():  # nobody has given it up
                done.set_exception(error)
        else:
            if not done.done():
                done.set(value)

    async def idle(self) -> None:
        """Wait until nothing is left to be written."""
        while self._last is not None and not self._last.done():
            await asyncio.gather(self._last, return_exceptions=True)


class LateStream:
    """A handle of a `LateJournal`."""

    def __init__(self, journal: LateJournal, kept: Stream) -> None:
        self.name = kept.name
        self.epoch = kept.epoch
        self.version = kept.version
        self.snapshot = kept.snapshot
        self.events = kept.events
        self._journal = journal
        self._kept = kept

    def append(self, events: Sequence[Any], **more: Any) -> Future[None]:
        if any(type(event) is object for event in events):
            raise EventNotWritable("an object cannot be written")
        self.version += len(events)
        return self._journal.later(lambda: self._kept.append(events, **more))

    def keep_snapshot(self, event: Any) -> None:
        self._journal.later(lambda: self._kept.keep_snapshot(event))

    def release(self) -> Future[None]:
        return self._journal.later(self._kept.release)
