"""How one limit is kept: as a sliding window, or as a vendor's refilling bucket. Pure: the caller passes the time.

`SlidingWindow` is the strictest of the rules vendors use: in *any* period no more is admitted than the limit. It
therefore also satisfies a vendor that keeps a fixed window, or a bucket of one period's capacity. Where a vendor is
known to keep such a bucket, `Bucket` asks for all that it gives: first all of it, and the limit again in each period.
A leaky bucket that is not the vendor's rule (aiolimiter's included) keeps no window: a full one followed by a period of
leaking admits twice the limit. What aiolimiter is good at, spacing departures, is in `pacing`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, Protocol, TypeAlias

Counting: TypeAlias = Literal["window", "bucket", "places"]

BELIEVED = 600.0
"""Seconds for which a vendor's word that a limit is lower than configured is believed, if it is not said again."""


PARTS = 24
"""In how many parts it is told when what was used leaves the period."""


def margin(period: float) -> float:
    """Return how many seconds two requests may come closer to each other on their way.

    A request is counted at the vendor when it arrives, not when it leaves here. A hundredth of a minute costs 1 % of
    the throughput; of a second it would be less than connections differ by, and of a day more than they ever do. (With
    0.05 s, one of 40 requests at two a second was answered 429 where both cores were busy with other work.)
    """
    return min(0.6, max(0.1, 0.01 * period))


class Slot:
    """What was admitted within a short time, all of it counted until the last of it leaves the window.

    Counted singly, a thousand requests a second would be 60,000 objects for the garbage collector to walk through.
    """

    __slots__ = ("amount", "live", "opened", "until")

    def __init__(self, opened: float, until: float, amount: float) -> None:
        self.opened = opened
        self.until = until  # kept as the end, so that "has it ended" and "when does it end" cannot round apart
        self.amount = amount
        self.live = True


class Shared(Protocol):
    """A limit of which several processes have a share each.

    Attributes:
        whole: the limit, of all of them together.
        limit: what may be used here: all of it, or the share.
        refused: the largest amount that did not fit since somebody set this to 0.
        paced: whether something waited because departures are spaced, since somebody set this to False.
        period: seconds for which what was used counts.
        kind: how it is counted: what was used leaves a window at a time that is known, a bucket is refilled, and a
            place is free when its request is over.
    """

    whole: float
    limit: float
    refused: float
    paced: bool
    kind: Counting

    @property
    def period(self) -> float: ...

    @property
    def is_shared(self) -> bool:
        """Whether there is a share."""

    def share(self, share: float, now: float, full: bool = False) -> None:
        """Use no more than a share from now on; infinite for all there is.

        Args:
            share: how much. What was used stays counted, also where that is more.
            now: the time.
            full: whether nobody has used anything lately, so that a bucket may begin full; otherwise what grows in it
                begins with nothing.
        """

    def held(self, now: float) -> float:
        """Return what a share cannot be lowered below, since it was used within the period."""

    def holds(self, now: float) -> list[tuple[float, float]]:
        """Return when that leaves the period: seconds from now, and how much, in a few parts."""

    def recent(self, now: float) -> float:
        """Return about how much was used within the period."""


class Meter(Shared, Protocol):
    """Keeps one limit."""

    def fits(self, amount: float, now: float) -> bool:
        """Return whether ``amount`` may be admitted at ``now``."""

    def take(self, amount: float, now: float) -> Slot | None:
        """Count ``amount``, which fits, at ``now``; return what `settle` wants to know of it."""

    def settle(self, slot: Slot | None, amount: float, used: float, now: float) -> None:
        """The truth about an ``amount`` that was taken. It may exceed the limit."""

    def next_fit(self, amount: float, now: float) -> float:
        """Return the earliest time at which ``amount`` fits if nothing else is admitted; ``now`` if it fits already."""

    def left(self, now: float) -> float:
        """Return what is left of the limit."""

    def change(self, limit: float, now: float) -> None:
        """Take another limit from who configures it. What was admitted stays counted; and what the vendor said, where
        that is lower, stays believed."""

    def forget(self) -> None:
        """Forget that the vendor has said the limit is lower, and what others have used."""

    def correct(
        self, limit: float | None, remaining: float | None, reset: float | None, since: float, now: float
    ) -> None:
        """Take a vendor's word, given at some time after ``since``.

        Args:
            limit: the limit itself, lower or again higher than it was, but not above what is configured.
            remaining: what is left there.
            reset: seconds from now until all is.
            since: when the request was sent whose answer says so.
            now: the time.
        """


