"""What is recorded of a run, and of those that others make for it once its conversation is theirs, in one order:
whoever has asked sees who answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from ....journal.store import Journal, Record, at_hand
from ...turns.records import Accepted
from .bell import Bell
from .following import PAGE, Follower, Following
from .progress import Heir, Progress, RunRecord


class Told:
    """Reads the records of a run as they come.

    Those of an agent that has taken the conversation over stand among them where they are in the journal's order,
    without the beginning and the end of its run: those of the run itself are enough.

    Args:
        following: those who follow the journal.
        journal: it.
        stream: the conversation's.
        run: the run's id.
        arrived: rung whenever there may be something to take.

    Attributes:
        over: whether the run's end was taken.
        runs: the ids of the run, and of those in which others answer for it.
    """

    __slots__ = ("_arrived", "_first", "_following", "_journal", "_sources", "over", "runs")

    def __init__(self, following: Following, journal: Journal, stream: str, run: str, arrived: Bell) -> None:
        self.over = False
        self.runs: tuple[str, ...] = ()
        self._following = following
        self._journal = journal
        self._arrived = arrived
        self._sources: list[_Source] = []
        self._first = Heir(stream, run)

    async def begin(self) -> None:
        """Begin to read; to be closed.

        Raises:
            AgencyClosed: the agency has stopped.
            JournalError: the journal cannot be read.
        """
        await self._add(self._first)

    async def _add(self, heir: Heir) -> None:
        if heir.run not in self.runs:
            follower = await self._following.begin(self._journal, heir.stream, self._arrived)
            self.runs = (*self.runs, heir.run)
            self._sources.append(_Source(heir, follower, first=not self._sources))

    @property
    def gone(self) -> bool:
        """Whether the conversation is not there any more, and nothing is left to take."""
        return self._sources[0].follower.gone and not any(source.records for source in self._sources)

    @property
    def broken(self) -> bool:
        """Whether nothing is kept of some who had the conversation for a while."""
        return any(source.progress.parent not in self.runs for source in self._sources[1:])

    @property
    def speaking(self) -> str:
        """The id of the run in which something may be said at present; empty where they are over."""
        return next((source.of.run for source in reversed(self._sources) if not source.progress.over), "")

    async def take(self) -> RunRecord | None:
        """The next record; None where there is none yet.

        Raises:
            AgencyClosed: the agency has stopped.
            EventNotReadable: a record cannot be read.
        """
        seen = self._following.seen
        for source in self._sources:  # which may become more meanwhile
            await self._fill(source)
        ready = [source for source in self._sources if source.records]
        if self.over or not ready:
            return None
        first = min(ready, key=_Source.position)
        alone = len(self._sources) == 1 and not first.progress.calls
        if not alone and first.position() > seen:  # what stands before it may be on its way to another one of them
            first.see(await first.follower.take())
            return None
        record = first.records.pop(0)  # of a page at most; an empty deque has 600 bytes, and thousands may wait
        self.over = record.type == "ended"
        return record

    async def _fill(self, source: _Source) -> None:
        """Read on in one conversation, until there is something of the run or nothing more."""
        kept = True
        while kept and not source.records:
            kept = source.see(await source.follower.take())
            if not source.caught_up:
                source.caught_up = not kept
                for heir in await _heirs(self._journal, source.of, source.progress):
                    await self._add(heir)
        for heir in source.heirs():
            await self._add(heir)

    def close(self) -> None:
        """Read no more."""
        for source in self._sources:
            source.follower.close()


class _Source:
    """One of the conversations from which a run is told.

    Attributes:
        records: what of it was not taken yet.
        caught_up: whether all was read that was there before: of what comes later its follower is told.
    """

    __slots__ = ("caught_up", "first", "follower", "of", "progress", "records")

    def __init__(self, heir: Heir, follower: Follower, *, first: bool) -> None:
        self.of = heir
        self.follower = follower
        self.first = first
        self.progress = Progress(heir.run)
        self.records: list[RunRecord] = []
        self.caught_up = False

    def position(self) -> int:
        """Of the next record."""
        return self.records[0].position

    def see(self, kept: Sequence[Record]) -> bool:
        """Take what was read; returns whether there was something."""
        self.records.extend(_told(self.progress, kept, first=self.first))
        return bool(kept)

    def heirs(self) -> list[Heir]:
        """Who has taken over, as far as that has become known."""
        handed, self.follower.handed = self.follower.handed, ()
        found = [Heir(run.stream_name, run.id) for run in handed if run.parent == self.of.run]
        return found if self.progress.heir is None else [*found, self.progress.heir]


def _told(progress: Progress, kept: Iterable[Record], *, first: bool) -> Iterator[RunRecord]:
    for record in kept:
        seen = progress.see(record)
        if seen is not None and (first or seen.type not in ("accepted", "ended")):
            yield seen


async def told_by_now(journal: Journal, stream: str, run: str) -> list[RunRecord]:
    """What is recorded of a run by now, in order; see `Told`.

    Raises:
        JournalError: it cannot be read.
    """
    heirs = [Heir(stream, run)]
    found: list[RunRecord] = []
    for heir in heirs:  # which become more meanwhile
        progress = Progress(heir.run)
        version, page = 0, PAGE
        while page == PAGE and not progress.over:
            records = await at_hand(journal.read(heir.stream, after=version, limit=PAGE))
            page = len(records)
            found += _told(progress, records, first=heir is heirs[0])
            version = records[-1].version if records else version
        heirs += [one for one in await _heirs(journal, heir, progress) if one not in heirs]
    return sorted(found, key=attrgetter("position"))


async def _heirs(journal: Journal, of: Heir, progress: Progress) -> list[Heir]:
    """Who has taken over, as the journal has it."""
    found = [] if progress.heir is None else [progress.heir]
    if progress.over or not progress.calls:
        return found
    for header in await at_hand(journal.headers(labels={"parent": of.stream})):  # it does not say so before the end
        for record in await at_hand(journal.read(header.name, limit=1)):
            made = record.event.run if type(record.event) is Accepted else None
            if made is not None and made.takes_over and made.parent == of.run:
                found.append(Heir(header.name, made.id))
    return found
