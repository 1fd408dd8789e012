"""Looks on while an agency works; while nobody does, nothing is kept and nothing is measured."""

from __future__ import annotations

import asyncio
import os
import time
from types import TracebackType
from typing import Any, Final, NamedTuple

from ....providers.pool.accounts.stats import EndpointCounts, Health, PoolStats
from ....providers.pool.control import GetHealth, GetStats
from ...core.base.errors import CoreError
from ...core.base.events import ActorState, Event
from ...core.refs.ref import ActorRef
from ..agency import Agency
from ..errors import AgencyClosed
from ..runs.runtime.under_way import RunUnderWay
from .happened import Happened, Rates
from .overview import EndpointView, Overview, PoolView, Waiting, shown_actors

_PATIENCE: Final = 1.0
"""Seconds that a pool may take to answer; one that does not is left out."""


class PoolState(NamedTuple):
    """What a pool says of itself.

    Args:
        name: of its actor.
        stats: what it has done and spent.
        health: how its endpoints do.
    """

    name: str
    stats: PoolStats
    health: Health


class Watch:
    """Looks on at an agency that runs, from when it is opened until it is closed.

    Args:
        agency: it.
        happened: where what happens is taken down, in place of a list of its own.

    Raises:
        AgencyClosed: it does not run.

    Attributes:
        happened: see above.
    """

    def __init__(self, agency: Agency, happened: Happened | None = None) -> None:
        if agency.system is None or agency.stopping:
            raise AgencyClosed("the agency does not run: look at it inside `async with agency`")
        self.happened = Happened() if happened is None else happened
        self._agency = agency
        self._system = agency.system
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._unsubscribe = self._system.subscribe(self._note)
        self._meter = self._system.measure(times=False)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Look on no more, at no cost from now on; closing it again does nothing."""
        self._unsubscribe()
        self._meter.close()

    def _note(self, event: Event) -> None:
        self.happened.note(event, time.time())

    async def read(self) -> Overview:
        """What the agency does now. It is asked for on the agency's loop.

        Raises:
            AgencyClosed: it has stopped.
        """
        agency, system = self._agency, self._system
        self._check()
        self._meter.read()  # so that mailboxes in which messages wait are watched until the next time
        pools = await self.pools()
        now = self._clock()
        crashes = {path: fact.detail for path, fact in self.happened.crashes.items()}
        actors, count = shown_actors(system.tree(), crashes)
        return Overview(
            system.name,
            os.getpid(),
            now - self._began,
            actors,
            count,
            agency.under_way(),
            tuple(PoolView(name, stats.waiting, stats.oldest, stats.cost) for name, stats, _ in pools),
            tuple(view for pool in pools for view in _endpoints(pool)),
            self.waiting(),
            self.rates(pools).cost,
            self.happened.dead_letters,
            tuple(f"{one.actor}: {one.detail}" for one in self.happened.last_dead_letters),
        )

    def actors(self, most: int) -> tuple[dict[str, ActorState], int]:
        """The actors, level by level, by their paths, and how many there are; see `System.survey`.

        Args:
            most: how many are told.

        Raises:
            AgencyClosed: the agency has stopped.
        """
        self._check()
        return self._system.survey(most)

    def runs(self) -> tuple[RunUnderWay, ...]:
        """The runs that have not ended.

        Raises:
            AgencyClosed: the agency has stopped.
        """
        self._check()
        return self._agency.under_way()

    def waiting(self) -> tuple[Waiting, ...]:
        """What waits for a person."""
        now = self._clock()
        return tuple(
            Waiting(
                one.approval,
                one.agent,
                one.run,
                one.conversation,
                one.tool,
                max(0.0, now - one.at),
                one.caller.user,
                one.caller.tenant,
            )
            for one in self._agency.approvals
        )

    async def pools(self) -> list[PoolState]:
        """What the pools say of themselves, but those that do not answer.

        Raises:
            AgencyClosed: the agency has stopped.
        """
        told = await asyncio.gather(*(_pool(pool) for pool in self._agency.pools))
        self._check()
        return [one for one in told if one is not None]

    def rates(self, pools: list[PoolState]) -> Rates:
        """What pools have done a minute, over the last one somebody looked on.

        Args:
            pools: as they are now.
        """
        return self.happened.a_minute(_done(pools), self._clock())

    def _check(self) -> None:
        if self._agency.stopping or self._system.closed:
            raise AgencyClosed("the agency has stopped")


def _done(pools: list[PoolState]) -> Rates:
    counts = [one for pool in pools for one in pool.stats.endpoints.values()]
    return Rates(
        sum(pool.stats.cost for pool in pools),
        sum(one.input_tokens + one.output_tokens for one in counts),
        sum(one.answered for one in counts),
    )


async def _pool(ref: ActorRef[Any]) -> PoolState | None:
    try:
        stats = await ref.ask(GetStats(), timeout=_PATIENCE)
        health = await ref.ask(GetHealth(), timeout=_PATIENCE)
    except CoreError:  # it restarts, or has too much to do
        return None
    return PoolState(ref.path, stats, health)


def _endpoints(pool: PoolState) -> list[EndpointView]:
    views = []
    for one in pool.health.endpoints:
        counts = pool.stats.endpoints.get(one.name) or EndpointCounts()  # it may have been added since
        said = (one.state, one.available, one.reason, one.in_flight, one.latency, one.error_rate)
        done = (counts.answered, counts.failed, counts.input_tokens + counts.output_tokens, counts.cost)
        views.append(EndpointView(pool.name, one.name, *said, *done))
    return views