class _Limit:
    """A limit that was configured, learned, or lowered for a while by its vendor, and the share of it."""

    __slots__ = ("_configured", "_lowered_until", "_share", "limit", "paced", "refused", "whole")

    def __init__(self, limit: float, configured: bool) -> None:
        self.limit = self.whole = limit
        self.refused = 0.0
        self.paced = False
        self._share = math.inf
        self._configured = limit if configured else None
        self._lowered_until = 0.0

    def change(self, limit: float, now: float) -> None:
        """Take another limit; see `Meter.change`."""
        self._configured = limit
        if not self._lowered_until or self.whole >= limit:
            self._raise()

    @property
    def is_shared(self) -> bool:
        """See `Shared.is_shared`."""
        return self._share < math.inf

    def share(self, share: float, now: float, full: bool = False) -> None:
        """See `Shared.share`."""
        self._share = share
        self.limit = min(self.whole, share)

    def forget(self) -> None:
        """See `Meter.forget`."""
        self._raise()

    def _state(self, limit: float, now: float) -> None:
        if self._configured is None:
            self._be(limit)
        elif limit < self._configured:
            self._be(limit)
            self._lowered_until = now + BELIEVED
        else:
            self._raise()

    def _raise(self) -> None:
        if self._configured is not None:
            self._be(self._configured)
        self._lowered_until = 0.0

    def _be(self, whole: float) -> None:
        self.whole = whole
        self.limit = min(whole, self._share)


class Places:
    """How many requests may be under way at once.

    Args:
        limit: how many; None for any number.
    """

    __slots__ = ("_share", "limit", "paced", "refused", "taken", "whole")

    kind: Counting = "places"
    period = 60.0
    """Seconds after which one of a process that has died is taken to be over at its vendor."""

    def __init__(self, limit: float | None) -> None:
        self.taken = 0
        self.refused = 0.0
        self.paced = False
        self._share = math.inf
        self.change(limit)

    def change(self, limit: float | None) -> None:
        """Take another limit."""
        self.whole = math.inf if limit is None else limit
        self.limit = min(self.whole, self._share)

    @property
    def is_shared(self) -> bool:
        """See `Shared.is_shared`."""
        return self._share < math.inf

    def share(self, share: float, now: float, full: bool = False) -> None:
        """See `Shared.share`."""
        self._share = share
        self.limit = min(self.whole, share)

    def held(self, now: float) -> float:
        """See `Shared.held`."""
        return self.taken

    def holds(self, now: float) -> list[tuple[float, float]]:
        """See `Shared.holds`."""
        return [(self.period, self.taken)] if self.taken else []

    def recent(self, now: float) -> float:
        """See `Shared.recent`."""
        return self.taken


