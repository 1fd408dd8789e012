"""The pool under many schedules and faults: whatever happens, every request ends once, and no place is lost."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from callboard.actors.testing import Crash, Simulation, Slow, simulate
from callboard.providers.errors import ConnectionLost, ProviderError, RateLimited
from callboard.providers.messages import Completion, Request
from callboard.providers.pool import FanOut, GetStats, Hedge, Pool, PoolStats, Quota, Requester, Submit

from .scripted import Script, endpoint, request


def unreliable(seed: int) -> Any:
    """Fail one request in three, each time in another way."""
    rng = random.Random(seed)

    def behave(_script: Script, _request: Request) -> Exception | None:
        kind = rng.randrange(6)
        if kind == 0:
            return ConnectionLost("reset")
        return RateLimited("429", retry_after=rng.random()) if kind == 1 else None

    return behave


async def scenario(sim: Simulation) -> None:
    scripts = [Script(name, latency=0.1 * (index + 1), failure=unreliable(index)) for index, name in enumerate("abc")]
    endpoints = [endpoint(script, limits=Quota(requests_per_minute=100, concurrency=2)) for script in scripts]
    pool = sim.system.supervise(Pool.spec(endpoints, hedge=Hedge(maximum=0.25), coalesce=True, seed=1))

    async def read() -> str:
        async for delta in pool.stream(request("streamed")):
            if delta.completion is not None:
                return "whole"
        return "cut and not said so"

    async def ask(message: Any, timeout: float) -> Any:
        return await pool.ask(message, timeout=timeout)

    work = [ask(request(str(number % 7)), 0.2 if number % 5 == 0 else 60.0) for number in range(20)]
    asks = [asyncio.ensure_future(each) for each in (*work, ask(FanOut(request("all"), combine="all"), 60.0), read())]
    asyncio.get_running_loop().call_later(0.1, asks[3].cancel)
    results = await asyncio.gather(*asks, return_exceptions=True)
    for number, result in enumerate(results):
        in_time = number >= 20 or (number % 5 and number != 3)
        if in_time:
            assert not isinstance(result, BaseException) or isinstance(result, ProviderError), repr(result)
            assert isinstance(result, Completion | dict | str | ProviderError), repr(result)
            assert result != "cut and not said so"
    # Time for the coroutines of those who gave up to end.
    await asyncio.sleep(1)
    stats: PoolStats = await pool.ask(GetStats())
    assert (stats.pool.pending, stats.waiting) == (0, 0)
    assert [script.in_flight for script in scripts] == [0, 0, 0]
    assert max(script.most for script in scripts) <= 2
    # Every place is free again.
    last = await asyncio.gather(*(pool.ask(request(f"last {number}"), timeout=100) for number in range(12)))
    assert all(isinstance(answer, Completion) for answer in last)


async def hedged(sim: Simulation) -> None:
    """A request waits for the very place that a hedge has taken."""
    scripts = [Script(name, latency=0.2) for name in "ab"]
    one = Quota(concurrency=1)
    endpoints = [endpoint(script, limits=one, priority=number) for number, script in enumerate(scripts)]
    hedge = Hedge(quantile=0.5, minimum=0.2, maximum=0.2, budget=1.0)
    pool = sim.system.supervise(Pool.spec(endpoints, hedge=hedge, seed=1))
    for number in range(12):
        await pool.ask(Submit(request(f"before {number}"), Requester(endpoint="ab"[number % 2])))
    for number in range(5):
        first = asyncio.ensure_future(pool.ask(request(f"slow {number}")))
        await asyncio.sleep(0.2)
        bound = asyncio.ensure_future(pool.ask(Submit(request(f"bound {number}"), Requester(endpoint="b")), timeout=5))
        results = await asyncio.gather(first, bound, return_exceptions=True)
        assert all(isinstance(result, Completion) for result in results), "the place was free, and nobody was told"
        await asyncio.sleep(1)


def test_a_hedge_that_is_called_off_before_it_began_leaves_its_place_to_who_waits() -> None:
    simulate(hedged, seeds=20)


def test_every_request_ends_once_under_any_schedule() -> None:
    simulate(scenario, seeds=30, max_steps=100_000)


def test_every_request_ends_once_though_a_provider_actor_crashes_or_stalls() -> None:
    simulate(
        scenario, seeds=30, faults=[Crash("pool/a"), Crash("pool/b"), Slow("pool/c", seconds=3.0)], max_steps=100_000
    )
