"""What a cache keeps and for whom, and who pays for a call that equal requests share."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from callboard.actors.testing import virtual_time
from callboard.providers.embeddings import Answered
from callboard.providers.errors import BudgetSpent, InvalidRequest, ProviderOverloaded, StreamCut
from callboard.providers.messages import Completion, FinishReason, Usage
from callboard.providers.pool import (
    Budget,
    GetStats,
    MemoryCache,
    Price,
    Quota,
    Requester,
    RetryPolicy,
    SetBudget,
    SqliteCache,
    Submit,
    SwitchProvider,
)

from .scripted import Script, endpoint, fails, fails_until, pool_of, request

DOLLAR = Price(1.0, 1.0)


def overloaded() -> Exception:
    return ProviderOverloaded("503", status=503)


# -- caches ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("streamed", [False, True])
@virtual_time
async def test_an_answer_that_was_cut_short_or_refused_is_not_kept(reason: FinishReason, streamed: bool) -> None:
    script = Script("a", finish=reason)
    async with pool_of(endpoint(script), cache=MemoryCache()) as pool:
        for _ in range(2):
            if streamed:
                _ = [delta async for delta in pool.stream(request())]
            else:
                await pool.ask(request())
    assert len(script.seen) == 2


@virtual_time
async def test_the_answer_of_a_lesser_model_is_not_kept_for_the_better_one() -> None:
    large, small = Script("large", failure=fails_until(5.0, overloaded)), Script("small")
    endpoints = [endpoint(large, models=("big",)), endpoint(small, models=("mini",))]
    async with pool_of(*endpoints, fallbacks={"big": ("mini",)}, cache=MemoryCache()) as pool:
        assert (await pool.ask(request(model="big"))).provider == "small"
        await asyncio.sleep(60)
        assert (await pool.ask(request(model="big"))).provider == "large"


@virtual_time
async def test_an_answer_without_what_was_asked_for_is_not_kept() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, capabilities=frozenset()), cache=MemoryCache()) as pool:
        for _ in range(2):
            await pool.ask(request(response_schema={"type": "object"}))
    assert len(script.seen) == 2


@virtual_time
async def test_what_came_of_a_stream_that_broke_off_is_not_kept() -> None:
    script = Script("a", cut_after=2)
    async with pool_of(endpoint(script), cache=MemoryCache()) as pool:
        with pytest.raises(StreamCut):
            _ = [delta async for delta in pool.stream(request())]
        script.cut_after = None
        answer = await pool.ask(request())
    assert "cached" not in answer.notes


@virtual_time
async def test_an_answer_is_kept_for_an_hour_if_nothing_else_is_said() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script), cache=MemoryCache()) as pool:
        await pool.ask(request())
        await asyncio.sleep(3599)
        assert "cached" in (await pool.ask(request())).notes
        await asyncio.sleep(1)
        assert "cached" not in (await pool.ask(request())).notes


class Broken(MemoryCache):
    """Can neither be read nor written, as on a full disk."""

    async def get(self, key: str) -> Answered | None:
        raise OSError("cannot read the file of the secret plan")

    async def put(self, key: str, completion: Answered) -> None:
        raise OSError("cannot write the file of the secret plan")


@pytest.mark.parametrize("coalesce", [False, True])
@virtual_time
async def test_a_cache_that_fails_costs_no_answer_and_is_logged(
    coalesce: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool_of(endpoint(Script("a")), cache=Broken(), coalesce=coalesce) as pool:
        assert (await pool.ask(request())).provider == "a"
        deltas = [delta async for delta in pool.stream(request())]
        stats = await pool.ask(GetStats())
    assert deltas[-1].completion is not None
    assert (stats.pool.answered, stats.pool.failed, stats.pool.pending) == (2, 0, 0)
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["the cache could not be read: OSError", "the cache could not be written: OSError"] * 2


async def test_an_sqlite_cache_forgets_what_has_expired_when_it_is_opened(tmp_path: Any) -> None:
    import sqlite3

    now = 1_000.0
    path = tmp_path / "cache.db"
    cache = SqliteCache(path, clock=lambda: now)
    await cache.open()
    await cache.put("key", Completion(request().messages[0], "stop"))
    await cache.close()
    now += 3_600
    await cache.open()
    await cache.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM completions").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("how", ["endpoint", "prefix", "conversation", "agent"])
@pytest.mark.parametrize("streamed", [False, True])
@virtual_time
async def test_a_request_for_one_endpoint_is_not_answered_with_what_another_has_said(how: str, streamed: bool) -> None:
    async with pool_of(endpoint(Script("a")), endpoint(Script("b"), priority=1), cache=MemoryCache()) as pool:
        who = Requester(agent="planner", conversation="c")
        assert (await pool.ask(Submit(request(model="m"), who))).provider == "a"
        assert (await pool.ask(Submit(request(model="m"), who))).notes == ("cached",)
        asked = Submit(request(model="b:m" if how == "prefix" else "m"), who)
        if how == "endpoint":
            asked = Submit(request(model="m"), Requester(endpoint="b"))
        elif how != "prefix":
            await pool.ask(SwitchProvider("c", "b") if how == "conversation" else SwitchProvider("", "b", "planner"))
        for _ in range(2):
            if streamed:
                answer = [delta async for delta in pool.stream(asked)][-1].completion
                assert answer is not None
            else:
                answer = await pool.ask(asked)
            assert answer.provider == "b"
        assert answer.notes == ("cached",), "its own answer does"


# -- sharing one call --------------------------------------------------------------------------------------------------


@virtual_time
async def test_equal_requests_share_the_price_of_their_one_call() -> None:
    script = Script("a", usage=Usage(3_000_000, 0))
    async with pool_of(endpoint(script, price=DOLLAR), coalesce=True) as pool:
        asks = [pool.ask(Submit(request(), Requester(agent=name))) for name in ("x", "x", "y")]
        answers = await asyncio.gather(*asks)
        stats = await pool.ask(GetStats())
    assert [answer.cost for answer in answers] == [1.0] * 3
    assert {"shared by 3 equal requests" in answer.notes for answer in answers} == {True}
    assert stats.cost == 3.0
    assert (stats.spent["agent:x"], stats.spent["agent:y"], stats.spent["provider:a"]) == (2.0, 1.0, 3.0)


@virtual_time
async def test_each_who_joins_a_call_is_asked_for_its_own_budget() -> None:
    script = Script("a", usage=Usage(1_000_000, 0))
    budgets = [Budget("agent", "poor", 0.0), Budget("agent", "rich", 5.0), Budget("agent", "small", 0.3)]
    async with pool_of(endpoint(script, price=DOLLAR), coalesce=True, budgets=budgets) as pool:
        asked = request(max_tokens=1_000_000)
        asks = [pool.ask(Submit(asked, Requester(agent=name))) for name in ("rich", "poor", "small", "rich")]
        results = await asyncio.gather(*asks, return_exceptions=True)
        stats = await pool.ask(GetStats())
    assert [type(result) for result in results] == [Completion, BudgetSpent, BudgetSpent, Completion]
    assert "agent poor" in str(results[1])
    assert (len(script.seen), stats.spent["agent:rich"]) == (1, 1.0)


ALL = ("ada", "bob", "carl")


@pytest.mark.parametrize("poor", [("ada",), ("carl",), ("ada", "bob"), ALL])
@virtual_time
async def test_who_cannot_pay_any_more_when_a_shared_call_goes_out_is_refused_alone(poor: tuple[str, ...]) -> None:
    script = Script("a", usage=Usage(0, 1_000_000))
    budgets = [Budget("user", name, 100.0) for name in ALL]
    one = endpoint(script, price=DOLLAR, limits=Quota(concurrency=1))
    asked = request("same", max_tokens=1_000_000)
    async with pool_of(one, coalesce=True, budgets=budgets) as pool:
        busy = pool.ask(Submit(request("busy"), Requester(user="dan")))
        await asyncio.sleep(0.01)
        asks = [pool.ask(Submit(asked, Requester(user=name))) for name in ALL]
        await asyncio.sleep(0.01)
        for name in poor:
            await pool.ask(SetBudget(Budget("user", name, 0.125)))
        results = dict(zip(ALL, await asyncio.gather(*asks, return_exceptions=True), strict=True))
        await busy
        stats = await pool.ask(GetStats())
        assert (stats.pool.pending, stats.waiting, stats.endpoints["a"].sent) == (0, 0, 1 if poor == ALL else 2)
        assert all(each.reserved == 0.0 for each in stats.budgets)
        assert (await pool.ask(Submit(request("next"), Requester(user="dan")))).provider == "a"
    rich = [name for name in ALL if name not in poor]
    for name in poor:
        told = str(results[name])
        assert isinstance(results[name], BudgetSpent)
        assert f"user {name}" in told
        assert not any(other in told for other in ALL if other != name), "their budgets are nobody else's business"
    for name in rich:
        answer = results[name]
        assert isinstance(answer, Completion)
        assert (answer.cost, stats.spent[f"user:{name}"]) == (1.0 / len(rich), 1.0 / len(rich))
    assert not any(stats.spent.get(f"user:{name}") for name in poor)


@virtual_time
async def test_a_shared_call_goes_where_all_can_pay_and_nobody_is_told_whose_budget_is_small() -> None:
    dear, cheap = Script("dear"), Script("cheap", latency=0.2)
    cheap.failure = lambda _, asked: None if asked.messages[0].text == "busy" else overloaded()
    one = Quota(concurrency=1)
    endpoints = (
        endpoint(dear, price=Price(0.0, 10.0), limits=one),
        endpoint(cheap, price=DOLLAR, limits=one, retry=RetryPolicy(attempts=1)),
    )
    asked = request("same", max_tokens=1_000_000)
    async with pool_of(*endpoints, coalesce=True, budgets=[Budget("user", "ada", 99.0)]) as pool:
        busy = [pool.ask(Submit(request("busy"), Requester(endpoint=name))) for name in ("dear", "cheap")]
        await asyncio.sleep(0.01)
        asks = [pool.ask(Submit(asked, Requester(user=name))) for name in ("ada", "bob")]
        await asyncio.sleep(0.01)
        await pool.ask(SetBudget(Budget("user", "ada", 2.0)))
        results = await asyncio.gather(*asks, return_exceptions=True)
        await asyncio.gather(*busy)
    assert (len(dear.seen), len(cheap.seen)) == (1, 2)
    assert "of those who share this call" in str(results[1])
    assert "ada" not in str(results[1])


@virtual_time
async def test_a_budget_that_concerns_all_who_share_a_call_refuses_them_all() -> None:
    one = endpoint(Script("a"), price=DOLLAR, limits=Quota(concurrency=1))
    async with pool_of(one, coalesce=True, budgets=[Budget("pool", "", 99.0)]) as pool:
        busy = pool.ask(request("busy"))
        await asyncio.sleep(0.01)
        asks = [pool.ask(Submit(request("same"), Requester(tenant="acme", user=name))) for name in ("ada", "bob")]
        await asyncio.sleep(0.01)
        await pool.ask(SetBudget(Budget("pool", "", 0.0)))
        results = await asyncio.gather(*asks, return_exceptions=True)
        await busy
    assert ["the budget of pool is spent" in str(each) for each in results] == [True, True]


@virtual_time
async def test_of_those_who_share_a_call_and_one_account_the_last_goes_first() -> None:
    script = Script("a", usage=Usage(0, 1_000_000))
    one = endpoint(script, price=DOLLAR, limits=Quota(concurrency=1))
    asked = request("same", max_tokens=1_000_000)
    async with pool_of(one, coalesce=True, budgets=[Budget("tenant", "acme", 99.0)]) as pool:
        busy = pool.ask(request("busy"))
        await asyncio.sleep(0.01)
        who = [Requester(tenant="acme", user="ada"), Requester(user="bob"), Requester(tenant="acme", user="carl")]
        asks = [pool.ask(Submit(asked, each)) for each in who]
        await asyncio.sleep(0.01)
        await pool.ask(SetBudget(Budget("tenant", "acme", 0.55)))
        results = await asyncio.gather(*asks, return_exceptions=True)
        await busy
    assert [type(result) for result in results] == [Completion, Completion, BudgetSpent]


@virtual_time
async def test_who_leaves_a_shared_call_pays_nothing_for_it_and_the_last_pays_all() -> None:
    script = Script("a", usage=Usage(1_000_000, 0), latency=10.0)
    async with pool_of(endpoint(script, price=DOLLAR), coalesce=True, budgets=[Budget("pool", "", 99.0)]) as pool:
        first = pool.ask(Submit(request(), Requester(agent="x")), timeout=1.0)
        second = pool.ask(Submit(request(), Requester(agent="y")), timeout=30.0)
        with pytest.raises(TimeoutError):
            await first
        assert (await second).cost == 1.0
        spent = (await pool.ask(GetStats())).spent
        assert (spent.get("agent:x", 0.0), spent["agent:y"]) == (0.0, 1.0)
        asks = [pool.ask(Submit(request(), Requester(agent="z")), timeout=1.0) for _ in range(2)]
        await asyncio.gather(*asks, return_exceptions=True)
        await asyncio.sleep(1)
        stats = await pool.ask(GetStats())
    assert stats.spent["agent:z"] == stats.bought["cancelled"].cost > 0, "what was cancelled is somebody's, too"


@virtual_time
async def test_who_joined_a_call_that_was_out_already_pays_for_it_when_the_first_has_left() -> None:
    script = Script("a", usage=Usage(1_000_000, 0), latency=10.0)
    budgets = [Budget("pool", "", 99.0)]
    async with pool_of(endpoint(script, price=DOLLAR), coalesce=True, budgets=budgets) as pool:
        first = pool.ask(Submit(request(model="m"), Requester(agent="x")), timeout=2.0)
        await asyncio.sleep(1)
        second, third = (pool.ask(Submit(request(model="m"), Requester(agent=name)), timeout=30) for name in "yz")
        with pytest.raises(TimeoutError):
            await first
        assert [(await one).cost for one in (second, third)] == [0.5, 0.5]
        alone = pool.ask(Submit(request(model="m"), Requester(agent="x")), timeout=2.0)
        await asyncio.sleep(1)
        last = pool.ask(Submit(request(model="m"), Requester(agent="y")), timeout=30)
        with pytest.raises(TimeoutError):
            await alone
        assert (await last).cost == 1.0
        spent = (await pool.ask(GetStats())).spent
    assert {name: amount for name, amount in spent.items() if name.startswith("agent:")} == {
        "agent:y": 1.5, "agent:z": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("later", [False, True])
@virtual_time
async def test_what_was_promised_to_a_shared_call_is_free_again_when_it_ends_and_only_once(later: bool) -> None:
    script = Script("a", usage=Usage(0, 1))
    budgets = [Budget("agent", "y", 0.8)]
    async with pool_of(endpoint(script, price=DOLLAR), coalesce=True, budgets=budgets) as pool:
        for number in range(3):
            asked = request(str(number), max_tokens=1_000_000)
            first = pool.ask(Submit(asked, Requester(agent="x")))
            if later:
                await asyncio.sleep(0.01)  # it is out by then
            second = pool.ask(Submit(asked, Requester(agent="y")))
            assert [(await one).provider for one in (first, second)] == ["a", "a"]
        with pytest.raises(BudgetSpent):
            await pool.ask(Submit(request(max_tokens=1_000_000), Requester(agent="y")))


@virtual_time
async def test_those_who_share_a_call_that_fails_all_get_its_error() -> None:
    script = Script("a", failure=fails(overloaded))
    async with pool_of(endpoint(script), coalesce=True, queue_timeout=2.0) as pool:
        results = await asyncio.gather(*(pool.ask(request()) for _ in range(3)), return_exceptions=True)
    assert len({id(result) for result in results}) <= 3
    assert all(isinstance(result, Exception) for result in results)


# -- switching ---------------------------------------------------------------------------------------------------------


@virtual_time
async def test_an_agent_is_switched_with_all_its_conversations_but_those_with_a_switch_of_their_own() -> None:
    async with pool_of(*(endpoint(Script(name), priority=n) for n, name in enumerate("abc"))) as pool:

        async def asked(agent: str, conversation: str) -> str:
            answer = await pool.ask(Submit(request(model="m"), Requester(agent, conversation)))
            return f"{answer.provider} {answer.model}"

        assert await pool.ask(SwitchProvider(agent="planner", endpoint="b", model="other")) == ""
        await pool.ask(SwitchProvider("c2", "c"))
        assert [await asked("planner", name) for name in ("c1", "c2", "c3")] == ["b other", "c m", "b other"]
        assert await asked("tester", "c1") == "a m"
        assert await pool.ask(SwitchProvider(agent="planner")) == "b"
        assert await asked("planner", "c1") == "a m"
        for wrong in ({}, {"conversation": "c", "agent": "a"}):
            with pytest.raises(ValueError, match="a conversation or an agent"):
                SwitchProvider(**wrong)


@virtual_time
async def test_a_switch_outlives_a_crash_of_the_pool() -> None:
    async with pool_of(endpoint(Script("a")), endpoint(Script("b"), priority=1)) as pool:
        await pool.ask(SwitchProvider(agent="planner", endpoint="b"))
        pool.kill()
        assert (await pool.ask(Submit(request(), Requester(agent="planner")))).provider == "b"


@pytest.mark.parametrize("extra", [{"a": {1, 2}}, {"a": 1, 2: 3}, {"a": b"x"}, {"a": object()}])
@pytest.mark.parametrize("settings", [{"cache": MemoryCache()}, {"coalesce": True}])
@virtual_time
async def test_what_cannot_be_compared_is_an_invalid_request_that_names_the_field(
    settings: dict[str, Any], extra: dict[Any, Any]
) -> None:
    script = Script("a")
    async with pool_of(endpoint(script), **settings) as pool:
        with pytest.raises(InvalidRequest, match=r"extra of a request .* cannot be written as JSON"):
            await pool.ask(replace(request(), extra=extra))
