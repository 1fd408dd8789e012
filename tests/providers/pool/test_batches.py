"""Requests that may wait go out together: of one model, each with its own budget, price and deadline."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import ChildSpec
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent, InvalidRequest, ProviderOverloaded
from callboard.providers.messages import Completion, Image, Message, Request, Text, ToolSpec, Usage
from callboard.providers.pool import (
    AddEndpoint,
    Batching,
    Budget,
    Endpoint,
    GetStats,
    Price,
    Quota,
    Requester,
    RetryPolicy,
    Submit,
)
from callboard.providers.provider import BatchAnswer, BatchRequest

from .scripted import Script, Scripted, endpoint, pool_of, request


class BatchingProvider(Scripted):
    """Takes batches; refuses the request "bad" in them, and has no room for "later"."""

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, BatchRequest):
            return super().on_receive(message)
        return self.reply_with(self._batch(message))

    async def _batch(self, message: BatchRequest) -> BatchAnswer:
        script = self.script
        script.seen += [(asyncio.get_running_loop().time(), each) for each in message.requests]
        script.most = max(script.most, len(message.requests))
        if script.cut_after is not None:
            raise ProviderOverloaded("batch api is down")
        try:
            await asyncio.sleep(script.pause)
        except asyncio.CancelledError:
            script.cancelled += 1
            raise
        return BatchAnswer(tuple(self._one(each) for each in message.requests))

    def _one(self, each: Request) -> Completion | Exception:
        match each.messages[-1].text:
            case "bad":
                return InvalidRequest("bad")
            case "later":
                return ProviderOverloaded("expired")
        return self._answer(each)


ABLE = frozenset({"batch", "tools", "images"})
DOLLAR = Price(1.0, 1.0)
FIXED = Batching(size=4, min_window=2.0, max_window=2.0)
MILLION = 1_000_000


def batching(script: Script, **options: Any) -> Endpoint:
    spec = ChildSpec(BatchingProvider, (script, "key"))
    options.setdefault("price", DOLLAR)
    return Endpoint(script.name, spec, capabilities=frozenset({"batch"}), **options)


def submit(text: str = "hello", who: Requester | None = None, **options: Any) -> Submit:
    return Submit(request(text, **options), who or Requester(batch=True))


@virtual_time
async def test_requests_that_may_wait_go_out_together_by_size_and_by_time() -> None:
    script = Script("a")
    async with pool_of(batching(script), batching=FIXED) as pool:
        answers = await asyncio.gather(*(pool.ask(submit(str(n))) for n in range(6)))
    assert [answer.message.text for answer in answers] == [f"a: {n}" for n in range(6)]
    assert script.times == [0.0] * 4 + [2.0] * 2
    assert {answer.notes for answer in answers} == {("batched",)}


@virtual_time
async def test_each_request_is_booked_to_whom_it_is_for_and_to_its_model_at_half_the_price() -> None:
    script = Script("a", usage=Usage(MILLION, 0))
    one = batching(script, price=None)
    prices = {"x": Price(1.0, 1.0), "y": Price(4.0, 4.0)}
    async with pool_of(one, batching=FIXED, prices=prices) as pool:
        asks = [
            pool.ask(submit(model=model, who=Requester(agent=agent, batch=True)))
            for model, agent in (("x", "p"), ("y", "q"), ("x", "q"), ("y", "q"))
        ]
        answers = await asyncio.gather(*asks)
        stats = await pool.ask(GetStats())
    assert [answer.cost for answer in answers] == [0.5, 2.0, 0.5, 2.0]
    assert {name: amount for name, amount in stats.spent.items() if name != "provider:a"} == {
        "pool:": 5.0, "model:x": 1.0, "model:y": 4.0, "agent:p": 0.5, "agent:q": 4.5,
    }  # fmt: skip
    assert (stats.cost, stats.bought["answered"].calls) == (5.0, 4)
    assert script.most == 2, "a batch is of one model"


@virtual_time
async def test_a_request_without_money_is_in_no_batch() -> None:
    script = Script("a")
    budgets = [Budget("agent", "poor", 0.0)]
    async with pool_of(batching(script), batching=FIXED, budgets=budgets) as pool:
        asks = [pool.ask(submit(name, Requester(agent=name, batch=True))) for name in ("poor", "rich")]
        poor, rich = await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(poor, BudgetSpent)
    assert isinstance(rich, Completion)
    assert [each.messages[-1].text for _, each in script.seen] == ["rich"]


@virtual_time
async def test_requests_of_one_batch_do_not_overspend_together() -> None:
    script = Script("a", usage=Usage(0, MILLION), pause=5.0)
    many = Batching(size=50, min_window=1.0, max_window=1.0)
    async with pool_of(batching(script, price=Price(0, 2.0)), batching=many, budgets=[Budget("pool", "", 3.5)]) as pool:
        first = [pool.ask(submit(str(n), max_tokens=MILLION)) for n in range(2)]
        await asyncio.sleep(2)
        second = [pool.ask(submit(str(n), max_tokens=MILLION)) for n in range(2)]
        results = await asyncio.gather(*first, *second, return_exceptions=True)
    assert [type(result) for result in results] == [Completion] * 2 + [BudgetSpent] * 2


@virtual_time
async def test_a_batch_passes_over_an_endpoint_whose_budget_is_spent() -> None:
    spent, rich = Script("a"), Script("b")
    budgets = [Budget("provider", "a", 0.0), Budget("provider", "b", 10.0)]
    async with pool_of(batching(spent), batching(rich, priority=1), batching=FIXED, budgets=budgets) as pool:
        answers = await asyncio.gather(*(pool.ask(submit(str(n))) for n in range(4)))
        stats = await pool.ask(GetStats())
    assert [(answer.provider, answer.notes) for answer in answers] == [("b", ("batched",))] * 4
    assert not spent.seen
    assert "provider:a" not in stats.spent
    assert all(each.reserved == 0.0 for each in stats.budgets)


@virtual_time
async def test_what_of_a_batch_an_endpoint_has_no_money_for_goes_out_elsewhere_as_a_batch() -> None:
    few, rich = Script("a", usage=Usage(0, MILLION)), Script("b", usage=Usage(0, MILLION))
    budgets = [Budget("provider", "a", 1.1)]
    async with pool_of(batching(few), batching(rich, priority=1), batching=FIXED, budgets=budgets) as pool:
        asks = [pool.ask(submit(str(n), max_tokens=MILLION)) for n in range(4)]
        answers = await asyncio.gather(*asks)
    assert [answer.provider for answer in answers] == ["a", "a", "b", "b"]
    assert {answer.notes for answer in answers} == {("batched",)}
    assert (few.most, rich.most) == (2, 2)


@virtual_time
async def test_only_requests_that_need_the_same_go_out_together() -> None:
    plain, able = Script("a"), Script("b")
    some = Endpoint("a", ChildSpec(BatchingProvider, (plain, "key")), capabilities=frozenset({"batch"}), price=DOLLAR)
    more = Endpoint("b", ChildSpec(BatchingProvider, (able, "key")), capabilities=ABLE, priority=1, price=DOLLAR)
    tool = ToolSpec("f", "d", {"type": "object", "properties": {}})
    picture = Request((Message("user", (Text("what?"), Image("data:image/png;base64,AAAA"))),))
    async with pool_of(some, more, batching=Batching(size=4, min_window=2.0)) as pool:
        asked = [request(), request(tools=(tool,)), picture, request("again", tools=(tool,))]
        answers = await asyncio.gather(*(pool.ask(Submit(each, Requester(batch=True))) for each in asked))
    assert [answer.provider for answer in answers] == ["a", "b", "b", "b"]
    assert {answer.notes for answer in answers} == {("batched",)}
    assert (plain.most, able.most) == (1, 2)


@virtual_time
async def test_a_batch_goes_only_where_its_model_is_served() -> None:
    other, right = Script("other"), Script("right")
    endpoints = [batching(other, models=("small",), priority=-1), batching(right, models=("large",))]
    async with pool_of(*endpoints, batching=FIXED) as pool:
        answers = await asyncio.gather(*(pool.ask(submit(str(n), model="large")) for n in range(4)))
    assert {answer.provider for answer in answers} == {"right"}
    assert other.seen == []


@virtual_time
async def test_a_model_that_nobody_takes_in_batches_is_sent_at_once_and_singly() -> None:
    batch, single = Script("batch"), Script("single")
    endpoints = [batching(batch, models=("small",)), endpoint(single, models=("large",))]
    async with pool_of(*endpoints, batching=FIXED) as pool:
        answer = await pool.ask(submit(model="large"))
    assert (answer.provider, single.times, answer.notes) == ("single", [0.0], ())


@virtual_time
async def test_each_asker_leaves_when_their_own_time_is_over_and_the_rest_goes_on() -> None:
    script = Script("a", pause=10.0)
    async with pool_of(batching(script), batching=FIXED) as pool:
        first = pool.ask(submit("1"), timeout=5.0)
        rest = [pool.ask(submit(str(n)), timeout=60.0) for n in (2, 3)]
        with pytest.raises(TimeoutError):
            await first
        assert [answer.message.text for answer in await asyncio.gather(*rest)] == ["a: 2", "a: 3"]
        alone = pool.ask(submit("4"), timeout=5.0)
        with pytest.raises(TimeoutError):
            await alone
        await asyncio.sleep(1)
        stats = await pool.ask(GetStats())
    assert script.cancelled == 1, "a batch that nobody waits for is called off"
    assert {item: entry.calls for item, entry in stats.bought.items()} == {"answered": 3, "cancelled": 1}
    lost = stats.bought["cancelled"]
    assert lost.cost == pytest.approx((lost.input_tokens + lost.output_tokens) * 0.5e-6), "at a batch's price, too"
    assert stats.pool.pending == 0


@virtual_time
async def test_a_batch_waits_for_room_for_as_long_as_the_most_patient_of_its_askers() -> None:
    script = Script("a", latency=10.0)
    async with pool_of(batching(script, limits=Quota(concurrency=1)), batching=Batching(size=2)) as pool:
        busy = pool.ask(request("busy"))
        await asyncio.sleep(0.1)
        hasty, patient = pool.ask(submit("1"), timeout=3.0), pool.ask(submit("2"), timeout=60.0)
        with pytest.raises(TimeoutError):
            await hasty
        assert (await patient).notes == ("batched",)
        await busy


@virtual_time
async def test_one_bad_request_of_a_batch_fails_alone_and_one_that_found_no_room_is_sent_again() -> None:
    script = Script("a")
    async with pool_of(batching(script), batching=Batching(size=3)) as pool:
        asks = [pool.ask(submit(text)) for text in ("good", "bad", "later")]
        good, bad, later = await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(good, Completion)
    assert good.message.text == "a: good"
    assert isinstance(bad, InvalidRequest)
    assert isinstance(later, Completion)


@virtual_time
async def test_a_batch_that_fails_as_a_whole_is_sent_singly() -> None:
    script = Script("a", cut_after=0)
    async with pool_of(batching(script), batching=Batching(size=2)) as pool:
        answers = await asyncio.gather(*(pool.ask(submit(str(n))) for n in range(2)))
    assert [answer.message.text for answer in answers] == ["a: 0", "a: 1"]


@virtual_time
async def test_the_window_grows_under_load_and_shrinks_when_idle_between_its_bounds() -> None:
    script = Script("a")
    async with pool_of(batching(script), batching=Batching(size=100, min_window=1.0, max_window=8.0)) as pool:
        waited = []
        for count in (2, 2, 2, 2, 2, 1, 1, 1, 1, 1):
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(pool.ask(submit(str(n))) for n in range(count)))
            waited.append(asyncio.get_running_loop().time() - began)
    assert waited == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 4.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"min_window": -1.0}, {"min_window": 9.0}])
def test_a_window_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="min_window"):
        Batching(**wrong)


@virtual_time
async def test_a_plain_request_may_ask_for_a_batch_by_its_scope() -> None:
    from callboard.actors import send_context
    from callboard.providers.pool import REQUESTER

    script = Script("a")
    async with pool_of(batching(script), batching=FIXED) as pool:
        with send_context(baggage={REQUESTER: Requester(batch=True)}):
            assert (await pool.ask(request())).notes == ("batched",)


@virtual_time
async def test_a_batch_that_waits_goes_to_no_endpoint_that_takes_none_when_one_is_added() -> None:
    script, added = Script("a", latency=1.0), Script("b")
    async with pool_of(batching(script, limits=Quota(concurrency=1)), batching=Batching(size=2)) as pool:
        busy = pool.ask(request("busy"))
        await asyncio.sleep(0.1)
        waiting = [pool.ask(submit(str(n))) for n in range(2)]
        await asyncio.sleep(0.1)
        await pool.ask(AddEndpoint(endpoint(added)))
        answers = await asyncio.gather(busy, *waiting)
        stats = await pool.ask(GetStats())
    assert [answer.message.text for answer in answers] == ["a: busy", "a: 0", "a: 1"]
    assert script.most == 2, "both went out together"
    assert (added.seen, stats.endpoints["b"].sent) == ([], 0)


@virtual_time
async def test_a_batch_for_which_only_a_lesser_model_is_left_is_sent_singly_and_keeps_no_place_there() -> None:
    down, lesser = Script("a", hang=True), Script("b")
    policy = RetryPolicy(attempt_timeout=1.0)
    endpoints = [
        batching(down, models=("big",), retry=policy),
        batching(lesser, models=("mini",), limits=Quota(concurrency=1)),
    ]
    async with pool_of(*endpoints, batching=Batching(size=2), fallbacks={"big": ("mini",)}) as pool:
        await pool.ask(request(model="big"))
        asks = [pool.ask(submit(str(n), model="big"), timeout=20) for n in range(2)]
        answers = await asyncio.gather(*asks)
    assert [answer.message.text for answer in answers] == ["b: 0", "b: 1"]
    assert lesser.most == 1
    assert "degraded to model mini" in answers[0].notes


@virtual_time
async def test_streams_are_not_batched() -> None:
    script = Script("a", latency=0.0)
    async with pool_of(batching(script), batching=FIXED) as pool:
        deltas = [delta async for delta in pool.stream(submit())]
        assert asyncio.get_running_loop().time() == 0.0
    assert deltas[-1].completion is not None
    assert deltas[-1].completion.notes == ()


@virtual_time
async def test_a_batch_is_one_call_of_the_limits_with_the_tokens_of_all() -> None:
    script = Script("a", usage=Usage(10, 90))
    limits = Quota(requests_per_minute=2, tokens_per_minute=1_000)
    async with pool_of(batching(script, limits=limits), batching=FIXED) as pool:
        for _ in range(2):
            await asyncio.gather(*(pool.ask(submit(str(number), max_tokens=90)) for number in range(4)))
        assert len(script.seen) == 8
        assert script.times[-1] < 60.0
        await asyncio.gather(*(pool.ask(submit(str(number), max_tokens=90), timeout=100.0) for number in range(4)))
    assert script.times[-1] >= 60.0


class Nonsense(BatchingProvider):
    """Answers requests of a batch with what is neither a completion nor an error, but for the first."""

    async def _batch(self, message: BatchRequest) -> BatchAnswer:
        answer = await super()._batch(message)
        wrong = {"1": None, "2": "a text", "3": asyncio.CancelledError(), "4": StopIteration()}
        texts = [each.messages[-1].text for each in message.requests]
        return BatchAnswer(tuple(wrong.get(text, one) for text, one in zip(texts, answer.results, strict=True)))  # type: ignore[misc]


@virtual_time
async def test_a_request_whose_result_in_a_batch_is_none_is_sent_singly() -> None:
    spec = ChildSpec(Nonsense, (Script("a"), "key"))
    one = Endpoint("a", spec, capabilities=frozenset({"batch"}), price=DOLLAR)
    async with pool_of(one, batching=Batching(size=5)) as pool:
        answers = await asyncio.gather(*(pool.ask(submit(str(number))) for number in range(5)))
        assert (await pool.ask(GetStats())).pool.pending == 0
    assert [answer.message.text for answer in answers] == [f"a: {number}" for number in range(5)]
    assert ["batched" in answer.notes for answer in answers] == [True, False, False, False, False]
