"""What the pool books: everything that vendors charge, or may, by what became of it; also over crashes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, ChildSpec, System
from callboard.actors.testing import virtual_time
from callboard.providers.errors import (
    BudgetSpent,
    ConnectionLost,
    MalformedResponse,
    NoProvider,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    StreamCut,
)
from callboard.providers.messages import Completion, Delta, Message, Request, Usage
from callboard.providers.pool import (
    Bought,
    Budget,
    Endpoint,
    GetStats,
    Hedge,
    Pool,
    PoolStats,
    Price,
    RetryPolicy,
)
from callboard.providers.simulated import Fault, SimulatedProvider, cut, malformed, reset
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.openai import OpenAIProvider

from .scripted import Script, endpoint, pool_of, request

PRICE = Price(1.0, 1.0)
"""A dollar for a million tokens of either kind."""


async def stats_of(pool: ActorRef[Pool]) -> PoolStats:
    stats: PoolStats = await pool.ask(GetStats())
    return stats


def agrees(stats: PoolStats) -> bool:
    """Whether the items add up to the money spent."""
    return stats.cost == pytest.approx(sum(entry.cost for entry in stats.bought.values()))


def once(error: Callable[[], Exception]) -> Script:
    """Fails the first request."""
    return Script("a", failure=lambda script, _: error() if len(script.seen) == 1 else None)


# -- what becomes of a call --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "item"),
    [
        (lambda: ProviderTimeout("silence"), "timeout"),
        (lambda: StreamCut("half"), "cut"),
        (lambda: MalformedResponse("not JSON", status=200), "malformed"),
        (lambda: ConnectionLost("reset"), "lost"),
        (lambda: RateLimited("429", status=429), None),
        (lambda: ProviderOverloaded("503", status=503), None),
    ],
)
@virtual_time
async def test_a_failure_that_the_vendor_may_charge_for_is_booked_as_what_it_was(
    error: Callable[[], Exception], item: str | None
) -> None:
    async with pool_of(endpoint(once(error), price=PRICE)) as pool:
        await pool.ask(request(max_tokens=100))
        stats = await stats_of(pool)
    assert set(stats.bought) == {"answered"} | ({item} if item else set())
    assert stats.bought["answered"] == Bought(1, 10, 5, 15e-6)
    if item:
        lost = stats.bought[item]
        assert (lost.calls, lost.output_tokens) == (1, 100)
        assert lost.input_tokens > 0
        assert lost.cost == pytest.approx((lost.input_tokens + 100) * 1e-6)
    assert agrees(stats)


@virtual_time
async def test_what_was_never_sent_costs_nothing() -> None:
    def refused() -> Exception:
        error = ConnectionLost("refused")
        error.unsent = True
        return error

    async with pool_of(endpoint(once(refused), price=PRICE)) as pool:
        await pool.ask(request())
        assert set((await stats_of(pool)).bought) == {"answered"}


@virtual_time
async def test_a_caller_that_leaves_has_its_call_booked_and_no_more_than_answers_usually_take() -> None:
    script = Script("a")
    async with pool_of(endpoint(script, price=PRICE)) as pool:
        await pool.ask(request(max_tokens=1_000_000))
        asked = asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000)))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.sleep(0.01)
        late = asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000), timeout=0.01))
        await asyncio.wait([late])
        await asyncio.sleep(0.01)
        stats = await stats_of(pool)
    assert {item: entry.calls for item, entry in stats.bought.items()} == {"answered": 1, "cancelled": 1, "timeout": 1}
    assert stats.bought["cancelled"].output_tokens < 1_000, "it was booked as if it had taken a million"
    assert agrees(stats)


@virtual_time
async def test_a_provider_that_hangs_is_booked_as_what_might_have_come_of_it() -> None:
    script = Script("a", hang=True)
    retry = RetryPolicy(attempts=2, attempt_timeout=1.0)
    async with pool_of(endpoint(script, price=PRICE, retry=retry)) as pool:
        with pytest.raises(NoProvider):
            await pool.ask(request(max_tokens=100))
        stats = await stats_of(pool)
    assert {item: (entry.calls, entry.output_tokens) for item, entry in stats.bought.items()} == {"timeout": (2, 200)}
    assert agrees(stats)


@virtual_time
async def test_the_loser_of_a_hedged_pair_is_booked_as_such() -> None:
    slow, fast = Script("slow", latency=30.0), Script("fast")
    endpoints = [endpoint(slow, price=PRICE), endpoint(fast, price=PRICE, priority=1)]
    async with pool_of(*endpoints, hedge=Hedge(maximum=1.0)) as pool:
        answer = await pool.ask(request())
        stats = await stats_of(pool)
    assert answer.provider == "fast"
    assert stats.bought["hedged"].calls == 1
    assert stats.bought["answered"].calls == 1
    assert agrees(stats)


@pytest.mark.parametrize("later", [-0.001, 0.0, 0.001])
@virtual_time
async def test_of_a_hedged_pair_that_answers_at_once_one_is_booked_as_answered(later: float) -> None:
    slow, fast = Script("slow", latency=2.0), Script("fast", latency=1.0 + later)
    endpoints = [endpoint(slow, price=PRICE), endpoint(fast, price=PRICE, priority=1)]
    async with pool_of(*endpoints, hedge=Hedge(maximum=1.0)) as pool:
        await pool.ask(request())
        await asyncio.sleep(1)
        stats = await stats_of(pool)
    assert {item: entry.calls for item, entry in stats.bought.items()} == {"answered": 1, "hedged": 1}
    assert agrees(stats)


@virtual_time
async def test_a_stream_that_breaks_off_is_booked_with_what_had_come() -> None:
    script = Script("a", cut_after=2)
    async with pool_of(endpoint(script, price=PRICE)) as pool:
        with pytest.raises(StreamCut):
            async for _ in pool.stream(request(max_tokens=500)):
                pass
        script.cut_after, script.pause, script.deltas = None, 1.0, 50
        async with pool.stream(request(max_tokens=500)) as deltas:
            async for _ in deltas:
                break
        await asyncio.sleep(1)
        stats = await stats_of(pool)
    assert {item: (entry.calls, entry.output_tokens) for item, entry in stats.bought.items()} == {
        "cut": (1, 1),
        "cancelled": (1, 1),
    }


@pytest.mark.parametrize(
    "piece", [Delta(text="x" * 40), Delta(reasoning="x" * 40), Delta(tool_index=0, tool_arguments="x" * 40)]
)
@virtual_time
async def test_of_a_stream_that_breaks_off_all_kinds_of_pieces_are_booked(piece: Delta) -> None:
    script = Script("a", pieces=(piece, piece, piece), cut_after=2)
    async with pool_of(endpoint(script, price=PRICE, retry=RetryPolicy(attempts=1))) as pool:
        with pytest.raises((StreamCut, NoProvider)):
            _ = [delta async for delta in pool.stream(request(max_tokens=500))]
        stats = await stats_of(pool)
    assert (stats.bought["cut"].calls, stats.bought["cut"].output_tokens) == (1, 20)


# -- crashes -----------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_killed_pool_remembers_what_it_has_bought_and_what_was_in_flight() -> None:
    script = Script("a", usage=Usage(0, 100), latency=1.0)
    async with pool_of(endpoint(script, price=PRICE)) as pool:
        await pool.ask(request(max_tokens=1_000))
        flying = asyncio.ensure_future(pool.ask(request(max_tokens=1_000)))
        await asyncio.sleep(0.5)
        pool.kill()
        await asyncio.wait([flying])
        stats = await stats_of(pool)
    assert stats.bought["answered"] == Bought(1, 0, 100, 1e-4)
    assert (stats.bought["interrupted"].calls, stats.bought["interrupted"].output_tokens) == (1, 1_000)
    assert stats.endpoints["a"].answered == 1
    assert (stats.pool.answered, stats.pool.pending) == (1, 0)
    assert agrees(stats)


@pytest.mark.parametrize("whom", ["pool", "pool/a"])
@pytest.mark.parametrize("kills", [1, 3])
@virtual_time
async def test_no_crash_gives_back_a_budget_that_vendors_have_charged(whom: str, kills: int) -> None:
    bill: list[float] = []
    script = Script("a", usage=Usage(0, 1_000_000), latency=1.0)
    script.failure = lambda _script, _request: bill.append(1.0)
    async with System("test") as system:
        options: Any = {"budgets": [Budget("pool", "", 6.0)], "seed": 1, "queue_timeout": 5.0}
        pool = system.supervise(Pool.spec([endpoint(script, price=Price(0, 1))], **options))
        for _ in range(kills):
            asks = [asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000))) for _ in range(2)]
            await asyncio.sleep(0.99)
            found = system.find(whom)
            assert found is not None
            found.kill()
            await asyncio.wait(asks)
        rest = [asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000))) for _ in range(10)]
        await asyncio.wait(rest)
        stats = await stats_of(pool)
    assert any(isinstance(one.exception(), BudgetSpent) for one in rest)
    sent = len(script.seen)
    assert sent <= 6, f"vendors were sent {sent} requests of a dollar with a budget of six"
    assert stats.bought["interrupted"].calls == sent - len(bill)
    assert agrees(stats)


@virtual_time
async def test_what_is_in_flight_when_a_pool_is_killed_is_promised_until_it_is_booked() -> None:
    script = Script("a", usage=Usage(0, 1_000_000), hang=True)
    async with pool_of(endpoint(script, price=Price(0, 1)), budgets=[Budget("pool", "", 1.0)]) as pool:
        first = asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000)))
        await asyncio.sleep(0.1)
        pool.kill()
        second = asyncio.ensure_future(pool.ask(request(max_tokens=1_000_000)))  # waits for the next incarnation
        await asyncio.wait([first, second])
    assert isinstance(second.exception(), BudgetSpent)
    assert len(script.seen) == 1


@virtual_time
async def test_a_killed_pool_books_no_calls_to_providers_that_had_stopped_before() -> None:
    scripts = [Script(name, latency=1.0) for name in "abc"]
    async with pool_of(*(endpoint(script, price=PRICE) for script in scripts)) as pool:
        asks = [asyncio.ensure_future(pool.ask(request())) for _ in range(6)]
        await asyncio.sleep(0.5)
        pool.kill()
        await asyncio.wait(asks)
        stats = await stats_of(pool)
    sent = sum(len(script.seen) for script in scripts)
    # What failed over to an actor that was already gone has reached nobody; what lay in a mailbox may have.
    assert sent <= stats.bought["interrupted"].calls < sum(counts.sent for counts in stats.endpoints.values())


# -- against what providers served -------------------------------------------------------------------------------------


class Vendor:
    """A simulated provider that writes down each completion that it makes, with the fault that it met."""

    def __init__(self, faults: list[Fault | None]) -> None:
        self.served: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self._faults = faults
        self.server = SimulatedProvider(self._answer)
        self.server.script(*faults)

    def _answer(self, request: Request) -> Completion:
        fault = self._faults[self.server.stats.requests - 1]
        usage = Usage(7, 11)
        kind = "" if fault is None else fault.kind
        self.served[kind] += 1
        self.tokens[kind] += usage.total_tokens
        return Completion(Message("assistant", "a whole answer of some length " * 3), "stop", usage)

    def endpoint(self) -> Endpoint:
        spec = ProviderSpec("v", api_key=SecretStr("k"), base_url=self.server.base_url, models=("m",))
        retry = RetryPolicy(initial=0.01, maximum=0.02)
        return Endpoint.of(spec, ChildSpec(OpenAIProvider, (spec,)), price=PRICE, retry=retry)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_providers_served_and_what_the_pool_booked_differ_only_by_named_items(streamed: bool) -> None:
    faults: list[Fault | None] = [
        None, malformed(), None, cut(), reset(), None, None, None, cut(), None, None, None, None, None, None,
    ]  # fmt: skip
    vendor = Vendor(faults)
    async with vendor.server, pool_of(vendor.endpoint()) as pool:
        answers = 0
        for _ in range(8):
            if not streamed:
                answers += isinstance(await pool.ask(Request((Message("user", "?"),), model="m")), Completion)
                continue
            with suppress(StreamCut):
                async for delta in pool.stream(Request((Message("user", "?"),), model="m")):
                    answers += delta.completion is not None
        stats = await stats_of(pool)
    calls = Counter({item: entry.calls for item, entry in stats.bought.items()})
    assert calls["answered"] == vendor.served[""] == answers
    answered = stats.bought["answered"]
    assert answered.input_tokens + answered.output_tokens == vendor.tokens[""]
    # What was served and did not arrive, each by its name.
    assert calls["cut"] + calls["malformed"] == vendor.served["cut"] + vendor.served["malformed"] > 0
    # What the vendor says nothing of may have been charged, and is booked as such.
    asked = faults[: vendor.server.stats.requests]
    assert calls["lost"] == sum(fault is not None and fault.kind == "reset" for fault in asked)
    assert sum(calls.values()) == vendor.server.stats.requests == sum(end.sent for end in stats.endpoints.values())
    assert agrees(stats)


async def test_an_answer_whose_tokens_the_vendor_did_not_tell_is_an_estimate_and_booked_as_one() -> None:
    server = SimulatedProvider(Completion(Message("assistant", "hello there"), "stop", Usage(0, 0)))
    async with server:
        spec = ProviderSpec("v", api_key=SecretStr("k"), base_url=server.base_url, models=("m",))
        async with pool_of(Endpoint.of(spec, ChildSpec(OpenAIProvider, (spec,)), price=PRICE)) as pool:
            answer = await pool.ask(Request((Message("user", "?"),), model="m"))
            stats = await stats_of(pool)
    assert answer.usage.total_tokens > 0
    assert {item: entry.calls for item, entry in stats.bought.items()} == {"unreported": 1}
    assert agrees(stats)


async def test_a_vendor_that_cannot_be_reached_costs_nothing() -> None:
    server = SimulatedProvider()
    await server.start()
    spec = ProviderSpec("v", api_key=SecretStr("k"), base_url=server.base_url, models=("m",))
    await server.stop()
    retry = RetryPolicy(attempts=2, initial=0.01)
    async with pool_of(Endpoint.of(spec, ChildSpec(OpenAIProvider, (spec,)), price=PRICE, retry=retry)) as pool:
        with pytest.raises(Exception, match="cannot be reached at"):
            await pool.ask(Request((Message("user", "?"),), model="m"))
        assert (await stats_of(pool)).bought == {}
