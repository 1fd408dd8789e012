"""An agency's figures, read as somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ....core.base.errors import CoreError
from ....observe.errors import TelemetryError
from ....observe.metrics import Family
from ...telemetry.figures import Figures
from .runtime import AgencyRuntime

if TYPE_CHECKING:
    from .....providers.pool.accounts.stats import Health, PoolStats
    from ....core.refs.ref import ActorRef

PATIENCE: Final = 2.0
"""Seconds in which a pool must say how it does; one that does not is left out."""


async def read_figures(runtime: AgencyRuntime) -> tuple[Family, ...]:
    """The figures of an agency's runs, pools, actors and journal, as they are now.

    Raises:
        TelemetryError: none are kept.
    """
    figures = runtime.figures
    if figures is None:
        raise TelemetryError("no figures are kept: give the Agency telemetry=Telemetry(), and start it")
    from .....providers.pool.figures import families  # not at the top: it takes long to import

    pools = await asyncio.gather(*(_pool(ref) for ref in runtime.pools))
    return (
        *figures.runs.read(),
        *_runs(figures, runtime),
        *(families(figures.gauges, [pool for pool in pools if pool is not None]) if runtime.pools else ()),
        *figures.actors(),
        *figures.journal(getattr(runtime.journal, "lag", 0.0)),
    )


async def _pool(ref: ActorRef[Any]) -> tuple[str, PoolStats, Health] | None:
    from .....providers.pool import GetHealth, GetStats

    try:
        async with asyncio.timeout(PATIENCE):
            stats, health = await ref.ask(GetStats()), await ref.ask(GetHealth())
    except (CoreError, TimeoutError):
        return None
    return ref.path.rpartition("/")[2], stats, health


def _runs(figures: Figures, runtime: AgencyRuntime) -> Iterator[Family]:
    now = runtime.time()  # not the system's clock, which may be set meanwhile
    under_way: dict[str, list[float]] = {}
    for entry in runtime.register.open():
        under_way.setdefault(entry.run.agent, []).append(now - entry.since)
    label = ("gen_ai_agent_name",)
    counts = [((agent,), float(len(ages))) for agent, ages in under_way.items()]
    yield figures.gauges.family("callboard_runs_under_way", "Runs without an answer yet", "gauge", label, counts)
    oldest = [((agent,), max(0.0, *ages)) for agent, ages in under_way.items()]
    age = "Seconds since the oldest of them was asked for"
    yield figures.gauges.family("callboard_run_age_seconds", age, "gauge", label, oldest, most=True)
    waiting = float(len(runtime.approvals.waiting))
    yield figures.gauges.family(
        "callboard_approvals_waiting", "Calls that wait for a person", "gauge", (), [((), waiting)]
    )
