"""Rate limits: requests a second, minute and day, tokens in and out, requests at once. Pure: time is passed in.

How a single limit is kept stands in `windows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, TypeAlias

from ... import checks
from ...messages import RateLimits
from .windows import Bucket, Meter, Places, Shared, SlidingWindow, Slot

Rule: TypeAlias = Literal["window", "bucket"]
"""``window``: in any minute no more than the limit. ``bucket``: the vendor's bucket of one minute's depth, which is
refilled steadily; after a pause it lets a minute's worth go at once."""


class Need(NamedTuple):
    """What a request takes of each kind of limit."""

    requests: float
    tokens: float
    input: float
    output: float


def need(input: float, output: float) -> Need:
    """Return what one request takes.

    Args:
        input, output: tokens.
    """
    return Need(1.0, input + output, input, output)


ONE_REQUEST = need(0.0, 0.0)
"""A request whose tokens nobody counts."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an endpoint, or a model of it, may be asked to do. None is no limit.

    Args:
        requests_per_minute: requests in any 60 seconds.
        tokens_per_minute: input and output tokens in any 60 seconds.
        concurrency: requests at once.
        requests_per_second, requests_per_day: requests in any second, in any 24 hours.
        input_tokens_per_minute, output_tokens_per_minute: the one or the other in any 60 seconds.
        tokens_per_day: input and output tokens in any 24 hours.
        rule: how the vendor counts: ``window`` or ``bucket``, then for the second and the day, too. None: as its vendor
            is known to (Anthropic keeps buckets), otherwise ``window``, which is right for all.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    requests_per_second: int | None = None
    requests_per_day: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    rule: Rule | None = None

    def __post_init__(self) -> None:
        limit = checks.COUNT.or_none("for no limit")
        checks.hold(self, **{field.name: limit for field in fields(self) if field.name != "rule"})
        checks.hold(self, rule=checks.one_of("window", "bucket").or_none("for the vendor's"))


_KINDS: dict[str, tuple[int, float]] = {
    "requests_per_second": (0, 1.0),
    "requests_per_minute": (0, 60.0),
    "requests_per_day": (0, 86_400.0),
    "tokens_per_minute": (1, 60.0),
    "tokens_per_day": (1, 86_400.0),
    "input_tokens_per_minute": (2, 60.0),
    "output_tokens_per_minute": (3, 60.0),
}
"""What each limit counts (the place in `Need`), and seconds of its period."""

_STATED = {
    "requests_per_minute": ("requests_limit", "requests_remaining", "requests_reset"),
    "tokens_per_minute": ("tokens_limit", "tokens_remaining", "tokens_reset"),
    "input_tokens_per_minute": ("input_tokens_limit", "input_tokens_remaining", "input_tokens_reset"),
    "output_tokens_per_minute": ("output_tokens_limit", "output_tokens_remaining", "output_tokens_reset"),
}
"""Where a vendor's headers say something of a limit."""


class Permit:
    """One admitted request's share of the limits. Ends exactly once: in `Limiter.release` or `Limiter.refund`."""

    __slots__ = ("ended", "shares")

    def __init__(self, shares: list[tuple[Meter, int, Slot | None, float]]) -> None:
        self.shares = shares
        self.ended = False


