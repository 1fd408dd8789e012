"""How one limit is kept: as a sliding window, or as a vendor's refilling bucket. Pure: the caller passes the time.

`SlidingWindow` is the strictest of the rules vendors use: in *any* period no more is admitted than the limit. It
therefore also satisfies a vendor that keeps a fixed window, or a bucket of one period's capacity. Where a vendor is
known to keep such a bucket, `Bucket` asks for all that it gives: first all of it, and the limit again in each period.
A leaky bucket that is not the vendor's rule (aiolimiter's included) keeps no window: a full one followed by a period of
leaking admits twice the limit. What aiolimiter is good at, spacing departures, is in `pacing`.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

BELIEVED = 600.0
"""Seconds for which a vendor's word that a limit is lower than configured is believed, if it is not said again."""


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


class Meter(Protocol):
    """Keeps one limit."""

    limit: float

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
    """A limit that was configured, learned, or lowered for a while by its vendor."""

    __slots__ = ("_configured", "_lowered_until", "limit")

    def __init__(self, limit: float, configured: bool) -> None:
        self.limit = limit
        self._configured = limit if configured else None
        self._lowered_until = 0.0

    def change(self, limit: float, now: float) -> None:
        """Take another limit; see `Meter.change`."""
        self._configured = limit
        if not self._lowered_until or self.limit >= limit:
            self._raise()

    def forget(self) -> None:
        """See `Meter.forget`."""
        self._raise()

    def _state(self, limit: float, now: float) -> None:
        if self._configured is None:
            self.limit = limit
        elif limit < self._configured:
            self.limit = limit
            self._lowered_until = now + BELIEVED
        else:
            self._raise()

    def _raise(self) -> None:
        if self._configured is not None:
            self.limit = self._configured
        self._lowered_until = 0.0


class SlidingWindow(_Limit):
    """Amounts admitted in the last ``period`` seconds, never above ``limit``.

    Args:
        limit: the most that may be admitted in any ``period`` seconds. One request that is larger takes all of it.
        period: length of the window in seconds; it is held longer by a `margin`.
        configured: whether the limit is somebody's will; otherwise it is what the vendor said last.
    """

    __slots__ = ("_foreign", "_foreign_until", "_grain", "_slots", "period", "used")

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
        return self.used + self._foreign + min(amount, self.limit) <= self.limit

    def take(self, amount: float, now: float) -> Slot:
        amount = min(amount, self.limit)
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
        room = self.limit - min(amount, self.limit)
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

    def correct(
        self, limit: float | None, remaining: float | None, reset: float | None, since: float, now: float
    ) -> None:
        """Take a vendor's word; see `Meter.correct`.

        The vendor has not yet counted what is still on its way, and may keep a milder rule. So its ``remaining`` is
        only believed where it is lower than ours: the difference was used by others, until ``reset``.
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

    __slots__ = ("_at", "_full_at", "_level", "_out", "_slack", "_used", "period")

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
        self._level = self.limit - taken

    def forget(self) -> None:
        super().forget()
        self._level = self.limit - self._used

    def _set(self, level: float, now: float) -> None:
        if level >= self.limit:
            if self._level < self.limit:
                self._full_at = now - (level - self.limit) * self.period / self.limit
            level = self.limit
        self._level = level

    def _wanted(self, amount: float) -> float | None:
        """The level at which ``amount`` may go; None if it must have been full for a while."""
        level = amount + self._slack * self.limit / self.period
        return level if level <= self.limit else None

    def fits(self, amount: float, now: float) -> bool:
        level, wanted = self.left(now), self._wanted(amount)
        if wanted is None:
            return level >= self.limit and now >= self._full_at + self._slack
        return level >= wanted * (1.0 - 1e-9)  # the grain of a float: what lacks less than this is there

    def take(self, amount: float, now: float) -> None:
        amount = min(amount, self.limit)
        self._level = self.left(now) - amount
        self._used += amount
        self._out += amount

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
        most = remaining + (now - since) * self.limit / self.period
        self._set(max(min(level, most), remaining - self._out), now)
