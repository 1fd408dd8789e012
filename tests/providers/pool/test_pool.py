from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from callboard.actors import ActorRef, AskTimeout, ChildSpec, System, send_context
from callboard.actors.testing import virtual_time
from callboard.providers.errors import (
    AuthenticationFailed,
    ConnectionLost,
    InvalidRequest,
    MalformedResponse,
    NoProvider,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    Redirected,
    StreamCut,
    UnknownModel,
)
from callboard.providers.messages import Completion, Delta, Request, ToolSpec
from callboard.providers.pool import (
    BreakerPolicy,
    Endpoint,
    GetHealth,
    GetStats,
    Hedge,
    Pool,
    Quota,
    Requester,
    RetryPolicy,
    Submit,
)
from callboard.providers.spec import ProviderSpec

from .scripted import Script, Scripted, endpoint, fails, fails_until, request


@asynccontextmanager
async def pool_of(*scripts: Script, **options: Any) -> AsyncIterator[ActorRef[Pool]]:
    async with System("test") as system:
        options.setdefault("seed", 1)
        yield system.supervise(Pool.spec([endpoint(script) for script in scripts], **options))


async def outcomes(pool: ActorRef[Pool], count: int, *, at_once: int, timeout: float = 60.0) -> list[Any]:
    """Send requests, at most so many at once, and return what came of each."""
    free = asyncio.Semaphore(at_once)

    async def one(number: int) -> Any:
        async with free:
            return await pool.ask(request(str(number)), timeout=timeout)

    return await asyncio.gather(*(one(number) for number in range(count)), return_exceptions=True)


def lost(results: list[Any]) -> list[Any]:
    return [result for result in results if not isinstance(result, Completion)]


@virtual_time
async def test_a_request_is_answered_by_a_provider() -> None:
    async with pool_of(Script("a")) as pool:
        completion = await pool.ask(request("hi"))
        assert completion.message.text == "a: hi"
        assert completion.provider == "a"
        assert completion.cost == 0.0
        assert completion.notes == ()


FAILURES = {
    "reset": lambda: ConnectionLost("reset"),
    "500": lambda: ProviderOverloaded("500", status=500),
    "429": lambda: RateLimited("429", status=429, retry_after=2.0),
    "429 without retry-after": lambda: RateLimited("429", status=429),
    "malformed": lambda: MalformedResponse("<html>"),
    "401": lambda: AuthenticationFailed("401", status=401),
    "a bug": lambda: ZeroDivisionError("bug"),
}


@pytest.mark.parametrize("kind", FAILURES)
@virtual_time
async def test_one_provider_failing_in_any_way_loses_no_request_and_is_soon_left_alone(kind: str) -> None:
    bad, good, other = Script("bad", failure=fails(FAILURES[kind])), Script("good"), Script("other")
    bad.latency = 0.0
    async with pool_of(bad, good, other) as pool:
        results = await outcomes(pool, 200, at_once=20)
        assert not lost(results)
        # The first failures open the breaker; after that there are single probes, pauses growing.
        assert len(bad.seen) <= 10, f"{len(bad.seen)} requests were sent to a provider that always fails"


@virtual_time
async def test_a_crashing_provider_actor_loses_no_request_and_is_restarted() -> None:
    bad, good = Script("bad", crash=True), Script("good")
    async with pool_of(bad, good) as pool:
        results = await outcomes(pool, 100, at_once=10)
        assert not lost(results)
        assert bad.started > 1, "the crashed actor was not started again"
        bad.crash = False
        await asyncio.sleep(60)
        await outcomes(pool, 100, at_once=10)
        assert bad.seen, "the restarted provider gets no requests"


@virtual_time
async def test_requests_wait_while_every_provider_is_down_and_leave_as_a_ramp() -> None:
    scripts = [Script(name, failure=fails_until(3.0, lambda: ProviderOverloaded("503"))) for name in "abc"]
    async with pool_of(*scripts) as pool:
        results = await outcomes(pool, 500, at_once=500, timeout=60.0)
        assert not lost(results)
        for script in scripts:
            back = [time for time in script.times if time >= 3.0 - script.latency]
            first = [time for time in back if time < back[0] + script.latency * 0.9]
            assert len(first) <= 2, f"{len(first)} requests went to {script.name} at once on its return"


