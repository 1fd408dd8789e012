"""Endpoints that are drained and resumed, and budgets that are raised, while requests come."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from callboard.actors import SpecError
from callboard.actors.testing import Simulation, simulate, virtual_time
from callboard.providers.errors import BudgetSpent
from callboard.providers.messages import Usage
from callboard.providers.pool import (
    AddEndpoint,
    Budget,
    DrainEndpoint,
    GetHealth,
    GetStats,
    Price,
    Probe,
    RaiseBudget,
    RemoveEndpoint,
    Requester,
    ResumeEndpoint,
    Submit,
)

from .scripted import Script, endpoint, pool_of, request


async def states(pool: Any) -> dict[str, tuple[str, bool]]:
    return {one.name: (one.state, one.available) for one in (await pool.ask(GetHealth())).endpoints}


@virtual_time
async def test_nothing_is_sent_to_a_drained_endpoint_and_what_is_in_flight_there_ends() -> None:
    a, b = Script("a", latency=5.0), Script("b", latency=1.0)
    async with pool_of(endpoint(a, priority=0), endpoint(b, priority=1)) as pool:
        first = pool.ask(request())
        await asyncio.sleep(1.0)
        await pool.ask(DrainEndpoint("a"))
        assert await states(pool) == {"a": ("drained", False), "b": ("closed", True)}
        answers = await asyncio.gather(*(pool.ask(request()) for _ in range(5)))
        assert {answer.provider for answer in answers} == {"b"}
        assert (await first).provider == "a"
        assert len(a.seen) == 1
        await pool.ask(Probe("a"))
        assert len(a.seen) == 1, "nothing at all is sent there"
        await pool.ask(ResumeEndpoint("a"))
        assert (await states(pool))["a"] == ("closed", True)
        await asyncio.gather(*(pool.ask(request()) for _ in range(5)))
        assert len(a.seen) > 1
        (drained,) = [one for one in (await pool.ask(GetHealth())).endpoints if one.name == "a"]
        assert drained.reason == ""


@virtual_time
async def test_what_only_a_drained_endpoint_can_serve_waits_until_it_is_resumed() -> None:
    a = Script("a")
    async with pool_of(endpoint(a)) as pool:
        await pool.ask(DrainEndpoint("a"))
        waits = pool.ask(request())
        await asyncio.sleep(10.0)
        assert not waits.done()
        (health,) = (await pool.ask(GetHealth())).endpoints
        assert health.reason.startswith("drained")
        await pool.ask(ResumeEndpoint("a"))
        assert (await waits).provider == "a"


@virtual_time
async def test_an_endpoint_stays_drained_over_restarts_and_where_it_is_replaced_and_not_where_it_is_removed() -> None:
    a = Script("a")
    async with pool_of(endpoint(a)) as pool:
        await pool.ask(DrainEndpoint("a"))
        pool.kill()
        assert (await states(pool))["a"] == ("drained", False)
        await pool.ask(AddEndpoint(endpoint(a)))
        assert (await states(pool))["a"] == ("drained", False)
        await pool.ask(RemoveEndpoint("a"))
        await pool.ask(AddEndpoint(endpoint(a)))
        assert (await states(pool))["a"] == ("closed", True)
        for message in (DrainEndpoint("b"), ResumeEndpoint("b")):
            with pytest.raises(SpecError, match="'b'"):
                await pool.ask(message)


def test_nothing_is_lost_and_nothing_is_sent_to_who_is_drained_whatever_the_order() -> None:
    async def scenario(sim: Simulation) -> None:
        scripts = [Script("a", latency=0.5), Script("b", latency=0.5)]
        async with pool_of(*map(endpoint, scripts)) as pool:
            asked = [pool.ask(request()) for _ in range(6)]
            for name, script in (("a", scripts[0]), ("b", scripts[1])):
                await pool.ask(DrainEndpoint(name))
                asked += [pool.ask(request(f"not {name}")) for _ in range(4)]
                await asyncio.sleep(0.3)
                texts = [one.messages[0].text for _, one in script.seen]
                assert f"not {name}" not in texts, "something was sent to who is drained"
                await pool.ask(ResumeEndpoint(name))
            assert len(await asyncio.gather(*asked)) == 14

    simulate(scenario, seeds=20)


DOLLAR = Price(1.0, 1.0)


def of(name: str) -> Submit:
    return Submit(request(max_tokens=1), Requester(user=name))


@virtual_time
async def test_a_budget_that_is_raised_lasts_longer_and_that_of_others_does_not() -> None:
    script = Script("a", usage=Usage(1_000_000, 0))
    budgets = [Budget("user", "*", 1.0, "day"), Budget("user", "*", 9.0, "month")]
    async with pool_of(endpoint(script, price=DOLLAR), budgets=budgets) as pool:
        for name in ("ada", "bob"):
            await pool.ask(of(name))
            with pytest.raises(BudgetSpent):
                await pool.ask(of(name))
        assert await pool.ask(RaiseBudget("user:ada", "day", "dollars", 2.5)) == 1.0
        await pool.ask(of("ada"))
        with pytest.raises(BudgetSpent):
            await pool.ask(of("bob"))
        pool.kill()
        limits = {(one.account, one.period): one.limit for one in (await pool.ask(GetStats())).budgets}
        assert limits == {
            ("user:ada", "day"): 2.5,
            ("user:ada", "month"): 9.0,
            ("user:bob", "day"): 1.0,
            ("user:bob", "month"): 9.0,
        }


@virtual_time
async def test_a_limit_of_a_budget_is_raised_and_its_others_stay() -> None:
    script = Script("a", usage=Usage(10, 0))
    budget = Budget("pool", "", 5.0, "day", tokens=100, requests=1)
    async with pool_of(endpoint(script, price=DOLLAR), budgets=[budget]) as pool:
        await pool.ask(request(max_tokens=1))
        assert await pool.ask(RaiseBudget("pool:", "day", "requests", 3.0)) == 1.0
        await pool.ask(request(max_tokens=1))
        limits = {one.measure: one.limit for one in (await pool.ask(GetStats())).budgets}
        assert limits == {"dollars": 5.0, "tokens": 100, "requests": 3}
        await pool.ask(RaiseBudget("pool:", "day", "dollars", math.inf))
        for message, said in (
            (RaiseBudget("pool:", "day", "requests", 3.0), "raised to more"),
            (RaiseBudget("pool:", "day", "requests", math.nan), "raised to more"),
            (RaiseBudget("pool:", "day", "tokens", 200_000.5), r"whole tokens, not of 200000\.5"),
            (RaiseBudget("pool:", "month", "tokens", 200), "no budget of tokens"),
            (RaiseBudget("user:ada", "day", "tokens", 200), "there are: pool:"),
        ):
            with pytest.raises(SpecError, match=said):
                await pool.ask(message)
