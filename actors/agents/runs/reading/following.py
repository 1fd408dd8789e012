"""Reading a stream as it grows, without owning it, in whichever process its owner is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Final

from ....journal.errors import EventNotReadable, JournalClosed
from ....journal.store import Journal, Record, at_hand
from ...errors import AgencyClosed
from .folding import header_of

PAGE: Final = 500
"""Records that are read at once."""

LOOK: Final = 5.0
"""Seconds after which it is looked whether the stream is still there."""


class Following:
    """Those in one agency who wait for what is written into its journal.

    Attributes:
        closed: why nobody can; empty where they can.
    """

    def __init__(self) -> None:
        self.closed = "is not running: use `async with` it"
        self._tasks: set[asyncio.Task[Record]] = set()

    def check(self) -> None:
        """Raises `AgencyClosed` where nothing can be followed."""
        if self.closed:
            raise AgencyClosed(f"the agency {self.closed}: what it kept is with whoever opens its journal next")

    def close(self, why: str) -> None:
        """Nothing can be followed any more; those who wait get `AgencyClosed`."""
        self.closed = why
        for task in self._tasks:
            task.cancel()

    async def follow(self, journal: Journal, stream: str, *, after: int = 0) -> AsyncGenerator[Record]:
        """The records of a stream from version ``after + 1`` on, and then those to come.

        Ends where the stream is not there any more.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        self.check()
        position = await at_hand(journal.position())
        version, page = after, PAGE
        while page == PAGE:
            self.check()
            records = await at_hand(journal.read(stream, after=version, limit=PAGE))
            page = len(records)
            for record in records:
                version = record.version
                yield record
        self.check()
        if not page and await _version(journal, stream) < version:
            return
        async for new in self._coming(journal, stream, position):
            if new is not None and new.version > version:
                version = new.version
                yield new
            elif new is None and await _version(journal, stream) < version:
                return

    async def _coming(self, journal: Journal, stream: str, position: int) -> AsyncGenerator[Record | None]:
        """The records to come; None now and then."""
        subscription = journal.subscribe(after=position, prefix=stream)
        task: asyncio.Task[Record] | None = None
        try:
            while True:
                if task is None:
                    task = asyncio.get_running_loop().create_task(_next(subscription), name=f"follow {stream}")
                    self._tasks.add(task)
                await asyncio.wait((task,), timeout=LOOK)
                self.check()
                if not task.done():
                    yield None
                    continue
                self._tasks.discard(task)
                done, task = task, None
                try:
                    record = done.result()
                except EventNotReadable as error:
                    if error.stream == stream:
                        raise
                except JournalClosed:
                    self.close(self.closed or "has lost its journal")
                    self.check()
                else:
                    if record.stream == stream:  # and not one whose name begins like it
                        yield record
        finally:
            if task is not None:
                self._tasks.discard(task)
                task.cancel()
                with suppress(BaseException):
                    await task


async def _next(subscription: AsyncIterator[Record]) -> Record:
    return await anext(subscription)


async def _version(journal: Journal, stream: str) -> int:
    """The version of a stream; -1 where there is none."""
    header = await header_of(journal, stream)
    return header.version if header is not None else -1
