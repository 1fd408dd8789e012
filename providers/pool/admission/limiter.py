"""Rate limits of one endpoint: requests a minute, tokens a minute, requests at once. Pure: the caller passes the time.

The guarantee is a sliding window, the strictest of the rules vendors use: in *any* 60 seconds no more is admitted than
the limit. It therefore also satisfies a vendor that keeps a token bucket of one minute's capacity or a fixed window.
A leaky bucket alone (aiolimiter included) does not give it: a full bucket followed by a minute of leaking admits twice
the limit, and it has no way to settle an estimate or to take a vendor's correction. What aiolimiter is good at, spacing
departures, is in `pacing`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ...messages import RateLimits

MINUTE = 60.0
MARGIN = 1.01
"""The window is held 1 % longer than the vendor's minute: a request is counted there when it arrives, not when it
leaves here, and two requests 60 s apart on departure may arrive a little closer. It costs 1 % of the throughput."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an endpoint may be asked to do.

    Args:
        requests_per_minute: requests in any 60 seconds; None for no limit.
        tokens_per_minute: input and output tokens in any 60 seconds; None for no limit.
        concurrency: requests at once; None for no limit.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1, or None for no limit")


class _Slot:
    """What was admitted within a short time, all of it counted until the last of it leaves the window.

    Counted singly, a thousand requests a second would be 60,000 objects for the garbage collector to walk through.
    """

    __slots__ = ("amount", "live", "opened", "until")

    def __init__(self, opened: float, until: float, amount: float) -> None:
        self.opened = opened
        self.until = until  # kept as the end, so that "has it ended" and "when does it end" cannot round apart
        self.amount = amount
        self.live = True


class SlidingWindow:
    """Amounts admitted in the last ``period`` seconds, never above ``limit``.

    Args:
        limit: the most that may be admitted in any ``period`` seconds.
        period: length of the window in seconds.
    """

    __slots__ = ("_foreign", "_foreign_until", "_grain", "_slots", "limit", "period", "used")

    def __init__(self, limit: float, period: float = MINUTE * MARGIN) -> None:
        self.limit = limit
        self.period = period
        self._grain = period / 1_000.0
        self.used = 0.0
        self._slots: deque[_Slot] = deque()
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

    def clamp(self, amount: float) -> float:
        """Return the amount that is really taken: one request larger than the whole limit takes the whole window."""
        return min(amount, self.limit)

    def fits(self, amount: float, now: float) -> bool:
        """Return whether ``amount`` may be admitted at ``now``."""
        self._expire(now)
        return self.used + self._foreign + min(amount, self.limit) <= self.limit

    def take(self, amount: float, now: float) -> _Slot:
        """Count ``amount`` at ``now`` and return where, for `settle`."""
        amount = min(amount, self.limit)
        self.used += amount
        slots = self._slots
        if slots:
            last = slots[-1]
            if now - last.opened < self._grain:
                last.amount += amount
                last.until = now + self.period
                return last
        slot = _Slot(now, now + self.period, amount)
        slots.append(slot)
        return slot

    def settle(self, slot: _Slot, more: float) -> None:
        """Add to an amount that was taken too low, or subtract, unless it has left the window.

        The truth may exceed the limit.
        """
        if slot.live:
            self.used += more
            slot.amount += more

    def next_fit(self, amount: float, now: float) -> float:
        """Return the earliest time at which ``amount`` fits if nothing else is admitted; ``now`` if it fits already."""
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

    def correct(self, limit: float | None, remaining: float | None, reset: float | None, now: float) -> None:
        """Take a vendor's word: its limit where it is lower, and what others on the same key have used.

        The vendor has not yet counted what is still on its way, so its ``remaining`` is only believed when it is lower
        than ours; the difference is held as used by others until ``reset`` seconds from now.
        """
        if limit is not None and limit < self.limit:
            self.limit = limit
        if remaining is None:
            return
        self._expire(now)
        others = (self.limit - self.used) - remaining
        if others > 0:
            self._foreign = others
            self._foreign_until = now + (self.period if reset is None else min(reset, self.period))
        else:
            self._foreign = 0.0


