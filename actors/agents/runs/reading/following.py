"""Reading a stream as it grows, without owning it, in whichever process its owner is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import Final

from ....journal.errors import EventNotReadable, JournalClosed, JournalError
from ....journal.store import Journal, Record, at_hand
from ...errors import AgencyClosed
from .folding import header_of

PAGE: Final = 500
"""Records that are read at once."""

LOOK: Final = 5.0
"""Seconds after which it is looked whether the stream is still there."""


class Following:
    """Those in one agency who wait for what is written into the journal.

    Attributes:
        closed: why nobody can; empty where they can.
    """

    def __init__(self) -> None:
        self.closed = "is not running: use `async with` it"
        self._followers: set[Follower] = set()

    def check(self) -> None:
        """Raises `AgencyClosed` where nothing can be followed."""
        if self.closed:
            raise AgencyClosed(f"the agency {self.closed}: what it kept is with whoever opens its journal next")

    def close(self, why: str) -> None:
        """Nothing can be followed any more; those who wait get `AgencyClosed`."""
        self.closed = why
        for follower in self._followers:
            follower.wake()

    def begin(self, journal: Journal, stream: str, arrived: asyncio.Event, *, after: int = 0) -> Follower:
        """Begin to read a stream from version ``after + 1`` on.

        Args:
            journal: where it is.
            stream: its name.
            arrived: set whenever there is something to take.
            after: the version behind which to begin.

        Raises:
            AgencyClosed: the agency has stopped.
        """
        self.check()
        follower = Follower(self, journal, stream, arrived, after)
        self._followers.add(follower)
        return follower

    def end(self, follower: Follower) -> None:
        """It is not read any more."""
        self._followers.discard(follower)

    async def follow(self, journal: Journal, stream: str, *, after: int = 0) -> AsyncGenerator[Record]:
        """The records of a stream from version ``after + 1`` on, and then those to come.

        Ends where the stream is not there any more.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        arrived = asyncio.Event()
        follower = self.begin(journal, stream, arrived, after=after)
        try:
            while True:
                arrived.clear()
                for record in follower.take():
                    yield record
                if follower.gone:
                    return
                await arrived.wait()
        finally:
            await follower.aclose()


class Follower:
    """Reads one stream as it grows; see `Following.begin`.

    Attributes:
        gone: whether the stream is not there any more.
    """

    __slots__ = (
        "_arrived",
        "_following",
        "_journal",
        "_looking",
        "_records",
        "_room",
        "_stream",
        "_task",
        "_timer",
        "_version",
        "gone",
    )

    def __init__(self, following: Following, journal: Journal, stream: str, arrived: asyncio.Event, after: int) -> None:
        self.gone = False
        self._following = following
        self._journal = journal
        self._stream = stream
        self._arrived = arrived
        self._version = after
        self._records: deque[Record] = deque()
        self._room = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._read(), name=f"follow {stream}")
        self._task.add_done_callback(lambda _: self.wake())
        self._looking: asyncio.Task[None] | None = None
        self._timer = loop.call_later(LOOK, self._look)

    def wake(self) -> None:
        """There may be something to take."""
        self._arrived.set()

    def take(self) -> Iterator[Record]:
        """What has come since it was taken last.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        records = self._records
        while records:
            yield records.popleft()
        self._room.set()
        self._following.check()
        if self._task.done() and not self.gone:
            self._task.result()

    async def aclose(self) -> None:
        """Read no more."""
        self._following.end(self)
        self._timer.cancel()
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()
                with suppress(BaseException):  # what it ended in was told when it was taken, or concerns nobody now
                    await task

    async def _read(self) -> None:
        journal, stream = self._journal, self._stream
        subscription = journal.subscribe(after=await at_hand(journal.position()), prefix=stream)
        page = PAGE
        while page == PAGE:
            records = await at_hand(journal.read(stream, after=self._version, limit=PAGE))
            page = len(records)
            for record in records:
                self._got(record)
            await self._taken(1)
        if not page and await _version(journal, stream) < self._version:
            self.gone = True
            return
        while True:
            try:
                record = await anext(subscription)
            except EventNotReadable as error:
                if error.stream == stream:
                    raise
            except JournalClosed:
                self._following.close(self._following.closed or "has lost its journal")
                self._following.check()
            else:
                if record.stream == stream:  # and not one whose name begins like it
                    self._got(record)
                    await self._taken(PAGE)

    def _got(self, record: Record) -> None:
        if record.version > self._version:
            self._version = record.version
            self._records.append(record)
            self._arrived.set()

    async def _taken(self, most: int) -> None:
        """Wait until fewer records than so many are to be taken: whoever is slow to read has no more of them kept."""
        while len(self._records) >= most:
            self._room.clear()
            await self._room.wait()

    def _look(self) -> None:
        """Look now and then whether the stream is still there."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK, self._look)
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._still_there(), name=f"look for {self._stream}")

    async def _still_there(self) -> None:
        try:
            gone = await _version(self._journal, self._stream) < self._version
        except JournalError:  # whoever reads learns of it by reading
            return
        if gone:
            self.gone = True
            self.wake()


async def _version(journal: Journal, stream: str) -> int:
    """The version of a stream; -1 where there is none."""
    header = await header_of(journal, stream)
    return header.version if header is not None else -1
