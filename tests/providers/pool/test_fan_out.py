"""The same request to several endpoints at once, and how their answers become one."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import pytest

from callboard.actors import Backoff, ChildSpec, send_context
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.handoffs.fanout import FanOutTarget
from callboard.actors.testing import virtual_time
from callboard.providers.errors import BudgetSpent, InvalidRequest, NoProvider, ProviderOverloaded, ProviderTimeout
from callboard.providers.messages import Completion, Usage
from callboard.providers.pool import (
    FREE,
    REQUESTER,
    BreakerPolicy,
    Budget,
    Endpoint,
    FanOut,
    GetHealth,
    GetStats,
    Price,
    Requester,
)

from .scripted import Script, Scripted, endpoint, fails, fails_until, pool_of, request

DOLLAR = Price(1.0, 1.0)


def overloaded() -> Exception:
    return ProviderOverloaded("503", status=503)


@virtual_time
async def test_first_answers_with_the_fastest_and_cancels_the_rest() -> None:
    scripts = [Script("slow", latency=9.0), Script("bad", 0.01, fails(overloaded)), Script("fast", latency=0.1)]
    async with pool_of(*map(endpoint, scripts)) as pool:
        completion = await pool.ask(FanOut(request()))
        assert completion.provider == "fast"
        await asyncio.sleep(0)
        assert scripts[0].cancelled == 1


@virtual_time
async def test_majority_answers_as_soon_as_it_is_decided() -> None:
    said = [("a", 0.1, "Yes "), ("b", 0.2, "no"), ("c", 0.3, "yes"), ("d", 0.4, "YES"), ("e", 99.0, "no")]
    scripts = [Script(name, latency, text=text) for name, latency, text in said]
    async with pool_of(*map(endpoint, scripts)) as pool:
        completion = await pool.ask(FanOut(request(), combine="majority"))
        assert completion.message.text == "Yes "
        assert completion.notes == ("majority: 3 of 5 agree",)
        assert asyncio.get_running_loop().time() == pytest.approx(0.4)
        await asyncio.sleep(0)
        assert scripts[4].cancelled == 1


@virtual_time
async def test_a_majority_that_the_last_one_can_still_make_a_tie_waits_for_it_and_a_tie_is_the_first_ones() -> None:
    said = [("a", 0.3, "no"), ("b", 0.1, "yes"), ("c", 0.2, "yes"), ("d", 0.4, "no")]
    scripts = [Script(name, latency, text=text) for name, latency, text in said]
    async with pool_of(*map(endpoint, scripts)) as pool:
        completion = await pool.ask(FanOut(request(), combine="majority"))
    assert (completion.message.text, completion.notes) == ("no", ("majority: 2 of 4 agree",))


@virtual_time
async def test_all_answers_with_every_outcome_by_name() -> None:
    scripts = [Script("a"), Script("b", failure=fails(lambda: InvalidRequest("no"))), Script("c")]
    async with pool_of(*map(endpoint, scripts)) as pool:
        outcomes = await pool.ask(FanOut(request(), ("c", "b"), combine="all"))
        assert list(outcomes) == ["c", "b"]
        assert outcomes["c"].message.text == "c: hello"
        assert isinstance(outcomes["b"], InvalidRequest)


@virtual_time
async def test_a_fan_out_in_which_all_fail_names_the_causes() -> None:
    scripts = [Script(name, failure=fails(lambda: InvalidRequest("no"))) for name in "ab"]
    async with pool_of(*map(endpoint, scripts)) as pool:
        with pytest.raises(NoProvider) as caught:
            await pool.ask(FanOut(request()))
        assert set(caught.value.causes) == {"a", "b"}


@virtual_time
async def test_an_endpoint_that_is_down_does_not_keep_the_others_answers_back() -> None:
    scripts = [Script("a"), Script("down", failure=fails(overloaded)), Script("c", latency=1.0)]
    async with pool_of(*map(endpoint, scripts)) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all"))
        assert asyncio.get_running_loop().time() < 5.0
        assert [type(outcome) for outcome in outcomes.values()] == [Completion, NoProvider, Completion]
        assert "down was down when another had answered" in str(outcomes["down"])
        assert isinstance(outcomes["down"].causes["down"], ProviderOverloaded)


@virtual_time
async def test_one_that_hangs_is_named_before_the_deadline_takes_the_others_answers_along() -> None:
    scripts = [Script("a"), Script("hangs", hang=True), Script("c", latency=1.0)]
    async with pool_of(*map(endpoint, scripts)) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all"), timeout=20.0)
        assert isinstance(outcomes["hangs"], ProviderTimeout)
        assert [outcomes[name].message.text for name in "ac"] == ["a: hello", "c: hello"]
        agreed = await pool.ask(FanOut(request(), combine="majority"), timeout=20.0)
        assert agreed.message.text == "a: hello"


@virtual_time
async def test_one_that_is_only_slow_is_waited_for() -> None:
    scripts = [Script("a"), Script("slow", latency=300.0)]
    async with pool_of(*map(endpoint, scripts)) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all"))
        assert [type(outcome) for outcome in outcomes.values()] == [Completion] * 2


@virtual_time
async def test_while_nobody_has_answered_one_that_has_failed_is_tried_again() -> None:
    scripts = [Script(name, failure=fails_until(3.0, overloaded)) for name in "ab"]
    async with pool_of(*map(endpoint, scripts)) as pool:
        assert isinstance(await pool.ask(FanOut(request())), Completion)


@pytest.mark.parametrize("is_async", [False, True])
@virtual_time
async def test_a_function_may_combine_what_there_is(is_async: bool) -> None:
    def longest(outcomes: dict[str, Completion | Exception]) -> Completion:
        return max((o for o in outcomes.values() if isinstance(o, Completion)), key=lambda one: len(one.message.text))

    async def later(outcomes: dict[str, Completion | Exception]) -> Completion:
        await asyncio.sleep(1)
        return longest(outcomes)

    scripts = [Script("a", text="short"), Script("b", text="the longest"), Script("c", failure=fails(overloaded))]
    async with pool_of(*map(endpoint, scripts)) as pool:
        answer = await pool.ask(FanOut(request(), combine=later if is_async else longest))
        assert answer.message.text == "the longest"
        assert await pool.ask(FanOut(request(), ("a", "b"), combine=len)) == 2, "it may be anything"
        with pytest.raises(ZeroDivisionError):
            await pool.ask(FanOut(request(), ("a", "b"), combine=lambda _: 1 / 0))
        assert (await pool.ask(GetStats())).pool.pending == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"combine": "best"}, "combine is 'best'; expected"),
        ({"concurrency": 0}, "concurrency is 0; expected"),
        ({"concurrency": math.nan}, "concurrency is nan; expected a whole number"),
        ({"concurrency": True}, "concurrency is True; expected"),
        ({"providers": "ab"}, "providers is 'ab'; expected"),
        ({"providers": ("a", "b", "a")}, "expected each name once"),
        ({"providers": ("a", None)}, "expected a tuple of names"),
    ],
)
def test_a_fan_out_that_cannot_be_is_refused_as_it_is_made(wrong: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        FanOut(request(), **wrong)
    with pytest.raises(DefinitionError, match=re.escape(says)):
        FanOutTarget("both", **wrong)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit])
@pytest.mark.parametrize("is_async", [False, True])
@virtual_time
async def test_a_function_that_combines_does_not_end_the_pool(raised: type[BaseException], is_async: bool) -> None:
    def at_once(_: dict[str, Completion | Exception]) -> Completion:
        raise raised

    async def later(_: dict[str, Completion | Exception]) -> Completion:
        await asyncio.sleep(1)
        raise raised

    async with pool_of(endpoint(Script("a"))) as pool:
        with pytest.raises(RuntimeError, match=f"the function that combines raised {raised.__name__}"):
            await pool.ask(FanOut(request(), combine=later if is_async else at_once))
        counts = (await pool.ask(GetStats())).pool
        assert (counts.failed, counts.cancelled, counts.pending) == (1, 0, 0)
        asked = pool.ask(FanOut(request(), combine=later))
        await asyncio.sleep(0.5)
        asked.cancel()
        await asyncio.sleep(0)
        assert (await pool.ask(GetStats())).pool.cancelled == 1


@virtual_time
async def test_no_more_are_asked_at_once_than_allowed_and_all_are_asked() -> None:
    scripts = [Script(name, latency=1.0) for name in "abcde"]
    async with pool_of(*map(endpoint, scripts)) as pool:
        outcomes = await pool.ask(FanOut(request(), combine="all", concurrency=2))
        assert [script.times for script in scripts] == [[0.0], [0.0], [1.0], [1.0], [2.0]]
        assert all(isinstance(outcome, Completion) for outcome in outcomes.values())
        first = await pool.ask(FanOut(request(), concurrency=1))
        assert first.provider == "a"
        assert len(scripts[1].seen) == 1, "nobody else was asked"


@virtual_time
async def test_its_cost_is_that_of_all_who_answered_and_is_booked_to_who_asked() -> None:
    scripts = [Script(name, text="yes", usage=Usage(1_000_000, 0)) for name in "abc"]
    endpoints = [endpoint(script, price=DOLLAR) for script in scripts]
    async with pool_of(*endpoints, budgets=[Budget("agent", "planner", 4.0)]) as pool:
        with send_context(baggage={REQUESTER: Requester(agent="planner")}):
            answer = await pool.ask(FanOut(request(max_tokens=1), combine=lambda outcomes: outcomes["b"]))
            assert (answer.cost, answer.usage, answer.provider) == (3.0, Usage(3_000_000, 0), "b")
            await pool.ask(FanOut(request(max_tokens=1)), timeout=9)
            with pytest.raises(NoProvider) as caught:
                await pool.ask(FanOut(request(max_tokens=1)))
    assert {type(cause) for cause in caught.value.causes.values()} == {BudgetSpent}


@virtual_time
async def test_leaving_a_fan_out_ends_all_of_it() -> None:
    scripts = [Script(name, latency=10.0) for name in "abc"]
    async with pool_of(*map(endpoint, scripts)) as pool:
        asked = pool.ask(FanOut(request(), combine="all"))
        await asyncio.sleep(1)
        asked.cancel()
        await asyncio.sleep(1)
        assert [script.cancelled for script in scripts] == [1, 1, 1]
        assert (await pool.ask(GetStats())).pool.cancelled == 1


@virtual_time
async def test_an_endpoint_that_was_down_before_is_waited_for_anew_when_it_is_down_again() -> None:
    first, second = Script("a"), Script("b", latency=4.0)
    second.failure = lambda _, asked: overloaded() if asked.messages[-1].text == "bad" else None
    spec = ChildSpec(Scripted, (second,), {"api_key": "k"}, backoff=Backoff(initial=1.0, maximum=1.0, jitter=0.0))
    slow = Endpoint("b", spec, price=FREE, breaker=BreakerPolicy(pause=30.0))
    async with pool_of(endpoint(first), slow) as pool:
        second.crash = True
        with pytest.raises(NoProvider):
            await pool.ask(request(model="b:m", max_retries=0))
        second.crash = False
        asked = asyncio.ensure_future(pool.ask(FanOut(request(model="m"), ("a", "b"), "all"), timeout=60))
        await asyncio.sleep(3.5)
        assert second.in_flight == 1
        second.latency = 0.0
        bad = [pool.ask(request("bad", model="b:m", max_retries=0)) for _ in range(3)]
        await asyncio.gather(*bad, return_exceptions=True)
        health = await pool.ask(GetHealth())
        assert health.endpoints[1].state == "open"
        outcomes = await asked
    assert isinstance(outcomes["b"], Completion)