@virtual_time
async def test_after_a_total_outage_one_trial_goes_first_and_then_the_load_is_raised_in_steps() -> None:
    script = Script("a", latency=0.005, failure=fails_until(3.0, lambda: ProviderOverloaded("503", status=503)))
    async with pool_of(script) as pool:
        assert not lost(await outcomes(pool, 500, at_once=500, timeout=60.0))
    back = [time for time in script.times if time >= 3.0 - script.latency]
    assert back[1] >= back[0] + script.latency, "the trial was not waited for"
    within = [sum(time < back[0] + after for time in back) for after in (0.1, 0.2, 0.3)]
    assert within[0] <= 1 + 2
    assert within[1] <= 1 + 2 + 4 + 2
    assert within[2] <= 1 + 2 + 4 + 8 + 6
    assert back[-1] < back[0] + 3.0, "it does not come back to its full load"


@virtual_time
async def test_a_request_fails_at_its_deadline_with_a_named_error_and_a_request_without_one_after_the_patience() -> (
    None
):
    async with pool_of(Script("a", failure=fails(lambda: ProviderOverloaded("503"))), queue_timeout=5.0) as pool:
        loop = asyncio.get_running_loop()
        with pytest.raises(NoProvider, match="503"):
            await pool.ask(request(), timeout=2.0)
        assert loop.time() <= 2.0
        with pytest.raises(NoProvider) as caught:
            await pool.ask(request())
        assert isinstance(caught.value.causes["a"], ProviderOverloaded)
        assert loop.time() <= 2.0 + 10 * 5.0, "it waited longer than for each of ten attempts"


def slow(seconds: float) -> Script:
    """A vendor that gives up by itself after so long."""
    return Script("slow", latency=seconds, failure=fails(lambda: ProviderTimeout("nothing came")))


@virtual_time
async def test_what_an_attempt_takes_is_no_part_of_the_time_a_request_may_wait() -> None:
    good = Script("good")
    async with System("test") as system:
        endpoints = [endpoint(slow(120.0)), endpoint(good, priority=1)]
        pool = system.supervise(Pool.spec(endpoints, seed=1))
        completion = await pool.ask(request())
        assert completion.notes == ("answered by good after failures at slow (ProviderTimeout)",)
        deltas = [delta async for delta in pool.stream(request())]
        assert deltas[-1].completion is not None


@virtual_time
async def test_a_request_without_a_deadline_waits_anew_for_each_attempt_up_to_the_policys_attempts() -> None:
    script = slow(100.0)
    async with pool_of(script, queue_timeout=40.0) as pool:
        with pytest.raises(NoProvider, match="it was sent 10 times"):
            await pool.ask(request())
    assert len(script.seen) == 10


@virtual_time
async def test_a_vendor_that_hangs_is_given_up_where_another_could_answer_and_only_there() -> None:
    hangs, good = Script("hangs", hang=True), Script("good")
    async with System("test") as system:
        both = [endpoint(hangs), endpoint(good, priority=1)]
        pool = system.supervise(Pool.spec(both, seed=1))
        assert (await pool.ask(request())).provider == "good"
        assert [delta async for delta in pool.stream(request())][-1].completion is not None
        assert hangs.cancelled == 2
        alone = system.supervise(Pool.spec([endpoint(hangs)], name="alone", seed=1))
        asked = asyncio.ensure_future(alone.ask(request()))
        await asyncio.sleep(1_000.0)
        assert not asked.done(), "the only one there is was given up"
        asked.cancel()


@virtual_time
async def test_a_provider_that_may_be_silent_for_long_is_waited_for_longer_also_where_another_could_answer() -> None:
    patient = ChildSpec(Scripted, (Script("a", latency=700.0),), {"api_key": ProviderSpec("a", timeout=600.0)})
    async with System("test") as system:
        both = [Endpoint("a", patient), endpoint(Script("b"), priority=1)]
        pool = system.supervise(Pool.spec(both, seed=1))
        assert (await pool.ask(request())).provider == "a"


