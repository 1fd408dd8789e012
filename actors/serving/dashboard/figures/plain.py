"""Views that are sent as a whole: runs, providers, approvals, letters."""

from __future__ import annotations

from typing import Any

from .....providers.pool.accounts.stats import EndpointCounts, LimitUse
from ....agents.overview.watch import PoolState
from .reading import MOST_ROWS, STUCK_AFTER, Reading, finite, stuck_runs


def runs(reading: Reading) -> dict[str, Any]:
    """Those that have not ended, in the order in which they were asked for."""
    stuck = stuck_runs(reading.runs)
    status = {"queued": "queued", "person": "waiting", "limits": "waiting"}
    rows = [
        {
            "run": run.run,
            "agent": run.agent,
            "conversation": run.conversation,
            "parent": run.parent,
            "user": run.user,
            "tenant": run.tenant,
            "status": status.get(run.doing, "running"),
            "doing": run.doing,
            "seconds": round(run.seconds, 1),
            "idle": round(run.idle, 1),
            "calls": run.calls,
            "steps": run.steps,
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "cost": finite(run.cost),
            "stuck": run.run in stuck,
        }
        for run in reading.runs[:MOST_ROWS]
    ]
    return {"runs": rows, "all": len(reading.runs), "stuck_after": STUCK_AFTER}


def providers(reading: Reading) -> dict[str, Any]:
    """The pools, and their endpoints with each of their models."""
    pools = [
        {
            "name": pool.name,
            "waiting": pool.stats.waiting,
            "oldest": round(pool.stats.oldest, 1),
            "cost": finite(pool.stats.cost),
        }
        for pool in reading.pools
    ]
    endpoints = [row for pool in reading.pools for row in _endpoints(pool)]
    return {"pools": pools, "endpoints": endpoints[:MOST_ROWS], "all": len(endpoints)}


def _endpoints(pool: PoolState) -> list[dict[str, Any]]:
    rows = []
    for endpoint in pool.health.endpoints:
        counted = pool.stats.models.get(endpoint.name, {})
        for one in endpoint.models or (endpoint,):
            model = getattr(one, "model", "")
            whole = one is endpoint
            counts = pool.stats.endpoints.get(endpoint.name) if whole else counted.get(model)
            limits = endpoint.limits if whole else (*one.limits, *endpoint.limits)
            rows.append(
                {
                    "pool": pool.name,
                    "name": endpoint.name,
                    "model": model,
                    # An endpoint that is stopped has models whose breakers are closed.
                    "state": endpoint.state if endpoint.state in ("stopped", "drained") else one.state,
                    "available": one.available and endpoint.state != "stopped",
                    "reason": one.reason or endpoint.reason,
                    "in_flight": one.in_flight,
                    "limits": [_limit(each) for each in limits],
                    "latency": one.latency,
                    "error_rate": one.error_rate,
                    **_counts(counts or EndpointCounts()),
                }
            )
    return rows


def _limit(limit: LimitUse) -> dict[str, Any]:
    share = {} if limit.share is None else {"share": finite(round(limit.share, 3))}
    return {"kind": limit.kind, "used": finite(round(limit.used, 3)), "limit": finite(limit.limit), **share}


def _counts(counts: EndpointCounts) -> dict[str, Any]:
    return {
        "answered": counts.answered,
        "failed": counts.failed,
        "tokens": counts.input_tokens + counts.output_tokens,
        "cost": finite(counts.cost),
    }


def approvals(reading: Reading, *, may_decide: bool) -> dict[str, Any]:
    """What waits for a person.

    Args:
        reading: where it is.
        may_decide: whether whoever looks may decide.
    """
    rows = [
        {
            "approval": one.approval,
            "agent": one.agent,
            "run": one.run,
            "conversation": one.conversation,
            "tool": one.tool,
            "seconds": round(one.seconds, 1),
            "wants": "call" if one.tool else "limits",
            "user": one.user,
            "tenant": one.tenant,
            "may_decide": may_decide,
        }
        for one in reading.waiting[:MOST_ROWS]
    ]
    return {"approvals": rows, "all": len(reading.waiting)}


def letters(reading: Reading) -> dict[str, Any]:
    """Dead letters and crashes since somebody has looked for the first time, the latest first."""
    happened = reading.happened
    return {
        "dead_letters": happened.dead_letters,
        "last": [[one.actor, one.detail, one.at] for one in reversed(happened.last_dead_letters)],
        "crashes": [[one.actor, one.detail, one.at] for one in reversed(happened.last_crashes)],
    }


def nothing(reading: Reading) -> None:
    """No view: the summary alone."""