class SlidingWindow(_Limit):
    """Amounts admitted in the last ``period`` seconds, never above ``limit``.

    Args:
        limit: the most that may be admitted in any ``period`` seconds. One request that is larger takes all of it.
        period: length of the window in seconds; it is held longer by a `margin`.
        configured: whether the limit is somebody's will; otherwise it is what the vendor said last.
    """

    __slots__ = ("_foreign", "_foreign_until", "_grain", "_slots", "period", "used")

    kind: Counting = "window"

    def __init__(self, limit: float, period: float, configured: bool = True) -> None:
        super().__init__(limit, configured)
        self.period = period + margin(period)
        self._grain = self.period / 1_000.0
        self.used = 0.0
        self._slots: deque[Slot] = deque()
        self._foreign = 0.0
        self._foreign_until = 0.0

    def _expire(self, now: float) -> None:
        slots = self._slots
        while slots and slots[0].until <= now:
            slot = slots.popleft()
            slot.live = False
            self.used -= slot.amount
        if not slots:
            self.used = 0.0  # drops what float sums left over
        if self._foreign and now >= self._foreign_until:
            self._foreign = 0.0
        if self._lowered_until and now >= self._lowered_until:
            self._raise()

    def forget(self) -> None:
        super().forget()
        self._foreign = 0.0

    def fits(self, amount: float, now: float) -> bool:
        self._expire(now)
        return self.used + self._foreign + min(amount, self.whole) <= self.limit

    def take(self, amount: float, now: float) -> Slot:
        amount = min(amount, self.whole)
        self.used += amount
        slots = self._slots
        if slots:
            last = slots[-1]
            if now - last.opened < self._grain:
                last.amount += amount
                last.until = now + self.period
                return last
        slot = Slot(now, now + self.period, amount)
        slots.append(slot)
        return slot

    def settle(self, slot: Slot | None, amount: float, used: float, now: float) -> None:
        if slot is not None and slot.live:
            more = used - amount
            self.used += more
            slot.amount += more

    def next_fit(self, amount: float, now: float) -> float:
        if self.fits(amount, now):
            return now
        room = self.limit - min(amount, self.whole)
        used = self.used
        foreign_until = self._foreign_until if self._foreign else now
        # Two things leave the window with time: slots, one by one, and what others used, at once.
        for slot in self._slots:
            if slot.until >= foreign_until and used <= room:
                return foreign_until
            used -= slot.amount
            if used + (self._foreign if slot.until < foreign_until else 0.0) <= room:
                return slot.until
        return foreign_until

    def left(self, now: float) -> float:
        self._expire(now)
        return max(0.0, self.limit - self.used - self._foreign)

    def held(self, now: float) -> float:
        self._expire(now)
        return self.used

    def recent(self, now: float) -> float:
        return self.held(now)

    def holds(self, now: float) -> list[tuple[float, float]]:
        self._expire(now)
        parts: dict[int, float] = {}
        for slot in self._slots:
            part = math.ceil((slot.until - now) / self.period * PARTS)
            parts[part] = parts.get(part, 0.0) + slot.amount
        return [(part * self.period / PARTS, amount) for part, amount in parts.items()]

    def correct(
        self, limit: float | None, remaining: float | None, reset: float | None, since: float, now: float
    ) -> None:
        """Take a vendor's word; see `Meter.correct`.

        The vendor has not yet counted what is still on its way, and may keep a milder rule. So its ``remaining`` is
        only believed where it is lower than ours: the difference was used by others, until ``reset``. What remains of
        a limit that is shared is of all its shares, so that it says nothing until it is lower than what is left of one.
        """
        if limit is not None:
            self._state(limit, now)
        if remaining is None:
            return
        self._expire(now)
        self._foreign = max(0.0, self.limit - self.used - remaining)
        self._foreign_until = now + (self.period if reset is None else min(reset, self.period))


