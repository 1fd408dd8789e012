"""Our pool with everything on: limits, breakers, retries, hedging, prices, budgets, statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from callboard.actors import ActorRef, System
from callboard.providers.messages import Message, Request
from callboard.providers.pool import (
    BreakerPolicy,
    Budget,
    Endpoint,
    GetStats,
    Hedge,
    LeastLoaded,
    Pool,
    PoolStats,
    Quota,
)
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec

from .pool_faults import faults
from .pool_load import DEADLINE, PROMPT, scenarios

SCALE = 4.0
# With two more providers to go to, two failures of ten are enough; the default is three, for those who have only one.
BREAKER = BreakerPolicy(error_rate=0.2)
MODELS = ("gpt-4o", "gpt-4o-mini")
REQUEST = Request((Message("system", "Be brief."), Message("user", PROMPT)), model="gpt-4o", max_tokens=64)


class Client:
    """The pool as the load sees it."""

    def __init__(self, pool: ActorRef[Pool]) -> None:
        self.pool = pool
        self.stats: PoolStats | None = None

    async def call(self, number: int) -> Any:
        return await self.pool.ask(REQUEST, timeout=DEADLINE)

    async def call_model(self, number: int, model: int) -> Any:
        return await self.pool.ask(replace(REQUEST, model=MODELS[model]), timeout=DEADLINE)

    async def stream(self, number: int) -> AsyncIterator[str]:
        whole = False
        async for delta in self.pool.stream(REQUEST):
            whole = delta.completion is not None
            yield delta.text
        assert whole, "the stream ended without its completion"

    async def probes(self) -> int:
        stats: PoolStats = await self.pool.ask(GetStats())
        return stats.endpoints["p0"].probes


@asynccontextmanager
async def make(urls: list[str], connections: int) -> AsyncIterator[Client]:
    limits = Quota(1_000_000, 1_000_000_000)
    if urls[-1].startswith("limits="):
        requests, tokens, second, rule = urls.pop().removeprefix("limits=").split(",")
        limits = Quota(
            int(requests),
            int(tokens),
            requests_per_second=int(second) or None,
            rule="bucket" if rule == "bucket" else None,
        )
    endpoints = []
    for index, url in enumerate(urls):
        spec = ProviderSpec(
            f"p{index}", api_key=SecretStr("key"), base_url=url, models=MODELS, max_in_flight=connections
        )
        endpoints.append(Endpoint.of(spec, child_spec(spec), limits=limits, vendor="openai", breaker=BREAKER))
    async with System("bench") as system:
        pool = system.supervise(
            Pool.spec(
                endpoints,
                routing=LeastLoaded(),
                fallbacks={MODELS[0]: MODELS[1:]},
                hedge=Hedge() if len(urls) > 1 else None,
                budgets=[Budget("pool", "", 1e9)],
                seed=1,
            )
        )
        await pool.ask(GetStats())
        yield Client(pool)


SCENARIOS = scenarios(make, SCALE) | faults(make)
