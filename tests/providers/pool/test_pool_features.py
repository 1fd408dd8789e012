"""Degradation, caches, coalescing, batches, fan-out, switching, keys, probes, budgets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ChildSpec, SpecError, send_context
from callboard.actors.testing import virtual_time
from callboard.providers.errors import (
    AuthenticationFailed,
    BudgetSpent,
    ContextTooLong,
    InvalidRequest,
    NoProvider,
    ProviderOverloaded,
    RateLimited,
)
from callboard.providers.messages import Completion, Image, Message, RateLimits, Request, Text, Usage
from callboard.providers.pool import (
    REQUESTER,
    AddEndpoint,
    Budget,
    Cache,
    GetHealth,
    GetStats,
    MemoryCache,
    Price,
    Probe,
    Quota,
    RemoveEndpoint,
    Requester,
    RotateKey,
    SetBudget,
    SqliteCache,
    Submit,
    SwitchProvider,
)

from .scripted import Script, Scripted, endpoint, fails, fails_until, pool_of, request


def overloaded() -> Exception:
    return ProviderOverloaded("503", status=503)


# -- degradation -------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_lesser_model_answers_while_the_one_asked_for_is_down_and_the_answer_says_so() -> None:
    large, small = Script("large", failure=fails_until(5.0, overloaded)), Script("small")
    async with pool_of(
        endpoint(large, models=("big",)), endpoint(small, models=("mini",)), fallbacks={"big": ("mini",)}
    ) as pool:
        completion = await pool.ask(request(model="big"))
        assert completion.provider == "small"
        assert small.seen[0][1].model == "mini"
        assert "degraded to model mini" in completion.notes
        await asyncio.sleep(60)
        assert (await pool.ask(request(model="big"))).provider == "large", "the better model is back"


@virtual_time
async def test_a_busy_model_is_waited_for_rather_than_degraded() -> None:
    large, small = Script("large"), Script("small")
    async with pool_of(
        endpoint(large, models=("big",), limits=Quota(concurrency=1)),
        endpoint(small, models=("mini",)),
        fallbacks={"big": ("mini",)},
    ) as pool:
        answers = await asyncio.gather(*(pool.ask(request(model="big")) for _ in range(5)))
        assert {answer.provider for answer in answers} == {"large"}


@virtual_time
async def test_a_capability_is_dropped_where_nobody_has_it_and_the_answer_says_so() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, capabilities=frozenset({"tools"}))) as pool:
        picture = Message("user", (Text("what is this?"), Image("https://example.org/cat.png")))
        asked = Request((picture,), response_schema={"type": "object"}, reasoning_effort="high")
        completion = await pool.ask(asked)
    assert set(completion.notes) == {f"capability dropped: {name}" for name in ("images", "reasoning", "schema")}
    sent = script.seen[0][1]
    assert sent.response_schema is None
    assert sent.reasoning_effort is None
    assert "what is this?" in sent.messages[0].text
    assert '{"type": "object"}' in sent.messages[-1].text


@virtual_time
async def test_a_number_of_thinking_tokens_is_dropped_where_nobody_reasons() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, capabilities=frozenset({"tools"}))) as pool:
        completion = await pool.ask(request(thinking_tokens=2048))
    assert completion.notes == ("capability dropped: reasoning",)
    assert script.seen[0][1].thinking_tokens is None


@virtual_time
async def test_an_endpoint_with_the_capability_is_preferred_to_one_without() -> None:
    less, more = Script("less"), Script("more")
    async with pool_of(endpoint(less, capabilities=frozenset(), priority=-1), endpoint(more)) as pool:
        completion = await pool.ask(request(response_schema={"type": "object"}))
    assert completion.provider == "more"
    assert completion.notes == ()


@virtual_time
async def test_a_prompt_too_long_for_one_model_goes_to_another() -> None:
    short = Script("short", failure=fails(lambda: ContextTooLong("8k only")))
    async with pool_of(endpoint(short), endpoint(Script("long"), priority=1)) as pool:
        for _ in range(10):
            assert (await pool.ask(request())).provider == "long"
        assert (await pool.ask(GetHealth())).endpoints[0].state == "closed", "the endpoint was not at fault"


# -- caches and coalescing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@virtual_time
async def test_an_equal_request_is_answered_from_the_cache_for_nothing(kind: str, tmp_path: Path) -> None:
    script = Script("a")
    cache: Cache = MemoryCache() if kind == "memory" else SqliteCache(tmp_path / "cache.db")
    async with pool_of(endpoint(script, price=Price(10, 10)), cache=cache) as pool:
        first = await pool.ask(request("same"))
        second = await pool.ask(request("same"))
        await pool.ask(request("other"))
        await pool.ask(Submit(request("same"), cached=False))
        stats = await pool.ask(GetStats())
    assert len(script.seen) == 3
    assert first.cost
    assert second == replace(first, cost=0.0, latency=0.0, notes=("cached",))
    assert stats.pool.cache_hits == 1


@virtual_time
async def test_what_the_sqlite_cache_keeps_outlives_the_pool(tmp_path: Path) -> None:
    script = Script("a")
    for _ in range(2):
        async with pool_of(endpoint(script), cache=SqliteCache(tmp_path / "cache.db")) as pool:
            await pool.ask(request("same"))
    assert len(script.seen) == 1


@virtual_time
async def test_a_cached_answer_expires(tmp_path: Path) -> None:
    now = 1_000.0
    caches: list[Cache] = [MemoryCache(ttl=10, clock=lambda: now), SqliteCache(tmp_path / "c.db", 10, lambda: now)]
    completion = Completion(Message("assistant", "x"), "stop")
    for cache in caches:
        now = 1_000.0
        await cache.open()
        await cache.put("key", completion)
        now += 9.9
        assert await cache.get("key") == completion
        now += 0.1
        assert await cache.get("key") is None
        await cache.close()


@virtual_time
async def test_an_answer_that_was_kept_while_the_clock_was_ahead_is_not_answered_when_it_is_right(
    tmp_path: Path,
) -> None:
    now = 1_000.0
    completion = Completion(Message("assistant", "x"), "stop")
    sqlite = SqliteCache(tmp_path / "c.db", 10, lambda: now)
    caches: list[Cache] = [MemoryCache(ttl=10, clock=lambda: now), sqlite]
    for cache in caches:
        now = 9_000.0
        await cache.open()
        await cache.put("key", completion)
        now = 1_000.0
        assert await cache.get("key") is None
        now = 9_005.0
        assert await cache.get("key") is None, "it is much older than it says"
    await sqlite.put("key", completion)
    await sqlite.close()
    now = 1_000.0
    await sqlite.open()
    now = 9_005.0
    assert await sqlite.get("key") is None
    await sqlite.close()


@virtual_time
async def test_the_memory_cache_drops_what_was_used_longest_ago() -> None:
    cache = MemoryCache(size=2)
    completion = Completion(Message("assistant", "x"), "stop")
    for key in ("a", "b"):
        await cache.put(key, completion)
    await cache.get("a")
    await cache.put("c", completion)
    assert [key for key in "abc" if await cache.get(key)] == ["a", "c"]


@virtual_time
async def test_a_cached_answer_can_be_streamed() -> None:
    script = Script("a", text="012")
    async with pool_of(endpoint(script), cache=MemoryCache()) as pool:
        first = [delta async for delta in pool.stream(request())]
        second = [delta async for delta in pool.stream(request())]
    assert len(script.seen) == 1
    assert "".join(delta.text for delta in second) == "".join(delta.text for delta in first)
    assert second[-1].completion is not None
    assert "cached" in second[-1].completion.notes


@virtual_time
async def test_equal_requests_in_flight_share_one_call() -> None:
    script = Script("a")
    async with pool_of(endpoint(script), coalesce=True) as pool:
        answers = await asyncio.gather(*(pool.ask(request("same")) for _ in range(10)), pool.ask(request("other")))
        assert len(script.seen) == 2
        assert {answer.message.text for answer in answers} == {"a: same", "a: other"}
        await pool.ask(request("same"))
        assert len(script.seen) == 3, "coalescing is not a cache"
        assert (await pool.ask(GetStats())).pool.coalesced == 9


@virtual_time
async def test_a_shared_call_goes_on_while_anybody_waits_and_is_cancelled_when_nobody_does() -> None:
    script = Script("a", latency=10.0)
    async with pool_of(endpoint(script), coalesce=True) as pool:
        first, second = pool.ask(request("same"), timeout=1.0), pool.ask(request("same"), timeout=30.0)
        with pytest.raises(TimeoutError):
            await first
        assert (await second).message.text == "a: same"
        third = pool.ask(request("same"))
        await asyncio.sleep(1)
        third.cancel()
        await asyncio.sleep(1)
        assert (len(script.seen), script.cancelled) == (2, 1)


@virtual_time
async def test_a_shared_call_waits_for_as_long_as_the_most_patient_of_those_who_share_it() -> None:
    script = Script("a", failure=fails_until(5.0, overloaded))
    async with pool_of(endpoint(script), coalesce=True, queue_timeout=2.0) as pool:
        asks = [pool.ask(request("same")), pool.ask(request("same"), timeout=60.0)]
        assert [answer.message.text for answer in await asyncio.gather(*asks)] == ["a: same"] * 2


# -- changing the pool while it runs -----------------------------------------------------------------------------------


@virtual_time
async def test_a_conversation_is_switched_to_another_provider_while_it_runs() -> None:
    async with pool_of(endpoint(Script("a")), endpoint(Script("b"), priority=1)) as pool:
        who = Requester(conversation="c1")
        assert (await pool.ask(Submit(request(), who))).provider == "a"
        assert await pool.ask(SwitchProvider("c1", "b")) == ""
        assert (await pool.ask(Submit(request(), who))).provider == "b"
        with send_context(baggage={REQUESTER: who}):
            assert (await pool.ask(request())).provider == "b"
        assert (await pool.ask(request())).provider == "a"
        assert await pool.ask(SwitchProvider("c1", "")) == "b"
        assert (await pool.ask(Submit(request(), who))).provider == "a"
        with pytest.raises(SpecError, match="nowhere"):
            await pool.ask(SwitchProvider("c1", "nowhere"))


@virtual_time
async def test_a_key_is_rotated_without_losing_a_request_and_revives_a_refused_endpoint() -> None:
    script = Script("a", latency=1.0)
    async with pool_of(endpoint(script)) as pool:
        running = [pool.ask(request(str(n))) for n in range(5)]
        await asyncio.sleep(0.5)
        await pool.ask(RotateKey("a", SecretStr("second")))
        await pool.ask(request("later"))
        assert [type(answer) for answer in await asyncio.gather(*running)] == [Completion] * 5
        assert script.keys == ["first"] * 5 + ["second"]
        assert script.cancelled == 0
        script.failure = fails(lambda: AuthenticationFailed("401"))
        with pytest.raises(AuthenticationFailed):
            await pool.ask(request())
        assert (await pool.ask(GetHealth())).endpoints[0].state == "disabled"
        script.failure = lambda _script, _request: None
        await pool.ask(RotateKey("a", SecretStr("third")))
        assert (await pool.ask(request())).message.text == "a: hello"
    assert "second" not in repr(RotateKey("a", SecretStr("second")))


@pytest.mark.parametrize("way", ["ask", "stream"])
@virtual_time
async def test_a_call_whose_old_key_is_refused_after_a_rotation_is_sent_again_with_the_new_key(way: str) -> None:
    script = Script("a", latency=1.0)
    script.failure = lambda told, _: AuthenticationFailed("401", status=401) if told.keys == ["old"] else None
    spec = ChildSpec(Scripted, (script,), {"api_key": "old"})
    async with pool_of(replace(endpoint(script), spec=spec)) as pool:

        async def answer() -> Any:
            if way == "ask":
                return await pool.ask(request())
            async with pool.stream(request()) as deltas:
                return [delta async for delta in deltas][-1].completion

        running = asyncio.ensure_future(answer())
        await asyncio.sleep(0.5)
        await pool.ask(RotateKey("a", SecretStr("new")))
        assert (await running).message.text == "a: hello"
        assert script.keys == ["old", "new"]


@virtual_time
async def test_endpoints_come_and_go_while_the_pool_runs() -> None:
    async with pool_of(endpoint(Script("a", latency=1.0))) as pool:
        running = pool.ask(request())
        await asyncio.sleep(0.1)
        await pool.ask(AddEndpoint(endpoint(Script("b"))))
        assert await pool.ask(RemoveEndpoint("a"))
        assert not await pool.ask(RemoveEndpoint("a"))
        assert (await pool.ask(request())).provider == "b"
        assert (await running).provider == "a", "a request in flight ends where it is"


@virtual_time
async def test_a_call_that_fails_where_nobody_is_left_any_more_fails_as_it_did_and_not_for_want_of_a_model() -> None:
    script = Script("a", latency=1.0, failure=fails(overloaded))
    async with pool_of(endpoint(script, models=("m",))) as pool:
        running = pool.ask(request(model="m"))
        await asyncio.sleep(0.1)
        await pool.ask(RemoveEndpoint("a"))
        with pytest.raises(ProviderOverloaded, match="503"):
            await running
    assert len(script.seen) == 1


@virtual_time
async def test_a_request_waiting_for_a_removed_endpoint_goes_to_another() -> None:
    stuck = Script("a", latency=50.0)
    async with pool_of(endpoint(stuck, limits=Quota(concurrency=1))) as pool:
        running, waiting = pool.ask(request("1")), pool.ask(request("2"), timeout=20)
        await asyncio.sleep(1)
        await pool.ask(AddEndpoint(endpoint(Script("b"))))
        assert (await waiting).provider == "b"
        running.cancel()


@virtual_time
async def test_a_probe_revives_an_endpoint_without_a_users_request() -> None:
    script = Script("a", failure=fails_until(5.0, overloaded))
    async with pool_of(endpoint(script), endpoint(Script("b"), priority=1), probe_interval=1.0) as pool:
        for _ in range(5):
            await pool.ask(request())
        assert (await pool.ask(GetHealth())).endpoints[0].state == "open"
        await asyncio.sleep(60)
        health = (await pool.ask(GetHealth())).endpoints[0]
        assert health.available
        assert {each.messages[-1].text for time, each in script.seen if time > 5} == {"ping"}
        assert isinstance(await pool.ask(Probe("b")), type(await pool.ask(GetHealth())))


@virtual_time
async def test_a_request_that_is_refused_without_asking_the_vendor_says_nothing_about_the_vendor() -> None:
    script = Script("a", failure=fails(overloaded))
    async with pool_of(endpoint(script), queue_timeout=1.0) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request())
        script.failure = fails(lambda: ContextTooLong("counted before it was sent"))
        await asyncio.sleep(60)
        with pytest.raises(ContextTooLong):
            await pool.ask(request())
        assert (await pool.ask(GetHealth())).endpoints[0].state == "half-open"


# -- budgets -----------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_spent_budget_refuses_with_a_named_error_until_it_is_raised() -> None:
    async with pool_of(
        endpoint(Script("a", usage=Usage(1_000_000, 0)), price=Price(1, 1)), budgets=[Budget("agent", "planner", 2.5)]
    ) as pool:
        planner = Requester(agent="planner")
        for _ in range(3):
            assert (await pool.ask(Submit(request(), planner))).cost == 1.0
        with pytest.raises(BudgetSpent, match=r"agent planner.*\$3\.0000 of \$2\.5000"):
            await pool.ask(Submit(request(), planner))
        await pool.ask(Submit(request(), Requester(agent="developer")))
        assert await pool.ask(SetBudget(Budget("agent", "planner", 10.0))) == 3.0
        await pool.ask(Submit(request(), planner))
        stats = await pool.ask(GetStats())
        assert (stats.cost, stats.spent["agent:planner"], stats.spent["provider:a"]) == (5.0, 4.0, 5.0)


@virtual_time
async def test_a_budget_that_is_spent_while_a_request_waits_gives_its_place_to_the_next() -> None:
    script = Script("a", latency=1.0, usage=Usage(1_000_000, 0))
    tested = endpoint(script, price=Price(1, 1), limits=Quota(concurrency=1))
    async with pool_of(tested, budgets=[Budget("agent", "planner", 1.5)]) as pool:
        planner = Requester(agent="planner")
        asks = [pool.ask(Submit(request(str(n)), planner), timeout=60.0) for n in range(4)]
        last = pool.ask(request("last"), timeout=60.0)
        results = await asyncio.gather(*asks, last, return_exceptions=True)
        assert [type(each) for each in results] == [Completion] * 2 + [BudgetSpent] * 2 + [Completion]
        stats = await pool.ask(GetStats())
        assert (stats.waiting, stats.pool.pending) == (0, 0)


@pytest.mark.parametrize("whose", ["the caller's", "the endpoint's"])
@virtual_time
async def test_a_grant_that_cannot_be_paid_for_counts_against_no_limit(whose: str) -> None:
    script = Script("a", latency=1.0, usage=Usage(1_000_000, 0))
    tested = endpoint(script, price=Price(1, 1), limits=Quota(requests_per_minute=3, concurrency=1))
    budget = Budget("agent", "planner", 0.5) if whose == "the caller's" else Budget("provider", "a", 0.5)
    async with pool_of(tested, budgets=[budget]) as pool:
        planner = Requester(agent="planner")
        asks = [pool.ask(Submit(request(str(n)), planner), timeout=600.0) for n in range(5)]
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(each) for each in results] == [Completion] + [BudgetSpent] * 4
        await pool.ask(SetBudget(replace(budget, dollars=1e9)))
        for _ in range(2):
            await pool.ask(request())
        assert asyncio.get_running_loop().time() < 10.0


@virtual_time
async def test_requests_in_flight_together_do_not_overspend_together() -> None:
    script = Script("a", usage=Usage(20, 1_000_000))
    async with pool_of(endpoint(script, price=Price(0, 1)), budgets=[Budget("pool", "", 3.0)]) as pool:
        asks = [pool.ask(request(max_tokens=1_000_000)) for _ in range(10)]
        results = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(result) for result in results] == [Completion] * 3 + [BudgetSpent] * 7


@virtual_time
async def test_what_was_promised_to_a_request_is_free_again_when_it_ends() -> None:
    script = Script("a", usage=Usage(0, 1))
    async with pool_of(endpoint(script, price=Price(0, 1)), budgets=[Budget("pool", "", 2.0)]) as pool:
        for _ in range(5):
            await pool.ask(request(max_tokens=1_000_000))
        script.failure = fails(lambda: InvalidRequest("no"))
        for _ in range(5):
            with pytest.raises(InvalidRequest):
                await pool.ask(request(max_tokens=1_000_000))


@virtual_time
async def test_an_endpoint_whose_budget_is_spent_is_passed_over() -> None:
    a = endpoint(Script("a", usage=Usage(1_000_000, 0)), price=Price(1, 1), key="team")
    async with pool_of(a, endpoint(Script("b"), priority=1), budgets=[Budget("key", "team", 1.0)]) as pool:
        answers = [await pool.ask(request()) for _ in range(3)]
    assert [answer.provider for answer in answers] == ["a", "b", "b"]


# -- the pool's own restart --------------------------------------------------------------------------------------------


@virtual_time
async def test_a_restarted_pool_has_not_forgotten_its_limits_and_budgets() -> None:
    script = Script("a", latency=0.0, usage=Usage(1_000_000, 0))
    tested = endpoint(script, limits=Quota(requests_per_minute=3), price=Price(1, 1))
    async with pool_of(tested, budgets=[Budget("pool", "", 4.5)]) as pool:
        for _ in range(2):
            await pool.ask(request())
        pool.tell(SetBudget(None))  # type: ignore[arg-type]  # nobody asked, so the failure is the pool's own
        await asyncio.sleep(1)
        assert script.started == 2
        await asyncio.gather(*(pool.ask(request(), timeout=100) for _ in range(3)))
        assert script.times[3] > 60
        with pytest.raises(BudgetSpent):
            await pool.ask(request())


@virtual_time
async def test_a_restarted_pool_goes_on_with_the_keys_and_endpoints_that_were_changed() -> None:
    a, b, c = Script("a"), Script("b"), Script("c")
    budgets = [Budget("provider", "b", 5.0)]
    async with pool_of(endpoint(a), endpoint(b), budgets=budgets) as pool:
        await pool.ask(RotateKey("a", SecretStr("second")))
        await pool.ask(AddEndpoint(endpoint(c, price=Price(1, 1))))
        await pool.ask(AddEndpoint(endpoint(c, price=Price(2, 2))))
        await pool.ask(RemoveEndpoint("b"))
        await pool.ask(SwitchProvider(conversation="x", endpoint="c"))
        for _ in range(2):
            pool.kill()
            await asyncio.sleep(1)
            await pool.ask(Submit(request(), Requester(endpoint="a")))
            assert a.keys[-1] == "second"
            answer = await pool.ask(Submit(request(), Requester(conversation="x")))
            assert (answer.provider, answer.cost) == ("c", pytest.approx(15 * 2 / 1e6))
            assert [each.name for each in (await pool.ask(GetHealth())).endpoints] == ["a", "c"]
    assert b.started == 1


# -- limits ------------------------------------------------------------------------------------------------------------


@virtual_time
async def test_token_limits_are_held_with_estimates_that_are_settled() -> None:
    script = Script("a", latency=0.01, usage=Usage(10, 40))
    async with pool_of(endpoint(script, limits=Quota(tokens_per_minute=500))) as pool:
        asks = [pool.ask(request(max_tokens=100), timeout=600) for _ in range(40)]
        await asyncio.gather(*asks)
    for start in script.times:
        assert sum(start <= at < start + 60 for at in script.times) * 50 <= 500
    # Ten fit into a minute by their true usage; by the estimate it would have been four.
    assert script.times[-1] < 60.6 * 5


@virtual_time
async def test_requests_leave_spaced_once_a_burst_is_used_up() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script, limits=Quota(requests_per_minute=600))) as pool:
        await asyncio.gather(*(pool.ask(request(str(n)), timeout=600) for n in range(300)))
    assert script.times[99] == 0.0
    spaced = script.times[100:]
    assert all(later - sooner == pytest.approx(0.1, rel=0.02) for sooner, later in pairwise(spaced))


@virtual_time
async def test_limits_in_the_vendors_headers_are_kept_though_nobody_configured_them() -> None:
    left = 3

    def limited(_script: Script, _request: Request) -> Exception | None:
        nonlocal left
        left -= 1
        told = RateLimits(requests_limit=3, requests_remaining=max(0, left), requests_reset=60.0)
        return RateLimited("429", status=429, retry_after=60.0, limits=told) if left < 0 else None

    script = Script("a", failure=limited)
    async with pool_of(endpoint(script)) as pool:
        first = [pool.ask(request(str(n)), timeout=100) for n in range(4)]
        await asyncio.gather(*first, return_exceptions=True)
        assert len(script.seen) <= 5


@virtual_time
async def test_what_a_vendor_says_of_its_limits_counts_also_where_it_refuses_the_request() -> None:
    told = RateLimits(requests_limit=2, requests_remaining=0, requests_reset=40.0)
    script = Script("a", latency=0.0)
    script.failure = lambda s, _: InvalidRequest("bad", status=400, limits=told) if len(s.seen) == 1 else None
    async with pool_of(endpoint(script)) as pool:
        with pytest.raises(InvalidRequest):
            await pool.ask(request())
        await pool.ask(request(), timeout=100)
    assert script.times[1] >= 40.0


@virtual_time
async def test_a_limit_per_second_is_held_though_the_one_per_minute_would_allow_more() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script, limits=Quota(requests_per_minute=120, requests_per_second=2))) as pool:
        await asyncio.gather(*(pool.ask(request(str(n)), timeout=600) for n in range(60)))
    assert all(later - sooner > 1.0 for sooner, later in zip(script.times, script.times[2:], strict=False))
    assert script.times[-1] < 32.0


@virtual_time
async def test_in_a_bucket_a_minutes_worth_goes_at_once_and_the_rest_at_its_rate() -> None:
    scripts = [Script(name, latency=0.0) for name in "abc"]
    limits = Quota(requests_per_minute=20, rule="bucket")
    async with pool_of(*(endpoint(script, limits=limits) for script in scripts)) as pool:
        await asyncio.gather(*(pool.ask(request(str(n)), timeout=600) for n in range(90)))
        took = asyncio.get_running_loop().time()
    assert [script.times[18] for script in scripts] == [0.0] * 3
    # The buckets' ideal is 30 s.
    assert took < 33.0


@virtual_time
async def test_limits_that_headers_state_are_kept_by_the_endpoints_rule() -> None:
    def told(_script: Script, _request: Request) -> Exception | None:
        return (
            RateLimited("stated", status=429, retry_after=0.0, limits=RateLimits(requests_limit=20)) if first else None
        )

    script, first = Script("a", latency=0.0, failure=told), True
    async with pool_of(endpoint(script, limits=Quota(rule="bucket"))) as pool:
        asks = [pool.ask(request("0"), timeout=600)]
        await asyncio.sleep(0.001)
        first = False
        asks += [pool.ask(request(str(n)), timeout=600) for n in range(30)]
        await asyncio.gather(*asks)
        assert asyncio.get_running_loop().time() < 45.0


@pytest.mark.parametrize(("vendor", "at_once"), [("anthropic", 19), ("openai", 10), ("", 10)])
@virtual_time
async def test_the_rule_is_the_vendors_where_it_is_known_and_otherwise_the_strictest(vendor: str, at_once: int) -> None:
    script = Script("a", latency=0.0)
    async with pool_of(endpoint(script, vendor=vendor, limits=Quota(requests_per_minute=20))) as pool:
        asks = [pool.ask(request(str(n)), timeout=600) for n in range(30)]
        await asyncio.sleep(0.1)
        assert len(script.seen) == at_once
        await asyncio.gather(*asks)


@pytest.mark.parametrize(("vendor", "in_time"), [("anthropic", True), ("openai", False)])
@virtual_time
async def test_what_was_read_from_a_cache_counts_where_the_vendor_counts_it(vendor: str, in_time: bool) -> None:
    script = Script("a", latency=0.01, usage=Usage(1_000, 10, cache_read_tokens=990))
    tested = endpoint(script, vendor=vendor, limits=Quota(input_tokens_per_minute=1_500, rule="window"))
    async with pool_of(tested) as pool:
        for number in range(5):
            await pool.ask(request(str(number)), timeout=600)
        assert (asyncio.get_running_loop().time() < 1.0) == in_time


@virtual_time
async def test_output_tokens_have_a_limit_of_their_own() -> None:
    script = Script("a", latency=0.01, usage=Usage(1_000_000, 40))
    async with pool_of(endpoint(script, limits=Quota(output_tokens_per_minute=100))) as pool:
        for number in range(4):
            await pool.ask(request(str(number), max_tokens=50), timeout=600)
    assert script.times[1] < 1.0
    assert script.times[2] > 60.0
