"""Limits of an endpoint that is replaced: the vendor goes on counting, and so does the pool."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal

import pytest
from pydantic import SecretStr

from callboard.actors import ChildSpec
from callboard.actors.testing import virtual_time
from callboard.providers.errors import InvalidRequest
from callboard.providers.messages import RateLimits
from callboard.providers.pool import FREE, AddEndpoint, Endpoint, Quota, RemoveEndpoint, RotateKey
from callboard.providers.spec import ProviderSpec

from .scripted import Script, Scripted, endpoint, pool_of, request


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


@pytest.mark.parametrize("how", ["rotated", "replaced", "removed and added"])
@pytest.mark.parametrize("configured", [None, 5_000])
@virtual_time
async def test_what_a_vendor_said_of_the_limits_of_another_key_holds_nothing_up(
    how: str, configured: int | None
) -> None:
    old = RateLimits(requests_limit=2, requests_remaining=0, requests_reset=60.0)
    script = Script("a", latency=1.0)
    script.failure = lambda s, _: InvalidRequest("no", status=400, limits=old) if s.keys[-1] == "first" else None
    limits = Quota(requests_per_minute=configured)

    def with_key(key: str) -> Endpoint:
        return Endpoint("a", ChildSpec(Scripted, (script,), {"api_key": key}), model_limits={"m": limits}, price=FREE)

    async with pool_of(with_key("first")) as pool:
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                await pool.ask(request(model="m"), timeout=600)
        late = asyncio.ensure_future(pool.ask(request(model="m"), timeout=600))
        await asyncio.sleep(60.5)
        assert script.in_flight, "it is out with the old key, whose answer so comes after the change"
        if how == "rotated":
            await pool.ask(RotateKey("a", SecretStr("second")))
        else:
            if how == "removed and added":
                await pool.ask(RemoveEndpoint("a"))
            await pool.ask(AddEndpoint(with_key("second")))
        await asyncio.gather(late, return_exceptions=True)
        for number in range(5):
            await pool.ask(request(str(number), model="m"), timeout=5.0)


class Told(Scripted):
    """A scripted provider that is told where it sends, and with which key."""

    def __init__(self, script: Script, spec: ProviderSpec) -> None:
        super().__init__(script, f"{spec.secret} {spec.base_url} {dict(spec.headers)}")


OLD = ProviderSpec("a", api_key=SecretStr("k"), base_url="https://one.example", headers={"X-Team": "one"})


@pytest.mark.parametrize(
    ("new", "same"),
    [
        (replace(OLD, api_key=SecretStr("l")), False),
        (replace(OLD, base_url="https://two.example"), False),
        (replace(OLD, headers={"X-Team": "two"}), False),
        (replace(OLD, timeout=7.0), True),
    ],
)
@virtual_time
async def test_what_a_vendor_said_of_limits_holds_for_its_key_and_address_and_headers(
    new: ProviderSpec, same: bool
) -> None:
    stated = RateLimits(requests_limit=2, requests_remaining=0, requests_reset=60.0)
    script = Script("a", latency=0.0)
    script.failure = lambda s, _: InvalidRequest("no", status=400, limits=stated) if len(s.keys) == 1 else None

    def sent_as(spec: ProviderSpec) -> Endpoint:
        return Endpoint("a", ChildSpec(Told, (script, spec)), price=FREE)

    async with pool_of(sent_as(OLD)) as pool:
        with pytest.raises(InvalidRequest):
            await pool.ask(request(), timeout=600)
        await pool.ask(AddEndpoint(sent_as(new)))
        await pool.ask(request(), timeout=600)
    assert (script.times[1] - script.times[0] > 30.0) == same


@pytest.mark.parametrize("stated", [2, 60])
@pytest.mark.parametrize("rule", ["window", "bucket"])
@virtual_time
async def test_what_others_used_of_the_limits_of_another_key_holds_nothing_up(
    rule: Literal["window", "bucket"], stated: int
) -> None:
    others = RateLimits(requests_limit=stated, requests_remaining=0, requests_reset=60.0)
    script = Script("a", latency=0.0)
    script.failure = lambda s, _: InvalidRequest("no", status=400, limits=others) if s.keys[-1] == "first" else None
    quota = Quota(requests_per_minute=60, rule=rule)
    spec = ChildSpec(Scripted, (script,), {"api_key": "first"})
    async with pool_of(Endpoint("a", spec, model_limits={"m": quota}, price=FREE)) as pool:
        with pytest.raises(InvalidRequest):
            await pool.ask(request(model="m"), timeout=600)
        await pool.ask(RotateKey("a", SecretStr("second")))
        asked = [asyncio.ensure_future(pool.ask(request(str(each), model="m"), timeout=600)) for each in range(20)]
        await asyncio.gather(*asked)
    sent = [time - script.times[1] for time in script.times[1:]]
    assert sum(time <= 1.0 for time in sent) >= 5, "of the second key nothing was used"


@pytest.mark.parametrize(("rule", "most"), [("window", 6), ("bucket", 12)])
@virtual_time
async def test_what_was_sent_with_the_key_before_counts_under_the_limits_that_are_configured(
    rule: Literal["window", "bucket"], most: int
) -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script, limits=Quota(requests_per_minute=6, rule=rule))) as pool:
        asked = [asyncio.ensure_future(pool.ask(request(str(each)), timeout=600)) for each in range(20)]
        for number in range(4):
            await asyncio.sleep(10.0)
            await pool.ask(RotateKey("a", SecretStr(f"key-{number}")))
        await asyncio.gather(*asked)
    within = max(sum(start <= time < start + 60.0 for time in script.times) for start in script.times)
    assert within <= most, f"{within} requests were sent in a minute"
