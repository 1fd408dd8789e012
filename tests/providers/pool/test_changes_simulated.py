"""Keys rotated, endpoints replaced, removed and added, conversations switched, all under load and with random faults.

Whatever the schedule: every request ends, and nothing pending, waiting or in flight is left. ``make schedules`` tries
2,000 of them.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from typing import Any

from pydantic import SecretStr

from callboard.actors import SpecError
from callboard.actors.testing import Crash, Simulation, Slow, simulate
from callboard.providers.errors import (
    AuthenticationFailed,
    ConnectionLost,
    ProviderError,
    ProviderOverloaded,
    RateLimited,
    UnknownModel,
)
from callboard.providers.messages import Completion, Request
from callboard.providers.pool import (
    AddEndpoint,
    Endpoint,
    GetHealth,
    GetStats,
    Hedge,
    Pool,
    Quota,
    RemoveEndpoint,
    Requester,
    RotateKey,
    Submit,
    SwitchProvider,
)

from .scripted import Script, endpoint, request

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "100"))


def failing(rng: random.Random) -> Any:
    """Fail one request in four, each time in another way."""

    def behave(script: Script, asked: Request) -> Exception | None:
        match rng.randrange(20):
            case 0:
                return ConnectionLost("reset")
            case 1:
                return RateLimited("429", status=429, retry_after=rng.random())
            case 2:
                return ProviderOverloaded("529", status=529)
            case 3:
                return AuthenticationFailed("401", status=401)
            case 4:
                return UnknownModel("retired", status=404) if asked.model == "large" else None
        return None

    return behave


async def moment(rng: random.Random) -> None:
    """Wait for one of the instants at which calls end: what happens between two steps shows only there."""
    await asyncio.sleep(0.05 * rng.randrange(20))


async def patient(sim: Simulation) -> None:
    """As `scenario`, with no call cancelled: then an old and a new actor keep their endpoint's limit together.

    A call that is cancelled frees its place at once, and its end may take some steps to arrive where it is made.
    """
    scripts = await scenario(sim, cancels=False)
    assert (scripts["a"].most, scripts["b"].most <= 2) == (1, True), (
        "two actors of one endpoint went over its limit together"
    )


async def scenario(sim: Simulation, *, cancels: bool = True) -> dict[str, Script]:
    rng = random.Random(random.getrandbits(32))  # the run's own, so that schedule and changes vary together
    scripts = {name: Script(name, latency=0.05 * (index + 1), failure=failing(rng)) for index, name in enumerate("abc")}

    def described(name: str) -> Endpoint:
        limits = Quota(requests_per_minute=200, concurrency=1 if name == "a" else 2)
        return endpoint(scripts[name], limits=limits, model_limits={"large": Quota(concurrency=1)})

    pool = sim.system.supervise(
        Pool.spec(
            [described(name) for name in scripts],
            fallbacks={"large": ["small"]},
            hedge=Hedge(maximum=0.2) if cancels else None,
            seed=1,
        )
    )

    async def ask(number: int) -> Any:
        await moment(rng)
        model = "large" if number % 2 else "small"
        submit = Submit(request(str(number), model=model), Requester(conversation=str(number % 3)))
        if number % 4 == 0:
            deltas = [delta async for delta in pool.stream(submit)]
            return deltas[-1].completion
        return await pool.ask(submit, timeout=0.3 if cancels and number % 5 == 0 else 60.0)

    async def change(number: int) -> None:
        await moment(rng)
        name = rng.choice("abc")
        kind = rng.randrange(6)
        with suppress(SpecError):  # there is no such endpoint: it was just removed
            if kind <= 2:
                await pool.ask(RotateKey(name, SecretStr(f"key-{number}")))
            elif kind == 3:
                await pool.ask(AddEndpoint(described(name)))
            elif kind == 4:
                await pool.ask(RemoveEndpoint(name))
                await moment(rng)
                await pool.ask(AddEndpoint(described(name)))
            else:
                await pool.ask(SwitchProvider(str(number % 3), rng.choice(["", name])))

    asks = [asyncio.ensure_future(ask(number)) for number in range(24)]
    changes = [asyncio.ensure_future(change(number)) for number in range(16)]
    if cancels:
        asyncio.get_running_loop().call_later(0.3, asks[3].cancel)
    await asyncio.gather(*changes)
    for number, result in enumerate(await asyncio.gather(*asks, return_exceptions=True)):
        if number != 3 and (number % 5 or number % 4 == 0):
            assert isinstance(result, Completion | ProviderError), f"request {number} ended in {result!r}"
    await asyncio.sleep(1)
    stats = await pool.ask(GetStats())
    assert (stats.pool.pending, stats.waiting) == (0, 0)
    assert [script.in_flight for script in scripts.values()] == [0, 0, 0]
    health = await pool.ask(GetHealth())
    assert {each.name: each.in_flight for each in health.endpoints} == dict.fromkeys("abc", 0)
    # Every place is free again, and every endpoint is there.
    for script in scripts.values():
        script.failure = lambda _script, _request: None
    for name in "abc":
        await pool.ask(RotateKey(name, SecretStr("last")))
    submits = [Submit(request(str(number)), Requester(endpoint=name)) for name in "abc" for number in range(3)]
    last = await asyncio.gather(*(pool.ask(submit, timeout=100) for submit in submits))
    assert all(isinstance(answer, Completion) for answer in last)
    return scripts


async def hurried(sim: Simulation) -> None:
    """Callers leave, hedges are overtaken."""
    await scenario(sim)


def test_nothing_is_left_when_endpoints_change_under_load() -> None:
    simulate(hurried, seeds=SCHEDULES, max_steps=200_000)


def test_the_actors_that_an_endpoint_had_keep_its_limits_together() -> None:
    simulate(patient, seeds=max(1, SCHEDULES // 4), max_steps=200_000)


def test_nothing_is_left_though_a_provider_actor_crashes_or_stalls_meanwhile() -> None:
    faults: list[Crash | Slow] = [Crash("pool/a"), Crash("pool/b"), Slow("pool/c", seconds=2.0)]
    simulate(hurried, seeds=max(1, SCHEDULES // 4), faults=faults, max_steps=200_000)
