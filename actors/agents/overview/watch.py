"""Looks on while an agency works; while nobody does, nothing is kept and nothing is measured."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from types import TracebackType
from typing import Any, Final

from ....providers.pool.control import GetHealth, GetStats
from ...core.base.errors import CoreError
from ...core.base.events import Event
from ...core.refs.ref import ActorRef
from ..agency import Agency
from ..errors import AgencyClosed
from .overview import EndpointView, Overview, PoolView, Waiting, shown_actors

_MOST_CRASHES: Final = 1_000
_LAST: Final = 20
"""Dead letters that are told."""
_PATIENCE: Final = 1.0
"""Seconds that a pool may take to answer; one that does not is left out."""
_MINUTE: Final = 60.0


class Watch:
    """Looks on at an agency that runs, from when it is opened until it is closed.

    Args:
        agency: it.

    Raises:
        AgencyClosed: it does not run.
    """

    def __init__(self, agency: Agency) -> None:
        if agency.system is None or agency.stopping:
            raise AgencyClosed("the agency does not run: look at it inside `async with agency`")
        self._agency = agency
        self._system = agency.system
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._crashes: dict[str, str] = {}
        self._lost: deque[str] = deque(maxlen=_LAST)
        self._dead_letters = 0
        self._spent: deque[tuple[float, float]] = deque()
        """When how much had been spent."""
        self._unsubscribe = self._system.subscribe(self._note)
        self._meter = self._system.measure()

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
        if event.kind == "crashed":
            self._crashes.pop(event.actor, None)
            self._crashes[event.actor] = event.detail
            if len(self._crashes) > _MOST_CRASHES:
                del self._crashes[next(iter(self._crashes))]
        elif event.kind == "dead_letter":
            self._dead_letters += 1
            self._lost.append(f"{event.actor}: {event.detail}")

    async def read(self) -> Overview:
        """What the agency does now. It is asked for on the agency's loop.

        Raises:
            AgencyClosed: it has stopped.
        """
        agency, system = self._agency, self._system
        if agency.stopping or system.closed:
            raise AgencyClosed("the agency has stopped")
        self._meter.read()  # so that mailboxes in which messages wait are watched until the next time
        pools, endpoints = await self._pools()
        now = self._clock()
        if agency.stopping or system.closed:
            raise AgencyClosed("the agency has stopped")
        actors, count = shown_actors(system.tree(), self._crashes)
        waiting = tuple(
            Waiting(one.approval, one.agent, one.run, one.conversation, one.tool, max(0.0, now - one.at))
            for one in agency.approvals
        )
        return Overview(
            system.name,
            os.getpid(),
            now - self._began,
            actors,
            count,
            agency.under_way(),
            pools,
            endpoints,
            waiting,
            self._a_minute(now, sum(pool.cost for pool in pools)),
            self._dead_letters,
            tuple(self._lost),
        )

    def _a_minute(self, now: float, spent: float) -> float:
        self._spent.append((now, spent))
        while len(self._spent) > 2 and self._spent[1][0] <= now - _MINUTE:
            self._spent.popleft()
        since, before = self._spent[0]
        return max(0.0, spent - before) / (now - since) * _MINUTE if now > since else 0.0

    async def _pools(self) -> tuple[tuple[PoolView, ...], tuple[EndpointView, ...]]:
        told = await asyncio.gather(*(self._pool(pool) for pool in self._agency.pools))
        found = [one for one in told if one is not None]
        return tuple(pool for pool, _ in found), tuple(each for _, endpoints in found for each in endpoints)

    async def _pool(self, ref: ActorRef[Any]) -> tuple[PoolView, list[EndpointView]] | None:
        try:
            stats = await ref.ask(GetStats(), timeout=_PATIENCE)
            health = await ref.ask(GetHealth(), timeout=_PATIENCE)
        except CoreError:  # it restarts, or has too much to do
            return None
        name = ref.path
        endpoints = []
        for one in health.endpoints:
            counts = stats.endpoints.get(one.name)
            answered, failed = (0, 0) if counts is None else (counts.answered, counts.failed)
            tokens = 0 if counts is None else counts.input_tokens + counts.output_tokens
            cost = 0.0 if counts is None else counts.cost
            said = (one.state, one.available, one.reason, one.in_flight, one.latency, one.error_rate)
            endpoints.append(EndpointView(name, one.name, *said, answered, failed, tokens, cost))
        return PoolView(name, stats.waiting, stats.oldest, stats.cost), endpoints
