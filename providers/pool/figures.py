"""What pools tell of themselves, as figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from ...actors.observe.labels import Key
from ...actors.observe.metrics import Family, Gauges
from .accounts.stats import Health, PoolStats

_MODEL = ("pool", "endpoint", "gen_ai_request_model")

Read: TypeAlias = tuple[str, PoolStats, Health]
"""A pool's name, what it has done, how its endpoints do."""


def families(gauges: Gauges, pools: Sequence[Read]) -> Iterator[Family]:
    """The figures of pools.

    Args:
        gauges: bounds them.
        pools: they.
    """
    one = ("pool",)
    waiting = [((name,), float(stats.waiting)) for name, stats, _ in pools]
    yield gauges.family("callboard_pool_waiting", "Requests in the queue", "gauge", one, waiting)
    oldest = [((name,), stats.oldest) for name, stats, _ in pools]
    age = "Seconds that the request has waited that has waited longest"
    yield gauges.family("callboard_pool_queue_age_seconds", age, "gauge", one, oldest, most=True)
    events = ("pool", "event")
    yield gauges.family(
        "callboard_pool_requests",
        "What became of requests",
        "counter",
        events,
        (row for name, stats, _ in pools for row in _requests(name, stats)),
    )
    for what in ("sent", "answered", "failed"):
        amounts = [row for name, stats, _ in pools for row in _calls(name, stats, what)]
        yield gauges.family(f"callboard_pool_calls_{what}", f"Calls to vendors: {what}", "counter", _MODEL, amounts)
    failed, labels = "Calls that failed, by the class of the error", ("pool", "endpoint", "error")
    yield gauges.family(
        "callboard_pool_errors",
        failed,
        "counter",
        labels,
        (row for name, stats, _ in pools for row in _errors(name, stats)),
    )
    breaker = "1 for the state that a breaker is in"
    states = (row for name, _, health in pools for row in _states(name, health))
    yield gauges.family("callboard_pool_breaker", breaker, "gauge", (*_MODEL, "state"), states, most=True)
    flying = [((name, at.name), float(at.in_flight)) for name, _, health in pools for at in health.endpoints]
    yield gauges.family("callboard_pool_in_flight", "Calls under way", "gauge", ("pool", "endpoint"), flying)
    cost = [((name,), stats.cost) for name, stats, _ in pools]
    yield gauges.family("callboard_pool_cost_dollars", "US dollars spent", "counter", one, cost)


def _requests(name: str, stats: PoolStats) -> Iterator[tuple[Key, float]]:
    done = stats.pool
    told = {
        "answered": done.answered,
        "failed": done.failed,
        "cancelled": done.cancelled,
        "retries": done.retries,
        "failovers": done.failovers,
        "hedges": done.hedges,
        "degraded": done.degraded,
        "cached": done.cache_hits,
    }
    return (((name, event), float(count)) for event, count in told.items())


def _calls(name: str, stats: PoolStats, what: str) -> Iterator[tuple[Key, float]]:
    for endpoint, models in stats.models.items():
        for model, one in models.items():
            yield (name, endpoint, model), float(getattr(one, what))


def _errors(name: str, stats: PoolStats) -> Iterator[tuple[Key, float]]:
    for endpoint, models in stats.models.items():
        for one in models.values():
            for error, count in one.errors.items():
                yield (name, endpoint, error), float(count)


def _states(name: str, health: Health) -> Iterator[tuple[Key, float]]:
    for at in health.endpoints:
        for one in at.models:
            yield (name, at.name, one.model, one.state), 1.0
