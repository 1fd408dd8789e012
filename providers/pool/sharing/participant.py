"""One process's part in what several share: what it claims next, given what the others have told. Pure.

A share is lowered here before that is told, and raised after: so all shares together are at no moment more than there
is. It is never told to be lower than what was used of it in the period that vendors count in.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

from ..admission.windows import Shared
from .book import ALIVE, TOUCH, Book, Claim, Key, Row, plain
from .policy import Wish, targets

HOLD: Final = 5.0
"""Seconds for which room for what waited is kept, however many others wait."""

_STILL: Final = 3.0
"""Seconds for which something counts as waiting that did a while ago, so that it is not told with each breath."""

_LONG: Final = 120.0
"""A period of so many seconds is long: of its limits a process claims little more than it has used."""

_AHEAD: Final = 100
"""The part of such a limit that it claims ahead: a hundredth, which a process that dies takes with it."""

_NOTICED: Final = 20
"""A twentieth of a limit: what nobody waits for is moved only if it is more."""

_SPARE: Final = 0.5
"""The part of what nobody wants that nobody has: so a process that dies does not take all with it. Of a bucket's limit
it would be lost, which gives nothing at once of a share that grows, and need not wait for what the dead one had."""

_SILENT: Final = TOUCH + 5.0
"""Seconds without a word after which a process is perhaps no more."""

_UNUSED: Final = 4
"""A quarter of a limit: what is given back without being wanted by anybody is more than that."""


@dataclass(slots=True)
class _Want:
    """What is wanted here of one limit."""

    amount: int = 0
    lump: int = 0
    waited_at: float = -math.inf
    room_since: float = -math.inf


class Participant:
    """What a process claims. Lives as long as the process, since vendors go on counting.

    Attributes:
        process: its name, unique for ever.
        seen: whether others would see at once that its process has ended.
        book: what all have told, as far as it was read.
    """

    def __init__(self) -> None:
        self.process = uuid4().hex
        self.seen = False
        self.book = Book()
        self._number = 0
        self._told_at = -math.inf
        self._wants: dict[Key, _Want] = {}
        self._shares: dict[Key, float] = {}
        self._free: dict[Key, float] = {}
        self._new: set[Key] = set()
        self._helds: dict[Key, float] = {}

    @property
    def row(self) -> Row | None:
        """What it has told, as far as that was read."""
        return self.book.rows.get(self.process)

    @property
    def alive_until(self) -> float:
        """Until when what it has told lets it send."""
        row = self.row
        return -math.inf if row is None or row.left else self._told_at + ALIVE

    def next(
        self, limits: Mapping[Key, Shared], gone: Collection[str], waiting: int, now: float
    ) -> dict[str, Any] | None:
        """Return what to tell next, or None where nothing is new. Shares that become lower are so at once.

        Args:
            limits: those that are shared.
            gone: endpoints to which nothing is sent any more.
            waiting: how many requests wait.
            now: the time.
        """
        row = self.row if now < self.alive_until else None
        before = {} if row is None else row.claims
        claims = {}
        self._shares, self._new = {}, set()
        for key, limit in limits.items():
            old = before.get(key) or Claim(0, 0, period=limit.period)
            if not old.share:  # it begins, or begins again
                if not self.book.is_new(key, now):
                    limit.share(0, now)
                elif limit.is_shared:
                    self._new.add(key)
            claim, share = self._claim(key, limit, old, key.endpoint in gone, waiting, now)
            if claim.limit or claim.share:
                claims[key] = claim
            self._shares[key] = share
            if share < limit.limit:
                limit.share(share, now)
        over = [each for each in self.book.over(now) if each[0] != self.process]
        told = {key: replace(claim, holds=()) for key, claim in claims.items()}
        known = {key: replace(claim, holds=()) for key, claim in before.items()}
        if row is not None and told == known and now - self._told_at < TOUCH:
            return None
        return self._event(claims, False, over)

    def told(self, limits: Mapping[Key, Shared], at: float, now: float) -> None:
        """What `next` returned is kept, and nobody has told anything between: shares are what it says from now on.

        Args:
            limits: those that are shared.
            at: when it was sent to be kept, or earlier.
            now: the time.
        """
        self._told_at = at
        self.settle(limits, now)

    def settle(self, limits: Mapping[Key, Shared], now: float) -> None:
        """Have the shares that `next` said."""
        for key, share in self._shares.items():
            limit = limits.get(key)
            if limit is not None and (share != limit.limit or not limit.is_shared):
                limit.share(share, now, full=key in self._new)

    def last(self, limits: Mapping[Key, Shared], now: float) -> dict[str, Any]:
        """Return what to tell as it goes: it gives back all but what was used. Nothing may be sent from now on.

        Args:
            limits: those that are shared.
            now: the time.
        """
        claims = {}
        for key, limit in limits.items():
            held = math.ceil(limit.held(now))
            holds = tuple(limit.holds(now))
            limit.share(held, now)
            if holds:
                claims[key] = Claim(0, held, period=limit.period, holds=holds)
        self._wants.clear()
        return self._event(claims, True, [])

    def hopes(self, limits: Mapping[Key, Shared]) -> bool:
        """Return whether something waits for a limit of which nobody had all that is left, when that was last seen."""
        return any(limit.refused and self._free.get(key, 0.0) >= 1.0 for key, limit in limits.items())

    def bound_until(self, limits: Mapping[Key, Shared], now: float) -> float:
        """Return until when something of these limits is kept back for what processes may have used that ended, or of
        which nothing is heard; the time itself where nothing is. What was used of a day is not waited for.

        Args:
            limits: those that are shared.
            now: the time.
        """
        until = now
        for key in limits:
            for process, row in self.book.rows.items():
                silent = now >= min(row.ended, row.born + _SILENT) and not row.left and process != self.process
                if silent and row.lasts(key, now) and row.claims[key].period <= _LONG:
                    until = max(until, min(row.ended, row.born + ALIVE) + row.claims[key].period)
        return until

    def is_busy(self, limits: Mapping[Key, Shared], now: float) -> bool:
        """Return whether something waits, or was used within a short period, or since this was last asked."""
        helds = {key: limit.held(now) for key, limit in limits.items()}
        before, self._helds = self._helds, helds
        return any(
            limit.refused or limit.recent(now) >= 0.5 if limit.period <= _LONG else helds[key] > before.get(key, 0.0)
            for key, limit in limits.items()
        )

    def _event(self, claims: Mapping[Key, Claim], left: bool, over: list[tuple[str, int]]) -> dict[str, Any]:
        self._number += 1
        row = {"number": self._number, "left": left, "seen": self.seen, "claims": plain(claims)}
        return {"process": self.process, "row": row, "gone": [list(one) for one in over]}

    def _claim(self, key: Key, limit: Shared, old: Claim, gone: bool, waiting: int, now: float) -> tuple[Claim, float]:
        """Return what it claims of a limit, and what it uses of that."""
        book, me = self.book, self.process
        whole = 0 if gone else max(1, int(limit.whole))
        want = self._wanted(key, limit, whole, waiting, now)
        held = min(math.ceil(limit.held(now)), math.ceil(book.counted_of(me, key, now)))  # of what it has told it has
        wishes = {name: wish for name, wish in book.wishes(key, now).items() if name != me}
        others = math.ceil(book.counted(key, now, but=me))
        total = min((one for one in (whole, book.limit(key, now)) if one), default=0)
        bound = others - sum(wish.share for wish in wishes.values())  # by those who have gone or died
        mine = Wish(want.amount, old.share, want.lump, old.turn)
        spare = 0.0 if limit.kind == "bucket" else _SPARE
        aims = targets(max(0, total - bound), wishes if gone else {**wishes, me: mine}, spare)
        aim = aims.get(me, 0)
        ahead = limit.period > _LONG
        if ahead:
            aim = min(aim, _ahead(old.share, held, max(1, total // _AHEAD, want.lump)))
        lacking = any(
            wish.share + (0 if wish.lump else total // _NOTICED) < aims[name] for name, wish in wishes.items()
        )
        share, use = old.share, old.share
        if aim > share and (want.lump or not share or ahead or aim - share > total // _NOTICED):
            share = use = min(aim, max(share, total - others))
        elif aim < share and (lacking or gone or ahead or share + others > total or share - aim > total // _UNUSED):
            kept = min(want.lump, share) if now - want.room_since < HOLD else 0
            share, use = max(aim, kept), max(aim, kept)
        share = max(share, held)
        turn = old.turn
        if want.lump and (share >= want.lump) != (old.share >= want.lump):
            turn = max(book.last_turn(key), turn) + 1
            want.room_since = now if share >= want.lump else -math.inf
        holds = tuple(limit.holds(now)) if limit.kind == "window" else ()
        refills = limit.kind == "bucket"
        claim = Claim(whole, share, want.amount, want.lump, turn, limit.period, holds, refills)
        self._free[key] = max(0.0, min(total - others, whole) - share)
        return claim, min(use, share)

    def _wanted(self, key: Key, limit: Shared, whole: int, waiting: int, now: float) -> _Want:
        want = self._wants.setdefault(key, _Want())
        if limit.refused:
            want.lump, want.waited_at = math.ceil(limit.refused), now
            limit.refused = 0.0
        elif now - want.waited_at >= _STILL:
            want.lump = 0
        amount = limit.recent(now) + want.lump * waiting
        if limit.paced:  # what is used says less than how fast it would be
            amount, limit.paced = max(amount, 1.5 * limit.limit), False
        step = whole / 50.0
        if not 0.75 * want.amount - step <= amount <= want.amount:
            want.amount = math.ceil(1.25 * amount + step)
        want.amount = min(want.amount, whole)
        return want


def _ahead(share: int, held: int, ahead: int) -> int:
    """Return what to claim of a limit of a long period: a little more than was used, and not a bit more each time."""
    return share if ahead / 2 <= share - held <= 2 * ahead else held + ahead