class Limiter:
    """All limits of one endpoint, or of one of its models, together.

    Args:
        limits: what was configured. Limits the vendor's headers state are added where none was configured.
        rule: how they are counted.
    """

    def __init__(self, limits: Quota, rule: Rule = "window") -> None:
        self.limits = limits
        self.rule = rule
        self.places = Places(limits.concurrency)
        self.own_places = False
        """Whether the limit of requests at once is this process's own, which it shares with no other."""
        self.on_learned: Callable[[], None] | None = None
        """Called when a limit has been learned that nobody configured."""
        self._open_until = math.inf
        self._hold({})
        for name in _KINDS:
            limit = getattr(limits, name)
            if limit is not None:
                self._add(name, limit, configured=True)

    @property
    def in_flight(self) -> int:
        """Requests that are under way."""
        return self.places.taken

    def _hold(self, meters: dict[str, Meter]) -> None:
        self._meters = meters
        self._checked = tuple((_KINDS[name][0], meter) for name, meter in meters.items())

    def _add(self, name: str, limit: float, configured: bool) -> None:
        self._hold({**self._meters, name: _meter(name, self.rule, limit, configured)})

    def change(self, limits: Quota, rule: Rule, now: float) -> bool:
        """Take other limits. What was sent, and what is in flight, stays counted under them; what a vendor has stated,
        and nobody configures, stays known.

        Args:
            limits: what is configured now.
            rule: how they are counted.
            now: the time.

        Returns:
            whether they are others.
        """
        if (limits, rule) == (self.limits, self.rule):
            return False
        meters: dict[str, Meter] = {}
        for name in _KINDS:
            meter, limit = self._meters.get(name), getattr(limits, name)
            stated = meter is not None and getattr(self.limits, name) is None
            if limit is None and not stated:
                continue
            if meter is None:
                meter = _meter(name, rule, limit, configured=True)
            elif rule != self.rule:
                meter = _counted_anew(name, rule, meter, limit, now)
            elif limit is not None:
                meter.change(limit, now)
            meters[name] = meter
        self.limits, self.rule = limits, rule
        self.places.change(limits.concurrency)
        self._hold(meters)
        return True

    def close(self) -> None:
        """Admit nothing until `open`: what several processes share cannot be used before one's share is known."""
        self._open_until = -math.inf

    def open(self, until: float) -> None:
        """Admit what fits, until some time, after which nothing is admitted again."""
        self._open_until = until

    @property
    def closed(self) -> bool:
        """Whether it waits to be opened."""
        return self._open_until == -math.inf

    def shared(self) -> Mapping[str, Shared]:
        """Return each limit that several processes may share, by its name in `Quota`."""
        found: dict[str, Shared] = {**self._meters}
        if self.limits.concurrency is not None and not self.own_places:
            found["concurrency"] = self.places
        return found

    def refuse(self, need: Need, now: float, paced: bool = False) -> None:
        """Note that a request waits here for what it needs: `Shared.refused`.

        Args:
            need: what it needs.
            now: the time.
            paced: whether it waits because departures are spaced: for a share that is larger they would be less so.
        """
        rate = self._meters.get("requests_per_minute") if paced else None
        if rate is not None and rate.limit < rate.whole:
            rate.refused, rate.paced = max(rate.refused, 1.0), True
        places = self.places
        if places.taken >= places.limit:
            places.refused = 1.0
        for index, meter in self._checked:
            if not meter.fits(need[index], now):
                meter.refused = max(meter.refused, min(need[index], meter.whole))

    def forget(self) -> None:
        """Forget what a vendor has stated: it was of another account. What was sent stays counted under what is
        configured."""
        self._hold({name: one for name, one in self._meters.items() if getattr(self.limits, name) is not None})
        for meter in self._meters.values():
            meter.forget()

    @property
    def full(self) -> bool:
        """Whether as many requests are in flight as may be."""
        return self.places.taken >= self.places.limit

    @property
    def counts_tokens(self) -> bool:
        """Whether the token estimate of a request matters here."""
        return any(index for index, _ in self._checked)

    def fits(self, need: Need, now: float) -> bool:
        """Return whether a request may be sent at ``now``."""
        if now >= self._open_until:
            return False
        places = self.places
        if places.taken >= places.limit:
            return False
        for index, meter in self._checked:  # noqa: SIM110  # all() costs a generator for each request
            if not meter.fits(need[index], now):
                return False
        return True

    def lacks(self, need: Need, now: float) -> list[str]:
        """Return in words which limits have no room for a request at ``now``."""
        if now >= self._open_until:
            return ["its shares of limits are not known, as the journal cannot be read or written"]
        places = self.places
        found = []
        if places.taken >= places.limit:
            found.append(f"{places.taken} requests are under way of a concurrency of {_in_all(places)}")
        for name, meter in self._meters.items():
            if not meter.fits(need[_KINDS[name][0]], now):
                found.append(f"{name} of {_in_all(meter)} is used up")
        return found

    def take(self, need: Need, now: float) -> Permit:
        """Admit a request that `fits`. The permit must be given back by `release` or `refund`."""
        self.places.taken += 1
        shares: list[tuple[Meter, int, Slot | None, float]] = []
        for index, meter in self._checked:
            amount = min(need[index], meter.whole)
            shares.append((meter, index, meter.take(amount, now), amount))
        return Permit(shares)

    def release(self, permit: Permit, used: Need | None, now: float) -> None:
        """End a request that was sent.

        Args:
            permit: from `take`.
            used: what it really took; None keeps the estimate (after a failure the vendor may have counted it).
            now: the time.
        """
        if permit.ended:
            return
        permit.ended = True
        self.places.taken -= 1
        for meter, index, slot, amount in permit.shares:
            meter.settle(slot, amount, amount if used is None else used[index], now)

    def refund(self, permit: Permit, now: float) -> None:
        """End a request that was admitted but never sent: nothing of it stays counted."""
        self.release(permit, _NOTHING, now)

    def next_fit(self, need: Need, now: float) -> float:
        """Return the earliest time the rate limits have room (seconds, the caller's clock).

        Concurrency frees with an event, not with time, and is not considered.
        """
        return max((meter.next_fit(need[index], now) for index, meter in self._checked), default=now)

    def correct(self, headers: RateLimits, since: float, now: float) -> None:
        """Take what the vendor's headers say; limits that were not configured are adopted from them.

        Args:
            headers: of an answer.
            since: when the request was sent.
            now: the time.
        """
        for name, (of_limit, of_remaining, of_reset) in _STATED.items():
            limit, remaining, reset = (getattr(headers, field) for field in (of_limit, of_remaining, of_reset))
            if not limit or _is_of_seconds(limit, remaining, reset):
                limit = None
            elif name not in self._meters:
                self._add(name, limit, configured=False)
                if self.on_learned is not None:
                    self.on_learned()
            meter = self._meters.get(name)
            if meter is not None:
                meter.correct(limit, remaining, reset, since, now)

    def remaining(self, now: float) -> dict[str, float]:
        """Return what is left of each limit, by its name in `Quota`."""
        return {name: meter.left(now) for name, meter in self._meters.items()}

    def used(self, now: float) -> list[tuple[str, float, float, float | None]]:
        """Return each limit by its name in `Quota`: what of it is used here, the limit, and the share of it where it is
        shared."""
        found = [
            (name, meter.limit - meter.left(now), meter.whole, meter.limit if meter.is_shared else None)
            for name, meter in self._meters.items()
        ]
        places = self.places
        if self.limits.concurrency is not None:
            found.append(("concurrency", places.taken, places.whole, places.limit if places.is_shared else None))
        return found


def _in_all(limit: Shared) -> str:
    """A limit, and how much of it is used here where others have a part of it, too."""
    return f"{limit.whole:g}" + (f" ({limit.limit:g} here)" if limit.is_shared and limit.limit < limit.whole else "")


def _meter(name: str, rule: Rule, limit: float, configured: bool) -> Meter:
    return (SlidingWindow if rule == "window" else Bucket)(limit, _KINDS[name][1], configured)


def _counted_anew(name: str, rule: Rule, before: Meter, limit: float | None, now: float) -> Meter:
    """Return a meter of another rule that counts what was taken of the one before."""
    meter = _meter(name, rule, before.limit if limit is None else limit, configured=limit is not None)
    taken = min(before.limit - before.left(now), meter.limit)
    meter.settle(meter.take(taken, now), taken, taken, now)
    if before.is_shared:
        meter.share(before.limit, now)
    return meter


_NOTHING = Need(0.0, 0.0, 0.0, 0.0)


def _is_of_seconds(limit: float, remaining: float | None, reset: float | None) -> bool:
    """Whether a stated limit is not of a minute, as what was used of it comes back much sooner."""
    if remaining is None or reset is None or remaining >= limit:
        return False
    return reset * limit / (limit - remaining) < 30.0
