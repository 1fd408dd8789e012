"""One record for each call to a provider, whatever becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial

import pytest

from callboard.actors import ChildSpec
from callboard.actors.testing import virtual_time
from callboard.providers.errors import ProviderOverloaded, StreamCut
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.pool import CallRecord, Endpoint, GetStats, Hedge, MemoryCache, Pool, Price, Requester, Submit
from callboard.providers.pool.dispatch.usage import OnUsage
from callboard.providers.provider import Provider
from callboard.providers.spec import ProviderSpec

from .scripted import Script, endpoint, fails, pool_of, request
from .test_batches import FIXED, batching, submit

DOLLAR = Price(1.0, 1.0)
ADA = Requester(agent="planner", user="ada", tenant="acme")


@virtual_time
async def test_each_call_is_told_with_who_what_where_and_how_much() -> None:
    told: list[CallRecord] = []
    a = Script("a", failure=fails(lambda: ProviderOverloaded("503", status=503)))
    b = Script("b", usage=Usage(10, 5), model="gpt-4o-2024", latency=2.0)
    endpoints = [endpoint(a, price=DOLLAR), endpoint(b, price=DOLLAR, priority=1, aliases={"large": "gpt-4o"})]
    async with pool_of(*endpoints, on_usage=told.append, cache=MemoryCache()) as pool:
        answer = await pool.ask(Submit(request(model="large"), ADA))
        await pool.ask(Submit(request(model="large"), ADA))
    failed, answered = told
    assert (failed.endpoint, failed.outcome, failed.error) == ("a", "refused", "ProviderOverloaded")
    assert (failed.usage, failed.cost, failed.attempts) == (Usage(), 0.0, 1)
    assert (answered.endpoint, answered.outcome, answered.error) == ("b", "answered", "")
    assert (answered.requesters, answered.asked, answered.served) == ((ADA,), "large", "gpt-4o-2024")
    assert (answered.usage, answered.cost, answered.attempts) == (Usage(10, 5), answer.cost, 2)
    assert answered.latency == pytest.approx(2.0)
    assert answered.notes == answer.notes != ()


@virtual_time
async def test_calls_that_were_cut_hedged_or_cancelled_are_told_with_what_was_booked() -> None:
    told: list[CallRecord] = []
    script = Script("a", cut_after=2)
    async with pool_of(endpoint(script, price=DOLLAR), on_usage=told.append) as pool:
        with pytest.raises(StreamCut):
            async for _ in pool.stream(request(max_tokens=500)):
                pass
        script.latency = 30.0
        with pytest.raises(TimeoutError):
            await pool.ask(request(max_tokens=500), timeout=1.0)
        left = pool.ask(request(max_tokens=500))
        await asyncio.sleep(1)
        left.cancel()
        await asyncio.sleep(1)
        stats = await pool.ask(GetStats())
    assert [record.outcome for record in told] == ["cut", "timeout", "cancelled"]
    assert sum(record.cost or 0.0 for record in told) == pytest.approx(stats.cost)

    told.clear()
    slow, fast = (
        endpoint(Script("slow", latency=30.0), price=DOLLAR),
        endpoint(Script("fast"), price=DOLLAR, priority=1),
    )
    async with pool_of(slow, fast, hedge=Hedge(maximum=1.0), on_usage=told.append) as pool:
        await pool.ask(request())
        stats = await pool.ask(GetStats())
    assert [(record.outcome, record.endpoint) for record in told] == [("answered", "fast"), ("hedged", "slow")]
    assert sum(record.cost or 0.0 for record in told) == pytest.approx(stats.cost)


class Meeting(Provider):
    """Answers once the other of two is asked, too."""

    def __init__(self, spec: ProviderSpec, barrier: asyncio.Barrier) -> None:
        super().__init__(spec)
        self.barrier = barrier

    async def complete(self, request: Request) -> Completion:
        await self.barrier.wait()
        return Completion(Message("assistant", self.spec.name), "stop", Usage(10, 5))


@virtual_time
async def test_hedged_pairs_that_answer_at_once_are_told_as_they_are_booked() -> None:
    told: list[CallRecord] = []
    barrier = asyncio.Barrier(2)
    specs = [ProviderSpec(name, models=("m",)) for name in "ab"]
    pair = [Endpoint.of(spec, ChildSpec(Meeting, (spec, barrier)), price=DOLLAR) for spec in specs]
    async with pool_of(*pair, hedge=Hedge(maximum=1.0, budget=1.0), on_usage=told.append) as pool:
        answers = [await pool.ask(request(str(number), model="m")) for number in range(5)]
        await asyncio.sleep(1)
        stats = await pool.ask(GetStats())
    assert Counter(each.outcome for each in told) == {"answered": 5, "hedged": 5}
    assert {item: entry.calls for item, entry in stats.bought.items()} == {"answered": 5, "hedged": 5}
    assert [each.endpoint for each in told if each.outcome == "answered"] == [each.provider for each in answers]
    assert sum(each.cost or 0.0 for each in told) == pytest.approx(stats.cost)


@virtual_time
async def test_each_request_of_a_batch_and_all_who_share_a_call_are_told() -> None:
    told: list[CallRecord] = []
    async with pool_of(batching(Script("a")), batching=FIXED, on_usage=told.append) as pool:
        asks = [pool.ask(submit(text)) for text in ("1", "2", "bad", "4")]
        await asyncio.gather(*asks, return_exceptions=True)
        stats = await pool.ask(GetStats())
    assert [record.outcome for record in told] == ["answered", "answered", "refused", "answered"]
    assert sum(record.cost or 0.0 for record in told) == pytest.approx(stats.cost)
    told.clear()
    async with pool_of(endpoint(Script("a")), coalesce=True, on_usage=told.append) as pool:
        await asyncio.gather(*(pool.ask(Submit(request(), Requester(user=name))) for name in ("ada", "bob")))
    assert [[who.user for who in record.requesters] for record in told] == [["ada", "bob"]]


@pytest.mark.parametrize("raised", [RuntimeError, asyncio.CancelledError, SystemExit])
@virtual_time
async def test_a_callback_that_raises_is_logged_and_harms_nothing(
    raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: CallRecord) -> None:
        raise raised("the callback's own")

    async with pool_of(endpoint(Script("a")), on_usage=broken) as pool:
        with caplog.at_level(logging.ERROR, "callboard.pool"):
            assert (await pool.ask(request("a secret prompt"))).provider == "a"
    assert "on_usage raised on a call to a" in caplog.text
    assert "the callback's own" in caplog.text
    assert "secret prompt" not in caplog.text


async def write_down(record: CallRecord) -> None:
    """Nobody would wait for it."""


class Book:
    async def __call__(self, record: CallRecord) -> None:
        """Nobody would wait for it."""


@pytest.mark.parametrize("told", [write_down, partial(write_down), Book()])
def test_an_async_function_is_refused_since_each_record_would_be_lost(told: OnUsage) -> None:
    with pytest.raises(ValueError, match=r"on_usage is .*expected a function that is not async"):
        Pool.spec([endpoint(Script("a"))], on_usage=told)
