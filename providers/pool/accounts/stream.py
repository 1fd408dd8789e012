"""A stream of a journal that several processes append to: nobody owns it, the version that each append expects puts
them in order. Once it is long, a new stream takes its place that begins with the sums.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from ....actors.core.mail.future import Future
from ....actors.journal.errors import JournalError, StreamFenced, StreamOwned
from ....actors.journal.store import Journal, Record, at_hand

LONGEST: Final = 1_000
"""Events after which a new stream is begun."""

_PAUSE: Final = 0.05


class CommonStream:
    """Events of all processes that share a journal.

    Args:
        journal: where; it must take plain dictionaries as events.
        prefix: how the names of the streams begin in which they are kept. There is one, or for a moment two.
        sums: returns the one event that stands for others; for none of them: that a stream begins with.

    Attributes:
        version: up to which it was read, or appended to.
    """

    def __init__(self, journal: Journal, prefix: str, sums: Callable[[Sequence[Any]], Any]) -> None:
        self._journal = journal
        self._prefix = prefix
        self._sums = sums
        self._name = ""
        self.version = 0

    @property
    def long(self) -> bool:
        """Whether a new one is to be begun."""
        return self.version > LONGEST

    async def load(self) -> Sequence[Record]:
        """Return all that is kept; where nothing is, a stream is begun.

        Raises:
            JournalError: it cannot be read.
        """
        records: Sequence[Record] = ()
        while not records:
            self._name = await self._newest()
            if not self._name:
                try:
                    await self._begin(1, self._sums(()), ())
                except (StreamOwned, StreamFenced):  # another process is about to
                    await asyncio.sleep(_PAUSE)
                continue
            records = await at_hand(self._journal.read(self._name))
        self.version = records[-1].version
        return records

    async def news(self) -> Sequence[Record] | None:
        """Return what was appended behind `version`; None where another stream counts now, and is to be loaded."""
        records = await at_hand(self._journal.read(self._name, after=self.version))
        if records:
            self.version = records[-1].version
        elif self._name != await self._newest():
            return None
        return records

    async def append(self, events: Sequence[Any]) -> int:
        """Add events, if nobody has added any behind `version`. Return the version that it has then, which is not read.

        Raises:
            StreamConflict: somebody has, or has begun a new stream.
            StreamOwned: somebody is about to begin a new one.
            JournalError: it cannot be written.
        """
        return await at_hand(self._journal.append(self._name, events, expected=self.version))

    async def shorten(self) -> bool:
        """Begin a new stream with the sums of this one, which is then to be loaded; False if another process does."""
        try:
            stream = await at_hand(self._journal.open(self._name))
        except StreamOwned:
            return False
        try:
            await self._begin(int(self._name.rpartition(".")[2]) + 1, self._sums(stream.events), (self._name,))
        finally:
            with suppress(JournalError):
                await _done(stream.release())
        return True

    async def _newest(self) -> str:
        """The name of the stream that counts. One without events was to take its place, and its process died."""
        headers = await at_hand(self._journal.headers(prefix=f"{self._prefix}."))
        return next((header.name for header in reversed(headers) if header.version), "")

    async def _begin(self, number: int, first: Any, drop: tuple[str, ...]) -> None:
        stream = await at_hand(self._journal.open(f"{self._prefix}.{number:09}"))
        try:
            if not stream.version:  # nobody else was faster
                # A stream with work left in it is not pruned, however long nothing is added.
                await _done(stream.append((first,), unfinished=True, drop=drop))
        finally:
            with suppress(JournalError):
                await _done(stream.release())


async def _done(future: Future[None] | None) -> None:
    if future is not None:
        await future
