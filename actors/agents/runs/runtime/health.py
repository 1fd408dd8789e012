"""How an agency does: whom its pools can reach, its journal, what its process uses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ....core.base.errors import CoreError
from ....observe.resources import Resources, resources
from .runtime import AgencyRuntime

if TYPE_CHECKING:
    from .....providers.pool import Health
    from ....core.refs.ref import ActorRef

PATIENCE: Final = 2.0
"""Seconds in which a pool must say how it does."""


@dataclass(frozen=True, slots=True)
class AgencyHealth:
    """How an agency does at one moment.

    Args:
        pools: how the endpoints and models of each pool do, by the pool's name; None for one that has not said so
            within two seconds.
        journal_lag: seconds for which what is being written to the journal is on its way.
        resources: what the process uses.
    """

    pools: Mapping[str, Health | None]
    journal_lag: float
    resources: Resources

    @property
    def available(self) -> bool:
        """Whether each pool can reach an endpoint."""
        return all(health is not None and health.available for health in self.pools.values())


async def health_of(runtime: AgencyRuntime) -> AgencyHealth:
    """Look how an agency does."""
    asked = await asyncio.gather(*(_health(ref) for ref in runtime.pools))
    pools = {ref.path.rpartition("/")[2]: health for ref, health in zip(runtime.pools, asked, strict=True)}
    return AgencyHealth(pools, getattr(runtime.journal, "lag", 0.0), resources(runtime.journal_file))


async def _health(ref: ActorRef[Any]) -> Health | None:
    from .....providers.pool import GetHealth  # not at the top: it takes long to import

    try:
        async with asyncio.timeout(PATIENCE):
            found: Health = await ref.ask(GetHealth())
            return found
    except (CoreError, TimeoutError):
        return None
