"""What the pool counts, and the snapshots it answers with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .ledger import Bought
from .periods import Period

Measure = Literal["dollars", "tokens", "requests"]
"""What a budget limits."""

State = Literal["closed", "open", "half-open", "ramping", "disabled", "stopped", "drained"]


class Latencies:
    """A running picture of how long calls take: a moving average and quantiles over the latest calls.

    Args:
        size: how many calls are remembered.
    """

    __slots__ = ("_next", "_ring", "_size", "_sorted", "_stale", "average", "count")

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._ring: list[float] = []
        self._next = 0
        self._sorted: list[float] = []
        self._stale = 0
        self.count = 0
        self.average = 0.0

    def add(self, seconds: float, weight: float = 1.0) -> None:
        """Count one call.

        Args:
            seconds: it took.
            weight: what is left of the weight of the average before it, 0 to 1.
        """
        self.count += 1
        self.average = seconds if self.count == 1 else seconds + 0.9 * weight * (self.average - seconds)
        if len(self._ring) < self._size:
            self._ring.append(seconds)
        else:
            self._ring[self._next] = seconds
            self._next = (self._next + 1) % self._size
        self._stale += 1

    def quantile(self, share: float) -> float:
        """Return the latency in seconds that ``share`` (0 to 1) of the latest calls stayed within; 0 before any."""
        if not self._ring:
            return 0.0
        # Sorted again only after a sixteenth of the ring is new: a quantile does not move faster than that.
        if not self._sorted or self._stale * 16 >= len(self._ring):
            self._sorted = sorted(self._ring)
            self._stale = 0
        values = self._sorted
        return values[min(len(values) - 1, int(share * len(values)))]


@dataclass(slots=True)
class EndpointCounts:
    """What happened at one endpoint, or to one of its models, since the pool was made; restarts do not begin anew."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    slow: int = 0
    """Calls without an answer when a hedge had overtaken them, or their caller's time was over, at an endpoint that had
    answered nothing sent since, either; they count as failures in the breaker."""
    probes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """Failures by error class."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Of the answers."""
    cost: float = 0.0
    """US dollars, of the answers whose price is known."""

    def __add__(self, other: EndpointCounts) -> EndpointCounts:
        errors = dict(self.errors)
        for name, count in other.errors.items():
            errors[name] = errors.get(name, 0) + count
        return EndpointCounts(
            self.sent + other.sent,
            self.answered + other.answered,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            self.slow + other.slow,
            self.probes + other.probes,
            errors,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )


@dataclass(slots=True)
class PoolCounts:
    """What happened to the requests the pool accepted. accepted = answered + failed + cancelled + pending."""

    accepted: int = 0
    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    failovers: int = 0
    hedges: int = 0
    hedges_won: int = 0
    degraded: int = 0
    cache_hits: int = 0
    coalesced: int = 0
    batched: int = 0

    @property
    def pending(self) -> int:
        return self.accepted - self.answered - self.failed - self.cancelled


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used.

    Args:
        kind: as in `Quota`: ``requests_per_minute``, ``concurrency``.
        used: of it, now; of a limit that processes share: here.
        limit: as it is configured, or as the vendor says.
        share: of it, how much may be used here, where processes share it; otherwise None.
    """

    kind: str
    used: float
    limit: float
    share: float | None = None


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How one model does at one endpoint.

    Args:
        model: as the endpoint knows it; empty for the provider's own default.
        state: of its breaker; ``ramping`` just after it returned, ``disabled`` while the model is refused.
        available: whether a request could be sent to it now.
        error_rate: share of failures among the latest hundred calls, 0 to 1.
        latency, latency_p95: seconds.
        reason: why it is not available, where that is known.
        limits: its own.
    """

    model: str
    state: State
    available: bool
    error_rate: float
    latency: float
    latency_p95: float
    in_flight: int
    reason: str = ""
    limits: tuple[LimitUse, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How one endpoint does.

    Args:
        state: of the endpoint as a whole; where that is well, of the model that does best. ``disabled`` while its key
            is refused, ``stopped`` while its actor waits to be started again, or once that is dead for good;
            ``drained`` until it is resumed.
        available: whether a request could be sent to it now, for any of its models.
        error_rate: share of failures among the latest calls of each model, 0 to 1.
        latency: seconds, on average over the calls of all models.
        latency_p95: seconds, of the slowest model.
        reason: why it is not available, where that is known.
        models: the same for each model that was asked for.
        limits: that its models share.
    """

    name: str
    state: State
    available: bool
    error_rate: float
    latency: float
    latency_p95: float
    in_flight: int
    reason: str = ""
    models: tuple[ModelHealth, ...] = ()
    limits: tuple[LimitUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """How the pool's endpoints do now."""

    endpoints: tuple[EndpointHealth, ...]

    @property
    def available(self) -> bool:
        """Whether at least one endpoint is."""
        return any(endpoint.available for endpoint in self.endpoints)


@dataclass(frozen=True, slots=True)
class BudgetStats:
    """How one budget of one account stands.

    Args:
        account: whose, as in `PoolStats.spent`. A budget of ``*`` is one for each account that has spent anything.
        period: the minute, hour, day or month that it is for, which is the current one; None: for ever.
        limit: US dollars, tokens or requests.
        spent: of them.
        reserved: promised to requests in flight.
        left: what a request may still take; not below 0.
        measure: which of the three it limits; one that limits several is there once for each.
    """

    account: str
    period: Period | None
    limit: float
    spent: float
    reserved: float
    left: float
    measure: Measure = "dollars"


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The pool's counts, since it was made: its restarts do not begin anew.

    Args:
        pool: of requests.
        endpoints: of calls, by endpoint.
        models: of calls, by endpoint and model.
        waiting: requests in the queue now.
        cost: US dollars spent, as far as prices are known: all of ``bought``.
        spent: US dollars by account: ``agent:planner``, ``model:gpt-4o``.
        bought: the calls that vendors have charged, or may have, by what became of them. ``answered`` is what vendors
            said; all others are estimates:

            =============== ====================================================================================
            ``unreported``  answered, and the vendor did not say how many tokens it took
            ``hedged``      overtaken by the other call of a hedged pair (as the vendor said, if both were answered)
            ``cancelled``   the caller left
            ``timeout``     nothing came within the attempt's time, or the caller's
            ``cut``         the answer broke off after it had begun
            ``malformed``   the answer could not be read
            ``lost``        the connection broke after the request was sent and before the answer began
            ``interrupted`` the provider's actor, or the pool, crashed or was stopped; counted as long as the answer
                            could have become, so that a budget holds
            =============== ====================================================================================
        budgets: what is left of each, by account and period.
        oldest: seconds for which the request has waited that has waited longest; 0 where none waits.
    """

    pool: PoolCounts
    endpoints: Mapping[str, EndpointCounts]
    waiting: int
    cost: float
    spent: Mapping[str, float]
    bought: Mapping[str, Bought] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, EndpointCounts]] = field(default_factory=dict)
    budgets: tuple[BudgetStats, ...] = ()
    oldest: float = 0.0