@virtual_time
async def test_who_waits_while_a_vendor_asked_for_a_pause_hears_why_and_not_only_that_time_is_over() -> None:
    script = Script("a", failure=fails(lambda: RateLimited("come back later", status=429, retry_after=30.0)))
    async with pool_of(script) as pool:
        for timeout in (5.0, 5.0, 0.2):
            with pytest.raises(NoProvider, match="come back later") as caught:
                await pool.ask(request(), timeout=timeout)
            assert isinstance(caught.value.causes["a"], RateLimited)


@pytest.mark.parametrize("pauses", [{"patient": 30.0, "hasty": 1.0}, {"hasty": 1.0, "patient": 30.0}])
@virtual_time
async def test_the_longest_of_the_pauses_that_a_vendor_asked_for_counts(pauses: dict[str, float]) -> None:

    def later(_script: Script, asked: Request) -> Exception | None:
        first = asyncio.get_running_loop().time() < 1.0
        return RateLimited("429", status=429, retry_after=pauses[asked.messages[-1].text]) if first else None

    script = Script("a", failure=later)
    async with pool_of(script) as pool:
        asks = [pool.ask(request(text), timeout=60.0) for text in pauses]
        assert not lost(await asyncio.gather(*asks, return_exceptions=True))
    assert len(script.times) == 4
    assert script.times[2] >= 30.0


@virtual_time
async def test_retries_of_an_endpoint_that_still_answers_are_rationed_and_earn_no_more_of_them() -> None:
    script = Script("a", latency=0.0, failure=fails(lambda: ProviderOverloaded("503")))
    async with System("test") as system:
        hardy = BreakerPolicy(window=10_000, error_rate=1.0)
        eager = endpoint(script, retry=RetryPolicy(attempts=10_000, initial=0.0), breaker=hardy)
        pool = system.supervise(Pool.spec([eager], seed=1))
        with pytest.raises(NoProvider):
            await pool.ask(request(), timeout=60.0)
    assert 60 <= len(script.seen) <= 1 + 10 + 60, "ten are saved up, and one a second is earned"


@virtual_time
async def test_the_pause_before_a_retry_where_there_is_no_elsewhere_grows_with_each() -> None:
    script = Script("a", latency=0.0, failure=fails(lambda: ProviderOverloaded("503")))
    async with System("test") as system:
        hardy = BreakerPolicy(window=10_000, error_rate=1.0)
        retry = RetryPolicy(attempts=5, initial=1.0, factor=10.0, maximum=1_000.0)
        pool = system.supervise(Pool.spec([endpoint(script, retry=retry, breaker=hardy)], seed=1))
        with pytest.raises(NoProvider):
            await pool.ask(request(), timeout=10_000.0)
    pauses = [later - sooner for sooner, later in pairwise(script.times)]
    assert all(pause <= bound for pause, bound in zip(pauses, (1.0, 10.0, 100.0, 1_000.0), strict=True))
    assert max(pauses) > 10.0, "it has not grown twice"


@virtual_time
async def test_a_wrong_request_is_refused_at_once_and_does_not_count_against_the_provider() -> None:
    script = Script("a", failure=fails(lambda: InvalidRequest("bad", status=400)))
    async with pool_of(script, Script("b", failure=fails(lambda: InvalidRequest("bad", status=400)))) as pool:
        for _ in range(20):
            with pytest.raises(InvalidRequest):
                await pool.ask(request())
        health = await pool.ask(GetHealth())
        assert [each.state for each in health.endpoints] == ["closed", "closed"]


@virtual_time
async def test_a_request_that_was_itself_refused_is_sent_once_and_nowhere_else() -> None:
    bad = Script("a", failure=fails(lambda: InvalidRequest("bad", status=400)))
    other = Script("b")
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(bad), endpoint(other, priority=1)], seed=1))
        with pytest.raises(InvalidRequest):
            await pool.ask(request())
    assert (len(bad.seen), len(other.seen)) == (1, 0)


