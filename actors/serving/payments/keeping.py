"""What is kept of payments and of what was used: in the agency's journal, a stream for each run that has a price."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ...agents.agency import Agency
from ...agents.errors import AgencyClosed
from ...core.mail.future import Future
from ...journal.errors import JournalError, StreamOwned
from ...journal.store import Journal, Stream, at_hand
from .record import DONE, Payment, UsageRecord, fold

STREAMS: Final = "callboard.payments."
"""How the names of their streams begin; the run's id follows."""


class Held(NamedTuple):
    """A payment that is worked on here, and nowhere else.

    Args:
        stream: where it is kept.
        payment: how far it is.
    """

    stream: Stream
    payment: Payment

    async def append(self, kind: str, about: Mapping[str, Any] = {}, **options: Any) -> None:
        """Have an event kept, and then count it.

        Args:
            kind: what has happened.
            about: what is to be kept of it.
            options: of `Stream.append`.

        Raises:
            ValueError: it cannot follow on what was before.
            JournalError: it could not be kept.
        """
        event = {"kind": kind, **about}
        after = self.payment.after(event)
        kept: Future[None] | None = self.stream.append((event,), unfinished=after.state not in DONE, **options)
        if kept is not None:
            await kept
        self.payment.apply(event)

    async def forget(self, journal: Journal) -> None:
        """Keep nothing of it: it is as if there had been no payment."""
        if self.payment.may("void"):
            self.payment.apply({"kind": "void"})
        deleted = journal.delete(self.stream.name)
        if deleted is not None:
            await deleted

    async def release(self) -> None:
        """Let others work on it."""
        with suppress(JournalError):
            released = self.stream.release()
            if released is not None:
                await released


def journal_of(agency: Agency) -> Journal:
    """The journal of an agency that runs.

    Raises:
        AgencyClosed: it does not.
    """
    if agency.system is None:
        raise AgencyClosed("the agency is not running")
    return agency.journal


async def take_up(agency: Agency, run: str) -> Held | None:
    """Become the one who works on a run's payment; None where another worker is at it."""
    try:
        stream = await at_hand(journal_of(agency).open(f"{STREAMS}{run}"))
    except StreamOwned:
        return None
    return Held(stream, fold(stream.events))


async def look_at(agency: Agency, run: str) -> Payment:
    """How far a run's payment is, whoever works on it."""
    return fold([record.event for record in await at_hand(journal_of(agency).read(f"{STREAMS}{run}"))])


async def left_over(agency: Agency) -> list[str]:
    """The runs whose payments are not done, and that nobody alive works on."""
    found = await at_hand(journal_of(agency).headers(prefix=STREAMS, unfinished=True, abandoned=True))
    return [header.name.removeprefix(STREAMS) for header in found]


async def usage_records(
    agency: Agency,
    *,
    user: str | None = None,
    tenant: str | None = None,
    agent: str | None = None,
    after: str = "",
    limit: int = 1_000,
) -> tuple[UsageRecord, ...]:
    """What was used of what has a price, in all servers of an agency's journal, by run id.

    Args:
        agency: it; it must be running.
        user, tenant, agent: only theirs; None for all.
        after: only runs whose id is behind this one: that of the last record of the page before.
        limit: records, at most.

    Raises:
        AgencyClosed: the agency is not running.
        JournalError: they cannot be read.
    """
    wanted = (("user", user), ("tenant", tenant), ("agent", agent))
    labels = {name: given for name, given in wanted if given is not None}
    behind = f"{STREAMS}{after}" if after else ""
    journal = journal_of(agency)
    records = []
    for header in await at_hand(journal.headers(prefix=STREAMS, labels=labels or None, after=behind, limit=limit)):
        run = header.name.removeprefix(STREAMS)
        payment = await look_at(agency, run)
        if payment.state:
            records.append(payment.record(run))
    return tuple(records)
