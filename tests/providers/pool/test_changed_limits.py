"""Limits of an endpoint that is replaced: the vendor goes on counting, and so does the pool."""

from __future__ import annotations

import asyncio

import pytest

from callboard.actors.testing import virtual_time
from callboard.providers.pool import AddEndpoint, Quota

from .scripted import Script, endpoint, pool_of, request


@pytest.mark.parametrize("whose", ["limits", "model_limits"])
@virtual_time
async def test_limits_that_are_changed_count_what_was_sent_under_the_ones_before(whose: str) -> None:
    script = Script("a")

    def limited(requests_per_minute: int) -> dict[str, object]:
        quota = Quota(requests_per_minute=requests_per_minute)
        return {"limits": quota} if whose == "limits" else {"model_limits": {"m": quota}}

    async with pool_of(endpoint(script, **limited(20))) as pool:
        asked = [asyncio.ensure_future(pool.ask(request(str(each), model="m"), timeout=600)) for each in range(60)]
        for limit in (19, 18, 17, 20):
            await asyncio.sleep(5.0)
            await pool.ask(AddEndpoint(endpoint(script, **limited(limit))))
        await asyncio.gather(*asked)
    within = max(sum(start <= time < start + 60.0 for time in script.times) for start in script.times)
    assert within <= 20, f"{within} requests were sent in a minute"


@virtual_time
async def test_requests_at_once_count_those_in_flight_at_the_actor_before() -> None:
    script = Script("a", latency=30.0)
    async with pool_of(endpoint(script, limits=Quota(concurrency=2))) as pool:
        asked = [asyncio.ensure_future(pool.ask(request(str(each)), timeout=600)) for each in range(12)]
        for limit in (100, 101, 102):
            await asyncio.sleep(1.0)
            await pool.ask(AddEndpoint(endpoint(script, limits=Quota(concurrency=2, requests_per_minute=limit))))
        await asyncio.gather(*asked)
    assert script.most == 2


@pytest.mark.parametrize("whose", ["limits", "model_limits"])
@virtual_time
async def test_limits_that_are_changed_hold_from_then_on(whose: str) -> None:
    script = Script("a", latency=0.0)

    def limited(requests_per_minute: int) -> dict[str, object]:
        quota = Quota(requests_per_minute=requests_per_minute)
        return {"limits": quota} if whose == "limits" else {"model_limits": {"m": quota}}

    async with pool_of(endpoint(script, **limited(20))) as pool:
        await pool.ask(request(model="m"), timeout=600)
        await pool.ask(AddEndpoint(endpoint(script, **limited(2))))
        asked = [asyncio.ensure_future(pool.ask(request(str(each), model="m"), timeout=600)) for each in range(5)]
        await asyncio.gather(*asked)
    within = max(sum(start <= time < start + 60.0 for time in script.times) for start in script.times)
    assert within == 2
