"""What the processes have told each other of the limits that they share. Pure: the caller passes the time.

Each has a row: for each limit the share that it claims, and what it wants. A row is told anew every `TOUCH` seconds,
and whoever has not told it for `ALIVE` seconds sends nothing more; so nobody need know who is alive: a row that nobody
has told for so long, and the period on top in which vendors count, binds nobody. Where it is seen that a process has
ended, that period begins then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .policy import Wish

ALIVE: Final = 40.0
"""Seconds for which a row lets its process send."""

TOUCH: Final = 10.0
"""Seconds after which a row is told anew, so that a journal that is away for a while stops nobody."""


ALL: Final = "*"
"""In place of a model: all of an endpoint."""


class Key(NamedTuple):
    """Which limit.

    Args:
        endpoint: its name.
        model: whose limit it is; `ALL` for that which all models share.
        kind: its name in `Quota`.
    """

    endpoint: str
    model: str
    kind: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One process's part of one limit.

    Args:
        limit: all of it, as the process knows it; 0 where it has it no more.
        share: what it may use.
        want, lump, turn: see `Wish`.
        period: seconds for which what was used counts.
        holds: when what was used leaves the period, in seconds from when it was told, and how much; () where that is
            not told, since the share counts for all of it.
        refills: whether it is of a bucket, which gives nothing at once of a share that grew.
    """

    limit: int
    share: int
    want: int = 0
    lump: int = 0
    turn: int = 0
    period: float = 60.0
    holds: tuple[tuple[float, float], ...] = ()
    refills: bool = False

    def plain(self) -> list[Any]:
        """Return what JSON can say."""
        holds = [list(one) for one in self.holds]
        return [self.limit, self.share, self.want, self.lump, self.turn, self.period, holds, self.refills]

    @classmethod
    def of(cls, plain: list[Any]) -> Claim:
        """Return a claim as it was kept; what a later version has added is left out.

        Raises:
            TypeError: it has other things in it than numbers.
            ValueError: there are fewer than there should be, or some are less than 0.
        """
        *amounts, period, holds = plain[:7]
        refills = plain[7:8] == [True]  # an earlier version does not say
        times = [period, *(after for after, _ in holds)]
        if not all(type(one) is int for one in amounts) or not all(type(one) in (int, float) for one in times):
            raise TypeError("a claim is made of numbers")
        if min(*amounts, period, *(amount for _, amount in holds)) < 0:
            raise ValueError("nobody claims less than nothing")
        limit, share, want, lump, turn = amounts
        return cls(limit, share, want, lump, turn, period, tuple((after, amount) for after, amount in holds), refills)

    def counted(self, age: float, left: bool, ended: float = ALIVE) -> float:
        """Return how much of the limit it takes from others.

        Args:
            age: seconds since it was told, at least.
            left: whether its process has gone.
            ended: the age at which it can have sent its last, if it has not gone.
        """
        if age < ended and not left:
            return self.share
        used = sum(amount for after, amount in self.holds if after > age)
        if left or age >= ended + self.period:
            return used
        if self.refills:  # whoever has it next must wait for what is in it, as the dead one would have had to
            return 0.0
        # What had left the period by its end may have been used once more by then. How old the row was at its end is
        # not known, as it was heard of later than it was told; but it was at most so old.
        again = max(0.0, self.share - sum(amount for after, amount in self.holds if after > ALIVE))
        return min(float(self.share), used + again)


@dataclass(slots=True)
class Row:
    """What a process has told.

    Args:
        number: how often it has told something; so no row is taken for another.
        claims: by limit.
        left: whether it has gone, and sends nothing more.
        seen: whether its end would be seen.
        born: when it was told, or later, by the clock of who reads it.
        at: the same by the journal's clock, while that is all one knows of its age.
        ended: when its process was seen to have ended, by the clock of who reads it; infinite where it was not.
    """

    number: int
    claims: dict[Key, Claim]
    left: bool
    seen: bool
    born: float
    at: float | None = None
    ended: float = math.inf

    def alive(self, now: float) -> bool:
        """Return whether its process may send."""
        return not self.left and now < min(self.ended, self.born + ALIVE)

    def counted(self, key: Key, now: float) -> float:
        """Return how much of a limit it takes from others."""
        ended = max(0.0, min(ALIVE, self.ended - self.born))
        return self.claims[key].counted(now - self.born, self.left, ended) if key in self.claims else 0.0

    def lasts(self, key: Key, now: float) -> bool:
        """Return whether anything of a limit is used by its process, or was lately."""
        claim = self.claims.get(key)
        if claim is None:
            return False
        lately = claim.refills and not self.left and now < min(self.ended, self.born + ALIVE) + claim.period
        return lately or self.alive(now) or self.counted(key, now) > 0.0

    def over(self, now: float) -> bool:
        """Return whether it counts no more."""
        return not self.alive(now) and not any(self.lasts(key, now) for key in self.claims)