class Bucket(_Limit):
    """A vendor's bucket: ``limit`` deep, refilled steadily by ``limit`` in ``period`` seconds.

    The vendor's is as far behind as requests are on their way, up to a `margin`. What is refilled in that time (1 % of
    a minute's limit) is kept back: else one that is late and then one that is prompt would find less than is here.

    Args:
        limit: its depth. One request that is larger takes all of it.
        period: seconds in which it fills.
        configured: as in `SlidingWindow`.
    """

    __slots__ = ("_at", "_full_at", "_level", "_out", "_recent", "_recent_at", "_slack", "_used", "period")

    kind: Counting = "bucket"

    def __init__(self, limit: float, period: float, configured: bool = True) -> None:
        super().__init__(limit, configured)
        self.period = period
        self._slack = margin(period)
        self._level = float(limit)
        self._full_at = float("-inf")
        self._at = 0.0
        self._used = 0.0
        """Of what was taken here, the part that is not refilled: what would be missing if nobody else used any."""
        self._out = 0.0
        """Of what was taken, the part whose requests have not been answered: perhaps the vendor has not counted it."""
        self._recent = 0.0
        self._recent_at = 0.0

    def left(self, now: float) -> float:
        if self._lowered_until and now >= self._lowered_until:
            self._raise()
        refilled = (now - self._at) * self.limit / self.period
        self._used = max(0.0, self._used - refilled)
        if self._level < self.limit:
            self._set(self._level + refilled, now)
        elif self._level > self.limit:
            self._level = self.limit
        self._at = now
        return self._level

    def change(self, limit: float, now: float) -> None:
        """Take another depth; see `Meter.change`."""
        taken = self.limit - self.left(now)
        super().change(limit, now)
        self._level = min(self._level, self.limit) if self._share < math.inf else self.limit - taken

    def share(self, share: float, now: float, full: bool = False) -> None:
        # The vendor's bucket holds at least what all the shares' together do: so none may gain by a change.
        self.left(now)
        super().share(share, now)
        if full:
            self._level = self.limit
        elif self._level >= self.limit:
            self._level = self.limit
            self._full_at = now

    def held(self, now: float) -> float:
        return 0.0

    def holds(self, now: float) -> list[tuple[float, float]]:
        lacks = self.limit - self.left(now)
        return [(lacks / self.limit * self.period, lacks)] if lacks > 0.0 < self.limit else []

    def recent(self, now: float) -> float:
        self._recent *= math.exp((self._recent_at - now) / self.period)
        self._recent_at = now
        return self._recent

    def forget(self) -> None:
        super().forget()
        if self._share == math.inf:
            self._level = self.limit - self._used

    def _set(self, level: float, now: float) -> None:
        if level >= self.limit:
            if self._level < self.limit != 0.0:
                self._full_at = now - (level - self.limit) * self.period / self.limit
            level = self.limit
        self._level = level

    def _wanted(self, amount: float) -> float | None:
        """The level at which ``amount`` may go; None if it must have been full for a while."""
        amount = min(amount, self.whole)
        level = amount + self._slack * self.limit / self.period
        return level if level <= self.limit else None

    def fits(self, amount: float, now: float) -> bool:
        level, wanted = self.left(now), self._wanted(amount)
        if wanted is None:
            return min(amount, self.whole) <= self.limit <= level and now >= self._full_at + self._slack
        return level >= wanted * (1.0 - 1e-9)  # the grain of a float: what lacks less than this is there

    def take(self, amount: float, now: float) -> None:
        amount = min(amount, self.whole)
        self._level = self.left(now) - amount
        self._used += amount
        self._out += amount
        if self._share < math.inf:
            self._recent = self.recent(now) + amount

    def settle(self, slot: Slot | None, amount: float, used: float, now: float) -> None:
        self._set(self.left(now) + amount - used, now)
        self._used = max(0.0, self._used + used - amount)
        self._out = max(0.0, self._out - amount)

    def next_fit(self, amount: float, now: float) -> float:
        if self.fits(amount, now):
            return now
        wanted = self._wanted(amount)
        if wanted is not None:
            return now + (wanted - self._level) * self.period / self.limit
        if min(amount, self.whole) > self.limit:
            return now  # not before the share has grown
        if self._level >= self.limit:
            return self._full_at + self._slack
        # A grain later, or it would not be quite full then.
        return now + (self.limit - self._level) * self.period / self.limit * (1.0 + 1e-9) + self._slack

    def correct(
        self, limit: float | None, remaining: float | None, reset: float | None, since: float, now: float
    ) -> None:
        """Take a vendor's word; see `Meter.correct`.

        It has been refilled since it said what remains; and what is on its way it has perhaps not counted yet. Between
        these two bounds we know better, beyond them the vendor does.
        """
        if limit is not None:
            self._state(limit, now)
        if remaining is None:
            return
        level = self.left(now)
        most = remaining + (now - since) * self.whole / self.period
        least = remaining - self._out if self._share == math.inf else -math.inf  # what remains is of all shares
        self._set(max(min(level, most), least), now)