class Permit:
    """One admitted request's share of the limits. Ends exactly once: in `Limiter.release` or `Limiter.refund`."""

    __slots__ = ("amount", "ended", "request", "tokens")

    def __init__(self, request: _Slot | None, tokens: _Slot | None, amount: float) -> None:
        self.request = request
        self.tokens = tokens
        self.amount = amount
        self.ended = False


class Limiter:
    """The three limits of one endpoint together.

    Args:
        limits: what was configured. Limits the vendor's headers state are added where none was configured.
    """

    def __init__(self, limits: Quota) -> None:
        self.limits = limits
        self.in_flight = 0
        self._requests = None if limits.requests_per_minute is None else SlidingWindow(limits.requests_per_minute)
        self._tokens = None if limits.tokens_per_minute is None else SlidingWindow(limits.tokens_per_minute)

    @property
    def full(self) -> bool:
        """Whether as many requests are in flight as may be."""
        return self.limits.concurrency is not None and self.in_flight >= self.limits.concurrency

    @property
    def counts_tokens(self) -> bool:
        """Whether the token estimate of a request matters here."""
        return self._tokens is not None

    def fits(self, tokens: float, now: float) -> bool:
        """Return whether a request of ``tokens`` estimated tokens may be sent at ``now``."""
        concurrency = self.limits.concurrency
        if concurrency is not None and self.in_flight >= concurrency:
            return False
        if self._requests is not None and not self._requests.fits(1, now):
            return False
        return self._tokens is None or self._tokens.fits(tokens, now)

    def take(self, tokens: float, now: float) -> Permit:
        """Admit a request that `fits`. The permit must be given back by `release` or `refund`."""
        self.in_flight += 1
        if self._tokens is not None:
            tokens = self._tokens.clamp(tokens)
        return Permit(
            None if self._requests is None else self._requests.take(1, now),
            None if self._tokens is None else self._tokens.take(tokens, now),
            tokens,
        )

    def release(self, permit: Permit, tokens: float | None = None) -> None:
        """End a request that was sent.

        Args:
            permit: from `take`.
            tokens: what it really used; None keeps the estimate (after a failure the vendor may have counted it).
        """
        if permit.ended:
            return
        permit.ended = True
        self.in_flight -= 1
        if tokens is not None and permit.tokens is not None and self._tokens is not None:
            self._tokens.settle(permit.tokens, tokens - permit.amount)

    def refund(self, permit: Permit) -> None:
        """End a request that was admitted but never sent: nothing of it stays counted."""
        if permit.ended:
            return
        permit.ended = True
        self.in_flight -= 1
        if permit.request is not None and self._requests is not None:
            self._requests.settle(permit.request, -1)
        if permit.tokens is not None and self._tokens is not None:
            self._tokens.settle(permit.tokens, -permit.amount)

    def next_fit(self, tokens: float, now: float) -> float:
        """Return the earliest time the rate limits have room (seconds, the caller's clock).

        Concurrency frees with an event, not with time, and is not considered.
        """
        at = now
        if self._requests is not None:
            at = max(at, self._requests.next_fit(1, now))
        if self._tokens is not None:
            at = max(at, self._tokens.next_fit(tokens, now))
        return at

    def correct(self, headers: RateLimits, now: float) -> None:
        """Take what the vendor's headers say; limits that were not configured are adopted from them."""
        if self._requests is None and headers.requests_limit:
            self._requests = SlidingWindow(headers.requests_limit)
        if self._tokens is None and headers.tokens_limit:
            self._tokens = SlidingWindow(headers.tokens_limit)
        if self._requests is not None:
            self._requests.correct(headers.requests_limit, headers.requests_remaining, headers.requests_reset, now)
        if self._tokens is not None:
            self._tokens.correct(headers.tokens_limit, headers.tokens_remaining, headers.tokens_reset, now)

    def remaining(self, now: float) -> tuple[float | None, float | None]:
        """Return what is left of requests and of tokens in the current window; None where there is no limit."""
        return tuple(None if w is None else _left(w, now) for w in (self._requests, self._tokens))  # type: ignore[return-value]


def _left(window: SlidingWindow, now: float) -> float:
    window._expire(now)
    return max(0.0, window.limit - window.used - window._foreign)