@dataclass(slots=True)
class Book:
    """All rows, by process."""

    rows: dict[str, Row] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any], now: float, at: float | None = None) -> None:
        """Take in what was kept: a row, or the sums that a stream begins with.

        Args:
            event: it.
            now: the time.
            at: when it was kept, by the journal's clock, if that was before anybody here looked.
        """
        if "rows" in event:
            rows = {}
            for process, age, row in event["rows"]:
                known = self.rows.get(process)
                if known is None or known.number != row["number"]:
                    known = _row(row, now, None if at is None else at - age)
                rows[process] = known
            self.rows = rows
            return
        for process, number in event.get("gone", ()):
            if process in self.rows and self.rows[process].number == number:
                del self.rows[process]
        known_row = self.rows.get(event["process"])
        if known_row is None or known_row.number < event["row"]["number"]:
            self.rows[event["process"]] = _row(event["row"], now, at)

    def settle_ages(self, at: float, now: float) -> None:
        """Learn how old the rows are that were there before anybody here looked.

        Args:
            at: the time by the journal's clock.
            now: the time.
        """
        for row in self.rows.values():
            if row.at is not None:
                row.born = min(row.born, now - max(0.0, at - row.at))
                row.at = None

    def sums(self, now: float) -> dict[str, Any]:
        """Return the event that stands for all rows."""
        return {
            "rows": [
                [
                    process,
                    max(0.0, now - row.born),
                    {"number": row.number, "left": row.left, "seen": row.seen, "claims": plain(row.claims)},
                ]
                for process, row in self.rows.items()
                if not row.over(now)
            ]
        }

    def visible(self, now: float) -> list[str]:
        """Return the processes that may send, as far as is known, and whose end would be seen."""
        return [process for process, row in self.rows.items() if row.seen and row.alive(now)]

    def end(self, processes: Iterable[str], now: float) -> None:
        """Processes were seen to have ended: they send nothing more."""
        for process in processes:
            self.rows[process].ended = min(now, self.rows[process].ended)

    def wishes(self, key: Key, now: float) -> dict[str, Wish]:
        """Return what those want of a limit who may send."""
        return {
            process: Wish(claim.want, claim.share, claim.lump, claim.turn)
            for process, row in self.rows.items()
            if (claim := row.claims.get(key)) is not None and claim.limit and row.alive(now)
        }

    def limit(self, key: Key, now: float) -> int:
        """Return the smallest that a process says a limit is."""
        return min((claim.limit for claim in self._alive(key, now) if claim.limit), default=0)

    def counted(self, key: Key, now: float, but: str = "") -> float:
        """Return how much of a limit is taken by processes, but for one."""
        return sum(self.counted_of(process, key, now) for process in self.rows if process != but)

    def counted_of(self, process: str, key: Key, now: float) -> float:
        """Return how much of a limit is taken by a process."""
        row = self.rows.get(process)
        return 0.0 if row is None else row.counted(key, now)

    def is_new(self, key: Key, now: float) -> bool:
        """Return whether nobody has used anything of a limit lately, or may."""
        return not any(row.lasts(key, now) for row in self.rows.values())

    def last_turn(self, key: Key) -> int:
        """Return the highest turn."""
        return max((row.claims[key].turn for row in self.rows.values() if key in row.claims), default=0)

    def over(self, now: float) -> Iterator[tuple[str, int]]:
        """The rows that count no more, and their numbers."""
        return ((process, row.number) for process, row in self.rows.items() if row.over(now))

    def _alive(self, key: Key, now: float) -> Iterable[Claim]:
        return (row.claims[key] for row in self.rows.values() if key in row.claims and row.alive(now))


def plain(claims: Mapping[Key, Claim]) -> list[Any]:
    """Return claims as JSON can say them."""
    return [[*key, claim.plain()] for key, claim in claims.items()]


def _row(kept: Mapping[str, Any], now: float, at: float | None) -> Row:
    claims = {Key(*one[:3]): Claim.of(one[3]) for one in kept["claims"]}
    return Row(kept["number"], claims, bool(kept["left"]), kept.get("seen") is True, now, at)
