"""What a pool tells of itself, as figures."""

from __future__ import annotations

from collections.abc import Iterator

from ...actors.observe.metrics import Family, Gauges
from .accounts.stats import Health, PoolStats

_MODEL = ("pool", "endpoint", "gen_ai_request_model")


def families(gauges: Gauges, name: str, stats: PoolStats, health: Health) -> Iterator[Family]:
    """A pool's figures.

    Args:
        gauges: bounds them.
        name: of the pool.
        stats: what it has done.
        health: how its endpoints do.
    """
    yield gauges.family(
        "callboard_pool_waiting", "Requests in the queue", "gauge", ("pool",), [((name,), stats.waiting)]
    )
    age = "Seconds that the request has waited that has waited longest"
    yield gauges.family("callboard_pool_queue_age_seconds", age, "gauge", ("pool",), [((name,), stats.oldest)])
    done = stats.pool
    each = {
        "answered": done.answered,
        "failed": done.failed,
        "cancelled": done.cancelled,
        "retries": done.retries,
        "failovers": done.failovers,
        "hedges": done.hedges,
        "degraded": done.degraded,
        "cached": done.cache_hits,
    }
    labels, told = ("pool", "event"), [((name, event), float(count)) for event, count in each.items()]
    yield gauges.family("callboard_pool_requests", "What became of requests", "counter", labels, told)
    counts = [
        ((name, endpoint, model), one) for endpoint, models in stats.models.items() for model, one in models.items()
    ]
    for what in ("sent", "answered", "failed"):
        amounts = [(key, float(getattr(one, what))) for key, one in counts]
        yield gauges.family(f"callboard_pool_calls_{what}", f"Calls to vendors: {what}", "counter", _MODEL, amounts)
    yield gauges.family(
        *("callboard_pool_errors", "Calls that failed, by the class of the error", "counter"),
        ("pool", "endpoint", "error"),
        [((name, at, error), float(count)) for (_, at, _), one in counts for error, count in one.errors.items()],
    )
    states = [((name, at.name, one.model, one.state), 1.0) for at in health.endpoints for one in at.models]
    breaker = "1 for the state that a breaker is in"
    yield gauges.family("callboard_pool_breaker", breaker, "gauge", (*_MODEL, "state"), states, most=True)
    flying = [((name, one.name), float(one.in_flight)) for one in health.endpoints]
    yield gauges.family("callboard_pool_in_flight", "Calls under way", "gauge", ("pool", "endpoint"), flying)
    yield gauges.family(
        "callboard_pool_cost_dollars", "US dollars spent", "counter", ("pool",), [((name,), stats.cost)]
    )