@virtual_time
async def test_a_request_with_tools_is_not_sent_where_there_are_none() -> None:
    without = Script("a")
    tools = (ToolSpec("look", "looks", {"type": "object"}),)
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(without, capabilities=frozenset({"schema"}))], seed=1))
        with pytest.raises(NoProvider, match="a cannot do tools"):
            await pool.ask(request(tools=tools))
    assert not without.seen


@virtual_time
async def test_a_request_that_breaks_every_endpoint_is_sent_ten_times_at_most() -> None:
    scripts = [Script(name, failure=fails(lambda: MalformedResponse("<html>"))) for name in "abcdefgh"]
    async with pool_of(*scripts) as pool:
        with pytest.raises(NoProvider, match="sent 10 times") as caught:
            await pool.ask(request(), timeout=600.0)
    assert sum(len(script.seen) for script in scripts) == 10
    assert set(caught.value.causes) == set("abcdefgh")


@virtual_time
async def test_an_address_that_has_moved_is_asked_once_a_minute_and_its_caller_hears_at_once() -> None:
    moved = Script("a", latency=0.0, failure=fails(lambda: Redirected("302", status=302)))
    async with pool_of(moved) as pool:
        began = asyncio.get_running_loop().time()
        with pytest.raises(Redirected):
            await pool.ask(request(model="m"))
        for model in ("m", "n"):
            with pytest.raises(NoProvider, match="until its key or configuration is changed"):
                await pool.ask(request(model=model))
        assert asyncio.get_running_loop().time() == began
        assert len(moved.seen) == 1
        await asyncio.sleep(61)
        with pytest.raises(Redirected):
            await pool.ask(request(model="n"))
        assert len(moved.seen) == 2


@virtual_time
async def test_a_refused_key_is_an_error_at_once_when_no_other_provider_is_there() -> None:
    async with pool_of(Script("a", failure=fails(lambda: AuthenticationFailed("401")))) as pool:
        with pytest.raises(AuthenticationFailed):
            await pool.ask(request())
        with pytest.raises(NoProvider):
            await pool.ask(request())
        assert asyncio.get_running_loop().time() < 1.0


@virtual_time
async def test_a_busy_provider_is_waited_for_though_another_refuses_its_key() -> None:
    refused, busy = Script("a", failure=fails(lambda: AuthenticationFailed("401"))), Script("b", latency=5.0)
    async with System("test") as system:
        endpoints = [endpoint(refused), endpoint(busy, limits=Quota(concurrency=1), priority=1)]
        pool = system.supervise(Pool.spec(endpoints, seed=1))
        asks = [pool.ask(request(str(number))) for number in range(3)]
        assert [(await ask).provider for ask in asks] == ["b"] * 3
        late = [pool.ask(request(str(number))) for number in range(2)]
        assert [(await ask).provider for ask in late] == ["b"] * 2


@virtual_time
async def test_a_model_nobody_serves_is_a_named_error() -> None:
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(Script("a"), models=("small",))]))
        with pytest.raises(UnknownModel, match="huge"):
            await pool.ask(request(model="huge"))


@virtual_time
async def test_the_request_limit_holds_in_every_minute_and_requests_leave_in_order() -> None:
    script = Script("a", latency=0.01)
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(script, limits=Quota(requests_per_minute=60))], seed=1))
        results = await outcomes(pool, 200, at_once=200, timeout=1000)
        assert not lost(results)
    times = script.times
    assert all(later - sooner > 60 for sooner, later in zip(times, times[60:], strict=False))
    assert [each.messages[-1].text for _, each in script.seen] == [str(number) for number in range(200)]
    assert times[-1] < 200, "the limit is not used up"


@virtual_time
async def test_an_endpoint_that_was_slow_once_gets_its_share_again() -> None:
    slow, other = Script("a", latency=3.0), Script("b")
    async with pool_of(slow, other) as pool:
        while not slow.seen:
            await pool.ask(request())
        slow.latency = 0.05
        for _ in range(300):
            await pool.ask(request())
            await asyncio.sleep(0.5)
        slow.seen.clear()
        for _ in range(100):
            await pool.ask(request())
        assert 20 <= len(slow.seen) <= 80, f"it got {len(slow.seen)} of 100 requests"


