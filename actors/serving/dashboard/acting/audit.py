"""What was done on dashboards, by whom: written into the agency's journal before it is done, and when it is over.

An action that cannot be written down is not done. Where the process dies in the middle, it stays ``asked``: nobody
knows whether it was done. Nothing of what is said is here, and no secret: of an error only its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ....core.mail.future import Future
from ....journal.errors import EventNotReadable, JournalError
from ....journal.store import Journal, Record, at_hand
from ...problems import Refused

STREAM: Final = "callboard.audit"

PAGE: Final = 100

_AT_ONCE: Final = 500
"""Events that are read at once."""

_MOST_LATER: Final = 10_000
"""Events behind an action among which its end is looked for."""

_LONGEST: Final = 300
"""Characters of a text."""

_PATIENCE: Final = 5.0
"""Seconds for which a store that cannot be written is waited for: what somebody asks for is not done an hour later."""

_late: Final[set[asyncio.Task[None]]] = set()
"""Have it written down that an action was not done, once that can be."""

Outcome: TypeAlias = Literal["asked", "done", "failed"]

logger = logging.getLogger("callboard")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An action.

    Args:
        position: its place in the log, counted from 1; later ones have higher ones.
        at: when it was asked for, in seconds since 1970 by the store's wall clock.
        who: the user, or the name of the key, by which it was asked for.
        action: ``kill``, ``cancel``, ``approve`` …
        target: upon what: an actor's path, a run's id …
        details: what else was wanted, as plain data.
        outcome: ``asked`` where nothing is known of its end: it is under way, or its process died meanwhile.
        error: the name of the error in which it failed; empty if it did not.
        ended_at: when it was over, likewise; None where that is not known.
    """

    position: int
    at: float
    who: str
    action: str
    target: str
    details: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = "asked"
    error: str = ""
    ended_at: float | None = None


class AuditPage(NamedTuple):
    """Some of the actions.

    Args:
        entries: the latest first.
        next: what `AuditLog.read` is to be given as ``before`` for the older ones; None where there are none.
    """

    entries: tuple[AuditEntry, ...]
    next: int | None


class AuditLog:
    """The audit log of the agencies that share a journal: ``await AuditLog(agency.journal).read()``.

    Args:
        journal: theirs.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def read(self, *, before: int | None = None, limit: int = PAGE) -> AuditPage:
        """The actions, the latest first.

        Args:
            before: only those with a lower position; None for all.
            limit: how many at most, from 1 on.

        Raises:
            ValueError: an argument is none of these.
            JournalError: the journal cannot be read; `EventNotReadable` where something in it is no entry.
        """
        for name, given in (("before", before), ("limit", limit)):
            if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
                raise ValueError(f"{name} is a whole number from 1 on, not {given!r:.40}")
        version = await self._version()
        first = end = version if before is None else min(before - 1, version)
        asked: list[Record] = []
        ends: dict[int, Record] = {}
        while first > 0 and len(asked) <= limit:
            after = max(0, first - _AT_ONCE)
            for record in reversed(await self._read(after, first - after)):
                _sort(record, asked, ends)
            first = after
        page = asked[:limit]
        await self._look_behind(end, version, {one.version for one in page} - ends.keys(), ends)
        entries = tuple(_entry(one, ends.get(one.version)) for one in page)
        return AuditPage(entries, entries[-1].position if len(asked) > limit else None)

    async def _look_behind(self, end: int, version: int, open: set[int], ends: dict[int, Record]) -> None:
        """Look for the ends of actions among what is behind the page."""
        last = min(version, end + _MOST_LATER)
        while open and end < last:
            for record in await self._read(end, min(_AT_ONCE, last - end)):
                _sort(record, [], ends)
            open -= ends.keys()
            end += _AT_ONCE

    async def _version(self) -> int:
        headers = await at_hand(self._journal.headers(prefix=STREAM, limit=1))
        return headers[0].version if headers and headers[0].name == STREAM else 0

    async def _read(self, after: int, limit: int) -> list[Record]:
        return list(await at_hand(self._journal.read(STREAM, after=after, limit=limit)))

    @asynccontextmanager
    async def action(
        self, who: str, action: str, target: str, details: Mapping[str, Any] | None = None
    ) -> AsyncIterator[None]:
        """Have what is done within written down: that it is asked for before it begins, and how it has ended.

        Args:
            who, action, target, details: see `AuditEntry`; long texts are cut.

        Raises:
            JournalError: it could not be written down, or not within 5 seconds; nothing of what is within was done.
        """
        kept = {name: _cut(one) for name, one in (details or {}).items()}
        event = {"who": _cut(who), "action": action, "target": _cut(target), "details": kept}
        position = await self._asked(event)
        try:
            yield
        except Exception as error:
            name = error.problem.code if isinstance(error, Refused) else type(error).__name__
            await self._ended(position, "failed", name)
            raise
        await self._ended(position, "done")

    async def _asked(self, event: dict[str, Any]) -> int:
        written = self._journal.append(STREAM, [{"asked": event}])
        if not isinstance(written, Future):
            return written
        try:
            return await asyncio.wait_for(asyncio.shield(written), _PATIENCE)
        except TimeoutError:
            task = asyncio.get_running_loop().create_task(self._too_late(written), name="audit log")
            _late.add(task)
            task.add_done_callback(_late.discard)
            raise JournalError("the audit log cannot be written now: nothing was done, ask again later") from None

    async def _too_late(self, written: Future[int]) -> None:
        with suppress(JournalError):
            await self._ended(await written, "failed", JournalError.__name__)

    async def _ended(self, position: int, outcome: Outcome, error: str = "") -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await at_hand(self._journal.append(STREAM, [{"of": position, "outcome": outcome, "error": error}]))
        except (JournalError, TimeoutError) as failed:
            why = str(failed) or "the journal cannot be written now"
            logger.warning("the audit log does not say that action %d is %s: %s", position, outcome, why)


def _sort(record: Record, asked: list[Record], ends: dict[int, Record]) -> None:
    match record.event:
        case {"asked": {"who": str(), "action": str(), "target": str(), "details": dict()}}:
            asked.append(record)
        case {"of": int(position), "outcome": "done" | "failed", "error": str()}:
            ends.setdefault(position, record)
        case _:
            raise EventNotReadable(f"event {record.version} of {STREAM} is no entry of an audit log", STREAM)


def _entry(asked: Record, ended: Record | None) -> AuditEntry:
    event = asked.event["asked"]
    told = (event["who"], event["action"], event["target"], event["details"])
    if ended is None:
        return AuditEntry(asked.version, asked.at, *told)
    return AuditEntry(asked.version, asked.at, *told, ended.event["outcome"], ended.event["error"], ended.at)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[: _LONGEST - 1]}…"
    return value
