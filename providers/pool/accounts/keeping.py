"""What budgets have booked, kept in a journal: it outlives the process, and several processes share one account.

Each process appends what it has booked, a second's worth at a time, and reads what the others have. Nobody owns the
stream: the version that each append expects puts them in order. Once it is long, a new stream takes its place that
begins with the sums.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from ....actors.core.mail.future import Future
from ....actors.journal.errors import JournalClosed, JournalError, StreamConflict, StreamFenced, StreamOwned
from ....actors.journal.store import Journal, at_hand
from ... import checks
from .budgets import Budgets
from .periods import PERIODS, Spending

STREAM: Final = "callboard.budgets"
"""How the names of a pool's streams begin. There is one, or for a moment two."""

BEHIND: Final = 1.0
"""Seconds after which what was booked is appended."""

LONGEST: Final = 1_000
"""Events after which a new stream is begun."""

_TRIES: Final = 20
_CLOSING: Final = 5.0
_PAUSE: Final = 0.05

logger = logging.getLogger("callboard.pool")


class Keeper:
    """Keeps what budgets book in a journal.

    Args:
        budgets: whose.
        journal: where; it must take plain dictionaries as events.
        stream: how the names of the streams begin in which it is kept.
    """

    def __init__(self, budgets: Budgets, journal: Journal, stream: str = STREAM) -> None:
        self._budgets = budgets
        budgets.kept = True  # from now on, also while the pool is restarted
        self._journal = journal
        self._prefix = stream
        self._name = ""
        self._version = 0
        self._troubled = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what was spent, and keep what is booked from now on.

        Raises:
            JournalError: it cannot be read. Without it no budget could be held.
        """
        await self._load()
        self._budgets.on_change = self._changed

    async def close(self) -> None:
        """Keep what is booked, and no more from now on."""
        self._budgets.on_change = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                if self._task is not None:
                    await self._task
                if self._budgets.unsaved:
                    await self._kept()

    def _changed(self) -> None:
        if self._timer is None and self._task is None:
            self._timer = asyncio.get_running_loop().call_later(BEHIND, self._due)

    def _due(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._kept(), name="keeping budgets")
        self._task.add_done_callback(self._done)

    def _done(self, _: object) -> None:
        self._task = None
        if self._budgets.unsaved and self._budgets.on_change is not None:
            self._changed()

    async def _kept(self) -> None:
        try:
            await self._sync()
            if self._version > LONGEST:
                await self._shorten()
        except JournalError as error:
            self._put_back()
            if isinstance(error, JournalClosed):
                self._budgets.on_change = None
            if not self._troubled:
                logger.warning("what budgets have booked is not kept: %s: %s", type(error).__name__, error)
            self._troubled = True
        else:
            self._troubled = False

    async def _sync(self) -> None:
        """Append what was booked here, and take in what was booked elsewhere."""
        budgets = self._budgets
        for _ in range(_TRIES):
            if not budgets.unsaved:
                await self._catch_up()
                return
            # By the minute in which it was spent: by now it may be the next one, or the clock be another.
            events = [{"id": uuid4().hex, "at": at, "spent": amounts} for at, amounts in budgets.unsaved.items()]
            budgets.unsaved, budgets.sending = {}, events
            try:
                self._version = await at_hand(self._journal.append(self._name, events, expected=self._version))
            except StreamConflict:
                self._put_back()
                await self._catch_up()
            except StreamOwned:
                self._put_back()  # somebody is about to begin a new stream
                return
            else:
                budgets.sending = []
                return

    def _put_back(self) -> None:
        budgets = self._budgets
        for event in budgets.sending:
            budgets.save(event["spent"], event["at"])
        budgets.sending = []

    async def _catch_up(self) -> None:
        records = await at_hand(self._journal.read(self._name, after=self._version))
        if records:  # others': an append that went well was the next after what had been read
            take_in(self._budgets.spending, (record.event for record in records), self._budgets.clock())
            self._version = records[-1].version
        elif self._name != await self._newest():
            await self._load()

    async def _newest(self) -> str:
        """The name of the stream that counts. One without events was to take its place, and its process died."""
        headers = await at_hand(self._journal.headers(prefix=f"{self._prefix}."))
        return next((header.name for header in reversed(headers) if header.version), "")

    async def _load(self) -> None:
        """Read the stream from its beginning, or begin one."""
        budgets = self._budgets
        records: Any = ()
        while not records:
            self._name = await self._newest()
            if not self._name:
                try:
                    await self._begin(1, Spending(budgets.lasts), ())
                except (StreamOwned, StreamFenced):  # another pool is about to
                    await asyncio.sleep(_PAUSE)
                continue
            records = await at_hand(self._journal.read(self._name))
        self._version = records[-1].version
        spending = Spending(budgets.lasts)
        now = budgets.clock()
        take_in(spending, (record.event for record in records), now)
        if budgets.sending:  # the pool crashed while they were appended, all or none
            if budgets.sending[0]["id"] in {record.event.get("id") for record in records}:
                budgets.sending = []
            self._put_back()
        for at, amounts in budgets.unsaved.items():
            spending.add(amounts, at, now)
        budgets.spending = spending

    async def _begin(self, number: int, spending: Spending, drop: tuple[str, ...]) -> None:
        stream = await at_hand(self._journal.open(f"{self._prefix}.{number:09}"))
        try:
            if not stream.version:  # nobody else was faster
                # A stream with work left in it is not pruned, however long nothing is spent.
                await _done(stream.append(({"totals": spending.plain()},), unfinished=True, drop=drop))
        finally:
            with suppress(JournalError):
                await _done(stream.release())

    async def _shorten(self) -> None:
        """Begin a new stream with the sums of this one."""
        try:
            stream = await at_hand(self._journal.open(self._name))
        except StreamOwned:
            return  # another process does it
        try:
            spending = Spending(self._budgets.lasts)
            take_in(spending, stream.events, self._budgets.clock())
            await self._begin(int(self._name.rpartition(".")[2]) + 1, spending, (self._name,))
        finally:
            with suppress(JournalError):
                await _done(stream.release())
        await self._load()


def take_in(spending: Spending, events: Iterable[Any], now: float) -> None:
    """Count what events say, each in its own time. Sums are only found at the beginning of a stream.

    What is no amount, or of no time, is left out, as nobody spends it: one of them would make every sum after it none,
    and so switch budgets off.

    Args:
        spending: where.
        events: as they were kept.
        now: the time.
    """
    for event in events:
        if "totals" in event:
            totals: Mapping[str, Any] = event["totals"]
            kept: dict[str, Any] = {
                period: {name: _amounts(sums) for name, sums in _by_name(totals.get(period, {})).items()}
                for period in PERIODS
            }
            spending.replace({"total": _amounts(totals["total"]), **kept})
        elif checks.AMOUNT.fits(event["at"]) and event["at"] < _LATEST:
            spending.add(_amounts(event["spent"]), event["at"], now)
        else:
            logger.warning("the kept budgets hold something of no time, which is left out")


_LATEST: Final = 253_402_300_800.0
"""The year 10000, in seconds since 1970."""


def _by_name(sums: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the sums by the period's name; before several of them were kept, it was the name and the sums of one."""
    return {sums[0]: sums[1]} if isinstance(sums, list | tuple) else sums


def _amounts(spent: Mapping[str, Any]) -> dict[str, float]:
    amounts = {account: dollars for account, dollars in spent.items() if checks.AMOUNT.fits(dollars)}
    if len(amounts) < len(spent):
        wrong = ", ".join(sorted(spent.keys() - amounts.keys()))
        logger.warning("the kept budgets hold what is no amount, which is left out, of %s", wrong)
    return amounts


async def _done(future: Future[None] | None) -> None:
    if future is not None:
        await future