@virtual_time
async def test_an_endpoint_that_stays_slow_is_tried_seldom() -> None:
    slow, other = Script("a", latency=3.0), Script("b")
    async with pool_of(slow, other) as pool:
        for _ in range(600):
            await pool.ask(request())
        assert 1 <= len(slow.seen) <= 12


@virtual_time
async def test_concurrency_stays_within_its_limit() -> None:
    script = Script("a")
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=3))], seed=1))
        assert not lost(await outcomes(pool, 50, at_once=50))
    assert script.most == 3


@virtual_time
async def test_a_hanging_provider_costs_no_more_than_the_hedging_delay() -> None:
    scripts = [Script(name) for name in "abc"]
    async with pool_of(*scripts, hedge=Hedge(minimum=0.06)) as pool:
        await outcomes(pool, 200, at_once=10)
        scripts[0].hang = True
        loop = asyncio.get_running_loop()
        latencies = []

        async def timed(number: int) -> None:
            began = loop.time()
            await pool.ask(request(str(number)), timeout=30)
            latencies.append(loop.time() - began)

        before = len(scripts[0].seen)
        for _ in range(40):
            await asyncio.gather(*(timed(number) for number in range(10)))
        assert max(latencies) <= 0.2, f"the slowest took {max(latencies)} s"
        assert len(scripts[0].seen) - before <= 10
        stats = await pool.ask(GetStats())
        assert stats.pool.hedges_won >= 1
        assert stats.pool.pending == 0


@pytest.mark.parametrize(("attempts", "sent"), [(1, 1), (2, 2)])
@virtual_time
async def test_hedges_are_among_the_attempts_that_a_policy_allows(attempts: int, sent: int) -> None:
    slow, fast = Script("slow", latency=5.0), Script("fast")
    policy = RetryPolicy(attempts=attempts)
    endpoints = [endpoint(slow, retry=policy), endpoint(fast, retry=policy, priority=1)]
    async with System("test") as system:
        pool = system.supervise(Pool.spec(endpoints, seed=1, hedge=Hedge(maximum=1.0)))
        await pool.ask(request())
    assert len(slow.seen) + len(fast.seen) == sent


@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (1, 2)])
@virtual_time
async def test_hedges_are_among_the_retries_that_a_request_allows(retries: int, sent: int) -> None:
    slow, fast = Script("slow", latency=5.0), Script("fast")
    async with System("test") as system:
        endpoints = [endpoint(slow), endpoint(fast, priority=1)]
        pool = system.supervise(Pool.spec(endpoints, seed=1, hedge=Hedge(maximum=1.0)))
        await pool.ask(request(max_retries=retries))
    assert len(slow.seen) + len(fast.seen) == sent


@virtual_time
async def test_no_vendor_is_asked_again_before_it_allowed_it() -> None:
    script = Script("a", failure=fails_until(1.0, lambda: RateLimited("429", status=429, retry_after=3600.0)))
    async with pool_of(script) as pool:
        await pool.ask(request(), timeout=4000.0)
    assert len(script.seen) == 2
    assert script.times[1] - script.times[0] >= 3600.0


@virtual_time
async def test_cancelling_an_ask_cancels_the_providers_call_and_counts_neither_way() -> None:
    script = Script("a", hang=True)
    async with pool_of(script) as pool:
        ask = pool.ask(request())
        await asyncio.sleep(1)
        ask.cancel()
        await asyncio.sleep(1)
        assert script.cancelled == 1
        stats = await pool.ask(GetStats())
        assert (stats.pool.cancelled, stats.endpoints["a"].cancelled, stats.endpoints["a"].failed) == (1, 1, 0)


@pytest.mark.parametrize("hops", range(10))
@virtual_time
async def test_a_request_cancelled_in_the_very_step_it_is_granted_leaves_its_place_to_the_next(hops: int) -> None:
    script = Script("a", latency=1.0)
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=1))], seed=1))
        loop = asyncio.get_running_loop()
        running, doomed, last = pool.ask(request("1")), pool.ask(request("2")), pool.ask(request("3"), timeout=10)

        def cancel(left: int) -> None:
            if left:
                loop.call_soon(cancel, left - 1)
            else:
                doomed.cancel()

        # The first answer comes now; some steps of the loop later the pool grants the second. One of the hops meets it.
        loop.call_at(1.0, cancel, hops)
        await running
        assert (await last).message.text == "a: 3"
        stats = await pool.ask(GetStats())
        assert (stats.pool.cancelled, stats.pool.pending, stats.waiting) == (1, 0, 0)


