"""Reading a stream as it grows, without owning it, in whichever process its owner is.

What comes is read once for all who follow a stream of the journal: they wait without a task of their own, and where a
thousand wait, an event costs them nothing that is not theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Final

from ....journal.errors import EventNotReadable, JournalClosed, JournalError
from ....journal.store import Journal, Record, at_hand
from ...errors import AgencyClosed
from ...turns.records import Accepted, RunRequest
from .bell import Bell
from .folding import header_of

PAGE: Final = 500
"""Records that are read at once."""

LOOK: Final = 5.0
"""Seconds after which it is looked whether the streams are still there."""


class Following:
    """Those in one agency who wait for what is written into the journal.

    Attributes:
        closed: why nobody can; empty where they can.
    """

    def __init__(self) -> None:
        self.closed = "is not running: use `async with` it"
        self.seen = 0
        """The position up to which followers were given what is theirs, or have it before them in the journal."""
        self._followers: dict[str, tuple[Follower, ...]] = {}
        """By the names of their streams."""
        self._reading: asyncio.Task[None] | None = None
        self._look: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises `AgencyClosed` where nothing can be followed."""
        if self.closed:
            raise AgencyClosed(f"the agency {self.closed}: what it kept is with whoever opens its journal next")

    def close(self, why: str) -> None:
        """Nothing can be followed any more; those who wait get `AgencyClosed`."""
        self.closed = why
        for follower in self._all():
            follower.wake()
        self._stop()

    async def begin(self, journal: Journal, stream: str, arrived: Bell, *, after: int = 0) -> Follower:
        """Begin to read a stream from version ``after + 1`` on; to be closed.

        Args:
            journal: where it is.
            stream: its name.
            arrived: rung whenever there may be something to take.
            after: the version behind which to begin.

        Raises:
            AgencyClosed: the agency has stopped.
            JournalError: the journal cannot be read.
        """
        self.check()
        if not self._reads():
            position = await at_hand(journal.position())
            self.check()
            if not self._reads():  # others may have begun meanwhile
                self._start(journal, position)
        follower = Follower(self, journal, stream, arrived, after)
        self._followers[stream] = (*self._followers.get(stream, ()), follower)
        return follower

    def end(self, follower: Follower) -> None:
        """It is not read any more."""
        stream = follower.stream
        left = tuple(one for one in self._followers.get(stream, ()) if one is not follower)
        if left:
            self._followers[stream] = left
        elif self._followers.pop(stream, None) and not self._followers:
            self._stop()

    async def follow(self, journal: Journal, stream: str, *, after: int = 0) -> AsyncGenerator[Record]:
        """The records of a stream from version ``after + 1`` on, and then those to come.

        Ends where the stream is not there any more.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        arrived = Bell()
        follower = await self.begin(journal, stream, arrived, after=after)
        try:
            while True:
                while records := await follower.take():
                    for record in records:
                        yield record
                if follower.gone:
                    return
                await arrived.wait()
        finally:
            follower.close()

    def _all(self) -> Iterator[Follower]:
        for followers in list(self._followers.values()):
            yield from followers

    def _reads(self) -> bool:
        return self._reading is not None and not self._reading.done()

    def _start(self, journal: Journal, position: int) -> None:
        loop = asyncio.get_running_loop()
        self._stop()
        self.seen = position
        self._reading = loop.create_task(self._read(journal.subscribe(after=position)), name="follow the journal")
        self._look = loop.call_later(LOOK, self._look_soon)

    def _stop(self) -> None:
        for one in (self._reading, self._look, self._looking):
            if one is not None:
                one.cancel()
        self._reading = self._look = self._looking = None

    async def _read(self, subscription: AsyncIterator[Record]) -> None:
        """Hand to each follower what comes in their stream."""
        while True:
            try:
                record = await anext(subscription)
            except EventNotReadable as error:
                for follower in self._followers.get(error.stream, ()):
                    follower.fail(error)
            except JournalClosed:
                self.close(self.closed or "has lost its journal")
                return
            except Exception as error:
                for follower in self._all():
                    follower.fail(error)
                return
            else:
                self.seen = record.position
                if type(record.event) is Accepted and record.event.run.takes_over:
                    for follower in self._followers.get(record.event.run.within, ()):
                        follower.handed = (*follower.handed, record.event.run)
                        follower.wake()
                for follower in self._followers.get(record.stream, ()):
                    follower.give(record)

    def _look_soon(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look_for_all(), name="look for what is followed")

    async def _look_for_all(self) -> None:
        """Look now and then whether the streams are still there: what is deleted says nothing."""
        for follower in self._all():
            await follower.look()
        self._look = asyncio.get_running_loop().call_later(LOOK, self._look_soon)


class Follower:
    """Reads one stream as it grows; see `Following.begin`.

    Attributes:
        stream: its name.
        gone: whether the stream is not there any more.
        handed: the runs in which others have taken over meanwhile what those of this stream were asked.
    """

    __slots__ = (
        "_arrived",
        "_behind",
        "_error",
        "_following",
        "_journal",
        "_missed",
        "_records",
        "_version",
        "gone",
        "handed",
        "stream",
    )

    def __init__(self, following: Following, journal: Journal, stream: str, arrived: Bell, after: int) -> None:
        self.stream = stream
        self.gone = False
        self.handed: Sequence[RunRequest] = ()
        self._following = following
        self._journal = journal
        self._arrived = arrived
        self._version = after
        self._records: list[Record] = []
        self._behind = True
        """Whether what comes next is to be read from the journal: it was not given, or not kept."""
        self._missed = False
        """Whether something was given since that was last read, and not kept."""
        self._error: Exception | None = None

    def wake(self) -> None:
        """There may be something to take."""
        self._arrived.ring()

    def give(self, record: Record) -> None:
        """The next record of the stream. For whoever is slow to take them no more are kept: they read them later."""
        if record.version <= self._version:  # read before; whoever waited for `Following.seen` need not any more
            self._arrived.ring()
            return
        if self._behind or record.version > self._version + 1 or len(self._records) >= PAGE:
            self._behind = self._missed = True
        else:
            self._version = record.version
            self._records.append(record)
        self._arrived.ring()

    def fail(self, error: Exception) -> None:
        """What comes next cannot be read."""
        self._error = error
        self._arrived.ring()

    async def take(self) -> Sequence[Record]:
        """What has come since it was taken last, as far as it is read at once: to be taken until there is nothing.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        try:
            while self._behind and not (self._records or self.gone or self._error or self._following.closed):
                await self._read()
        except JournalClosed:
            self._following.check()
            raise
        records, self._records = self._records, []
        if not records:
            self._following.check()
            if self._error is not None and not self.gone:
                raise self._error
        return records

    def close(self) -> None:
        """Read no more."""
        self._following.end(self)

    async def _read(self) -> None:
        self._missed = False
        records = await at_hand(self._journal.read(self.stream, after=self._version, limit=PAGE))
        if records:
            self._records.extend(records)
            self._version = records[-1].version
        elif await _version(self._journal, self.stream) < self._version:
            self.gone = True
        self._behind = self._missed or len(records) == PAGE

    async def look(self) -> None:
        """Look whether the stream is still there."""
        try:
            # Its last record is found at once; to find a header, a journal in memory looks through all streams.
            there = await at_hand(self._journal.read(self.stream, after=max(0, self._version - 1), limit=1))
            if there or await _version(self._journal, self.stream) >= self._version:
                return
        except JournalError:  # whoever reads learns of it by reading
            return
        self.gone = True
        self.wake()


async def _version(journal: Journal, stream: str) -> int:
    """The version of a stream; -1 where there is none."""
    header = await header_of(journal, stream)
    return header.version if header is not None else -1
