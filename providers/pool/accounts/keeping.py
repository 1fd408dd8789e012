"""What budgets have booked, kept in a journal: it outlives the process, and several processes share one account.

Each process appends what it has booked, a second's worth at a time, and reads what the others have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from ....actors.journal.errors import JournalClosed, JournalError, StreamConflict, StreamOwned
from ....actors.journal.store import Journal
from ... import checks
from .budgets import Budgets
from .periods import PERIODS, Spending
from .stream import CommonStream

STREAM: Final = "callboard.budgets"
"""How the names of a pool's streams begin. There is one, or for a moment two."""

BEHIND: Final = 1.0
"""Seconds after which what was booked is appended."""

_TRIES: Final = 20
_CLOSING: Final = 5.0

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
        self._stream = CommonStream(journal, stream, self._sums)
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
            if self._stream.long and await self._stream.shorten():
                await self._load()
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
                self._stream.version = await self._stream.append(events)
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
        records = await self._stream.news()
        if records is None:
            await self._load()
        elif records:  # others': an append that went well was the next after what had been read
            take_in(self._budgets.spending, (record.event for record in records), self._budgets.clock())

    async def _load(self) -> None:
        """Read the stream from its beginning, or begin one."""
        budgets = self._budgets
        records = await self._stream.load()
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

    def _sums(self, events: Sequence[Any]) -> Any:
        spending = Spending(self._budgets.lasts)
        take_in(spending, events, self._budgets.clock())
        return {"totals": spending.plain()}


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