@virtual_time
async def test_a_hedge_that_is_not_possible_at_first_is_made_as_soon_as_it_is() -> None:
    hung, other = Script("a"), Script("b")
    async with System("test") as system:
        limited = endpoint(other, limits=Quota(concurrency=1), priority=1)
        pool = system.supervise(Pool.spec([endpoint(hung), limited], seed=1, hedge=Hedge(minimum=0.06, maximum=0.1)))
        await outcomes(pool, 50, at_once=1)
        hung.hang, other.latency = True, 5.0
        busy = pool.ask(Submit(request(), Requester(endpoint="b")))
        assert (await pool.ask(request("x"), timeout=30)).provider == "b"
        await busy


@virtual_time
async def test_a_failed_stream_is_invisible_before_its_first_delta() -> None:
    bad, good = Script("bad", failure=fails(lambda: ConnectionLost("reset"))), Script("good")
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(bad, priority=0), endpoint(good, priority=1)], seed=1))
        deltas = [delta async for delta in pool.stream(request("hi"))]
        assert [delta.text for delta in deltas] == ["0", "1", "2", ""]
        assert deltas[-1].completion is not None
        assert deltas[-1].completion.provider == "good"
        assert "bad (ConnectionLost)" in deltas[-1].completion.notes[0]


@virtual_time
async def test_a_stream_cut_after_its_first_text_ends_in_one_error() -> None:
    async with pool_of(Script("a", cut_after=2), Script("b", cut_after=2)) as pool:
        seen = []

        async def read() -> None:
            async for delta in pool.stream(request()):
                seen.append(delta.text)

        with pytest.raises(StreamCut):
            await read()
        assert seen == ["0", "1"]
        stats = await pool.ask(GetStats())
        assert (stats.pool.failed, stats.pool.pending) == (1, 0)


THOUGHT = (Delta(reasoning="hm"), Delta(reasoning=", so"), Delta(text="yes"))
CALL = (Delta(tool_index=0, tool_id="1", tool_name="look"), Delta(tool_index=0, tool_arguments='{"at": 1}'))


@pytest.mark.parametrize(("pieces", "cut"), [(THOUGHT, 1), (THOUGHT, 2), (CALL, 1), (CALL, 2)])
@virtual_time
async def test_a_stream_cut_before_its_text_begins_anew_elsewhere_and_its_reader_is_told(
    pieces: tuple[Delta, ...], cut: int
) -> None:
    bad, good = Script("bad", pieces=pieces, cut_after=cut), Script("good", pieces=pieces)
    if cut == len(pieces):
        bad.pieces = (*pieces, Delta(text="never sent"))
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(bad), endpoint(good, priority=1)], seed=1))
        deltas = [delta async for delta in pool.stream(request())]
        assert deltas[:-1] == [*pieces[:cut], Delta(restart=True), *pieces]
        assert deltas[-1].completion is not None
        assert deltas[-1].completion.provider == "good"
        assert "bad (StreamCut)" in deltas[-1].completion.notes[0]
        stats = await pool.ask(GetStats())
        assert (stats.pool.answered, stats.pool.failed, stats.bought["cut"].calls) == (1, 0, 1)


@virtual_time
async def test_an_attempt_that_fails_before_its_first_piece_is_followed_by_one_restart_only() -> None:
    cut = Script("a", pieces=THOUGHT, cut_after=1)
    refused, good = Script("b", failure=fails(lambda: ConnectionLost("reset"))), Script("c", pieces=THOUGHT)
    async with System("test") as system:
        endpoints = [endpoint(script, priority=index) for index, script in enumerate((cut, refused, good))]
        pool = system.supervise(Pool.spec(endpoints, seed=1))
        deltas = [delta async for delta in pool.stream(request())]
        assert [delta.restart for delta in deltas] == [False, True, False, False, False, False]


