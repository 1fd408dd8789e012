"""Rate limits as vendors enforce them: buckets that refill steadily, or sliding windows, and headers that tell."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ..wire.limits import format_duration


@dataclass(frozen=True, slots=True)
class ServerQuota:
    """What a key may do.

    Args:
        requests: requests per window; None for no limit.
        tokens: tokens per window; a request is let in if its input and its ``max_tokens`` have room, and charged what
            it used.
        concurrent: requests at once.
        window: seconds of a window.
        rule: how it counts: ``bucket``, one that refills, full at first; or ``window``: what was let in during the last
            ``window`` seconds.
    """

    requests: int | None = None
    tokens: int | None = None
    concurrent: int | None = None
    window: float = 60.0
    rule: Literal["bucket", "window"] = "bucket"

    def __post_init__(self) -> None:
        if self.rule not in _COUNTERS:
            raise ValueError(f"rule is one of {', '.join(_COUNTERS)}, not {self.rule!r}")


class Bucket:
    """A token bucket: full at first, refilled at ``size / window`` a second."""

    def __init__(self, size: int, window: float, now: float) -> None:
        self.size = size
        self._rate = size / window
        self._level = float(size)
        self._at = now

    def level(self, now: float) -> float:
        """What is in it."""
        self._level = min(float(self.size), self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is in it; 0 if it is. More than the whole counts as the whole."""
        lacking = min(amount, float(self.size)) - self.level(now)
        # The grain of a float: what lacks less than this is there.
        return lacking / self._rate if lacking > 1e-9 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take `amount` out; the level may fall below nothing. A negative amount is put back."""
        self._level = min(float(self.size), self.level(now) - amount)

    def correct(self, amount: float, taken_at: float, now: float) -> None:
        """Take `amount` more for what was taken before; a negative amount is put back."""
        self.take(amount, now)

    def full_in(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.size - self.level(now)) / self._rate


class SlidingWindow:
    """What was taken in the last ``window`` seconds, whatever the minute's beginning."""

    def __init__(self, size: int, window: float, now: float) -> None:
        self.size = size
        self._window = window
        self._taken: list[tuple[float, float]] = []  # when and how much, the oldest first

    def level(self, now: float) -> float:
        """What may still be taken."""
        while self._taken and self._taken[0][0] + self._window <= now:
            del self._taken[0]
        return self.size - sum(amount for _, amount in self._taken)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 if it may be. More than the whole counts as the whole."""
        lacking = min(amount, float(self.size)) - self.level(now)
        until = now
        for at, taken in self._taken:  # the oldest leave first
            if lacking <= 0:
                break
            lacking -= taken
            until = at + self._window
        return until - now

    def take(self, amount: float, now: float) -> None:
        """Take `amount`, now."""
        self._taken.append((now, amount))

    def correct(self, amount: float, taken_at: float, now: float) -> None:
        """Take `amount` more for what was taken before; a negative amount is put back."""
        insort(self._taken, (taken_at, amount))

    def full_in(self, now: float) -> float:
        """Seconds until all of it may be taken."""
        return self._taken[-1][0] + self._window - now if self._taken else 0.0


_COUNTERS: dict[str, type[Bucket] | type[SlidingWindow]] = {"bucket": Bucket, "window": SlidingWindow}


class Enforcer:
    """Enforces `ServerQuota` for one key."""

    def __init__(self, limits: ServerQuota, now: float) -> None:
        self.limits = limits
        counter = _COUNTERS[limits.rule]
        self._requests = counter(limits.requests, limits.window, now) if limits.requests else None
        self._tokens = counter(limits.tokens, limits.window, now) if limits.tokens else None
        self._inside = 0

    def admit(self, tokens: int, now: float) -> float | None:
        """Let a request in and charge it; or the seconds it should wait, in which case nothing is charged."""
        waits = [0.0]
        if self.limits.concurrent is not None and self._inside >= self.limits.concurrent:
            waits.append(1.0)
        if self._requests is not None:
            waits.append(self._requests.wait(1, now))
        if self._tokens is not None:
            waits.append(self._tokens.wait(tokens, now))
        if max(waits) > 0:
            return max(waits)
        self._inside += 1
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        return None

    def settle(self, charged: int, used: int, admitted_at: float, now: float) -> None:
        """The request is done: correct what was charged to what it used."""
        self._inside -= 1
        if self._tokens is not None:
            self._tokens.correct(used - charged, admitted_at, now)

    def headers(self, protocol: str, now: float, wall: datetime) -> list[tuple[str, str]]:
        """The rate-limit headers of OpenAI's or Anthropic's protocol; `wall` is the time that ``date`` says."""
        headers: list[tuple[str, str]] = []
        for name, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is None:
                continue
            left, full = max(0, int(bucket.level(now))), bucket.full_in(now)
            if protocol == "anthropic":
                until = (wall + timedelta(seconds=full)).isoformat(timespec="seconds").replace("+00:00", "Z")
                values = (str(bucket.size), str(left), until)
                headers += zip(
                    [f"anthropic-ratelimit-{name}-{what}" for what in ("limit", "remaining", "reset")],
                    values,
                    strict=True,
                )
            else:
                values = (str(bucket.size), str(left), format_duration(full))
                headers += zip(
                    [f"x-ratelimit-{what}-{name}" for what in ("limit", "remaining", "reset")], values, strict=True
                )
        return headers