@virtual_time
async def test_leaving_a_stream_cancels_the_providers_call_and_frees_its_place() -> None:
    script = Script("a", deltas=1000)
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=1))], seed=1))
        async with pool.stream(request()) as deltas:
            assert (await anext(deltas)).text == "0"
        assert (await pool.ask(request("next"), timeout=5)).message.text == "a: next"


@virtual_time
async def test_higher_priority_overtakes_but_nobody_waits_for_ever() -> None:
    script = Script("a", latency=1.0)
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=1))], seed=1))
        first = [pool.ask(request("running")), pool.ask(request("normal"))]
        await asyncio.sleep(0.1)
        urgent = [pool.ask(Submit(request(f"urgent {n}"), Requester(priority=1))) for n in range(3)]
        await asyncio.gather(*first, *urgent)
        order = [each.messages[-1].text for _, each in script.seen]
        assert order == ["running", "urgent 0", "urgent 1", "urgent 2", "normal"]


@virtual_time
async def test_callers_in_a_hurry_do_not_make_a_working_provider_look_broken() -> None:
    script = Script("a", latency=1.0)
    async with pool_of(script) as pool:
        await outcomes(pool, 20, at_once=5)
        assert len(lost(await outcomes(pool, 30, at_once=5, timeout=0.3))) == 30
        assert (await pool.ask(GetHealth())).endpoints[0].state == "closed"


@virtual_time
async def test_calls_that_hang_are_no_reason_to_leave_a_provider_alone_that_has_answered_later_ones() -> None:
    script = Script("a")
    async with pool_of(script) as pool:
        for number in range(10):
            script.hang = True
            doomed = asyncio.ensure_future(pool.ask(request(f"hangs {number}"), timeout=5.0))
            await asyncio.sleep(0.01)
            script.hang = False
            assert isinstance(await pool.ask(request()), Completion)
            await asyncio.wait([doomed])
            assert isinstance(doomed.exception(), AskTimeout)
        assert (await pool.ask(GetHealth())).endpoints[0].state == "closed"
        assert (await pool.ask(GetStats())).endpoints["a"].slow == 0


@virtual_time
async def test_a_hanging_provider_is_left_alone_though_every_caller_gives_up_before_any_timeout_of_its_own() -> None:
    hung, other = Script("a", hang=True), Script("b")
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint(hung), endpoint(other, priority=1)], seed=1))
        assert len(lost(await outcomes(pool, 3, at_once=1, timeout=2.0))) == 3
        assert not lost(await outcomes(pool, 5, at_once=1, timeout=0.2))


@virtual_time
async def test_a_stream_ends_at_its_deadline() -> None:
    async with pool_of(Script("a", deltas=5, pause=1.0)) as pool:
        seen = []

        async def read() -> None:
            with send_context(timeout=2.5):
                async for delta in pool.stream(request()):
                    seen.append(delta.text)

        with pytest.raises((StreamCut, AskTimeout)):
            await read()
        assert seen == ["0", "1"]
        assert asyncio.get_running_loop().time() == pytest.approx(2.5)


@virtual_time
async def test_the_time_of_an_attempt_is_that_of_a_streams_first_piece_and_no_other() -> None:
    script = Script("a", pause=0.5)
    async with System("test") as system:
        one = endpoint(script, retry=RetryPolicy(attempts=1, attempt_timeout=1.0))
        pool = system.supervise(Pool.spec([one], seed=1))
        async with pool.stream(request()) as deltas:
            assert (await anext(deltas)).text == "0"
            script.pause = 5.0
            assert [delta.text async for delta in deltas] == ["1", "2", ""]
        with pytest.raises(NoProvider, match="sent nothing in time"):
            _ = [delta async for delta in pool.stream(request())]


@virtual_time
async def test_the_deadline_in_force_is_inherited_by_the_providers_call() -> None:
    script = Script("a", hang=True)
    async with pool_of(script) as pool:
        with pytest.raises(AskTimeout), send_context(timeout=1.0):
            await pool.ask(request())
        await asyncio.sleep(0)
        assert script.cancelled == 1


def test_a_request_is_a_request() -> None:
    assert isinstance(request(), Request)
