"""Sentences of the page of the pool, each under random work, schedules and faults.

``CALLBOARD_EXAMPLES=1000`` draws more.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import ActorCrashed, ActorDead, ActorRef, AskTimeout
from callboard.actors.testing import Crash, Delay, DelayReply, Fault, Kill, Simulation, SimulationFailed, Slow, simulate
from callboard.actors.testing.doubles.strategies import fault_plans
from callboard.providers.errors import (
    ConnectionLost,
    InvalidRequest,
    ProviderError,
    ProviderOverloaded,
    RateLimited,
    StreamCut,
)
from callboard.providers.messages import Completion, Request
from callboard.providers.pool import (
    Budget,
    GetStats,
    Hedge,
    MemoryCache,
    Pool,
    PoolStats,
    Price,
    Quota,
    Requester,
    RetryPolicy,
    Submit,
)
from tests.providers.pool.scripted import Script, endpoint, fails_as, limited, overloaded, request

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "8"))
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CENT = Price(0.0, 2_000.0)  # 5 output tokens a request
PROVIDERS = ("pool/a", "pool/b")
Faults = tuple[Fault, ...]
ENDS = (ProviderError, ActorCrashed, ActorDead, AskTimeout)
"""What a request ends in that is not answered."""


def faults_on(*whom: str, kinds: Any = (Crash, Slow, DelayReply)) -> Any:
    return fault_plans(list(whom), kinds=kinds, size=3)


def failing(numbers: list[int]) -> Any:
    return fails_as(numbers, limited, overloaded, lambda: ConnectionLost("reset"))


failures = st.lists(st.integers(0, 3), max_size=6)  # fewer, with three crashes, than a request has attempts


async def outcome(pool: ActorRef[Any], message: Any, timeout: float = 300.0) -> Any:
    try:
        return await pool.ask(message, timeout=timeout)
    except ENDS as error:
        return error


def texts(script: Script) -> list[str]:
    """What it was asked, in order."""
    return [asked.messages[-1].text for _, asked in script.seen]


def run(scenario: Any, faults: Faults, seeds: int = 4) -> None:
    """Simulate, except where the pool is struck so often that the system stops: that is the core's promise."""
    try:
        simulate(scenario, seeds=seeds, faults=faults, max_steps=100_000)
    except SimulationFailed as failed:
        if "RestartLimit" not in str(failed):
            raise


# -- order -------------------------------------------------------------------------------------------------------------


@drawn
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=8), faults_on("pool/a", kinds=(Slow, DelayReply)))
def test_who_waits_is_served_first_come_first_served_by_priority(priorities: list[int], faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script("a", latency=0.5)
        pool = sim.system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=1))], seed=1))
        first = pool.ask(request("first"), timeout=900.0)
        await asyncio.sleep(0.1)
        asks = [
            pool.ask(Submit(request(str(number)), Requester(priority=priority)), timeout=900.0)
            for number, priority in enumerate(priorities)
        ]
        await asyncio.gather(first, *asks)
        served = sorted(range(len(priorities)), key=lambda number: -priorities[number])
        assert texts(script) == ["first", *map(str, served)]

    simulate(scenario, seeds=4, faults=faults)


# -- limits ------------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.integers(1, 4),
    st.integers(2, 10),
    failures,
    st.lists(st.sampled_from([0.0, 0.5, 20.0]), min_size=10, max_size=10),
    faults_on("pool", *PROVIDERS, kinds=(Crash,)),
)
def test_in_any_minute_no_more_is_sent_than_the_limit_whatever_crashes(
    limit: int, count: int, fails: list[int], pauses: list[float], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        behave = failing(fails)
        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        made = [endpoint(script, limits=Quota(requests_per_minute=limit)) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1))
        asks = []
        for number in range(count):
            asks.append(asyncio.ensure_future(outcome(pool, request(str(number)))))
            await asyncio.sleep(pauses[number])
        await asyncio.gather(*asks)
        for script in scripts:
            for number, time in enumerate(script.times):
                within = [each for each in script.times[number:] if each < time + 60.0 - 1e-6]
                assert len(within) <= limit, f"{script.name} was asked {len(within)} times in a minute: {within}"

    run(scenario, faults)


# -- the breaker -------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.integers(1, 6),
    st.lists(st.sampled_from([0.0, 2.0, 10.0]), max_size=6),
    faults_on("pool", *PROVIDERS, kinds=(Crash, Slow)),
)
def test_no_vendor_is_asked_before_the_time_that_its_429_told(count: int, told: list[float], faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        left = iter(told)
        until: dict[str, float] = {}

        def behave(script: Script, asked: Request) -> Exception | None:
            seconds = next(left, 0.0)
            if not seconds:
                return None
            until[script.name] = max(until.get(script.name, 0.0), sim.now + seconds)
            return RateLimited("429", status=429, retry_after=seconds)

        class Told(list[Any]):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.name = name

            def append(self, item: Any) -> None:
                super().append(item)
                assert item[0] >= until.get(self.name, 0.0) - 1e-6, f"{self.name} was asked at {item[0]}, told {until}"

        scripts = [Script(name, latency=0.5, failure=behave, seen=Told(name)) for name in "ab"]
        # One at a time, so that none is on its way when another one is refused.
        made = [endpoint(script, limits=Quota(concurrency=1)) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1))
        asks = [asyncio.ensure_future(outcome(pool, request(str(number)))) for number in range(count)]
        await asyncio.gather(*asks)

    run(scenario, faults)


# -- retries -----------------------------------------------------------------------------------------------------------


@drawn
@given(st.integers(1, 6), st.integers(1, 4), failures, st.booleans(), faults_on(*PROVIDERS))
def test_no_more_is_sent_for_a_request_than_its_policy_allows_hedges_counted(
    count: int, attempts: int, fails: list[int], hedges: bool, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        behave = failing(fails)
        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        made = [endpoint(script, retry=RetryPolicy(attempts=attempts)) for script in scripts]
        hedge = Hedge(maximum=0.2, budget=1.0) if hedges else None
        pool = sim.system.supervise(Pool.spec(made, seed=1, hedge=hedge))
        await asyncio.gather(*(outcome(pool, request(str(number))) for number in range(count)))
        await asyncio.sleep(30)
        sent = Counter(text for script in scripts for text in texts(script))
        assert all(times <= attempts for times in sent.values()), f"{sent} of {attempts}"

    run(scenario, faults)


@drawn
@given(st.integers(1, 6), st.sets(st.integers(0, 5), min_size=1), st.booleans(), faults_on("pool", *PROVIDERS))
def test_a_request_that_was_itself_refused_is_sent_nowhere_else_and_blames_nobody(
    count: int, wrong: set[int], coalesce: bool, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        refused: Counter[str] = Counter()

        def behave(script: Script, asked: Request) -> Exception | None:
            text = asked.messages[-1].text
            assert not refused[text], f"{text} was refused, and sent again"
            if int(text) in wrong:
                refused[text] += 1
                return InvalidRequest("400", status=400)
            return None

        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        pool = sim.system.supervise(Pool.spec([endpoint(script) for script in scripts], seed=1, coalesce=coalesce))
        found = await asyncio.gather(*(outcome(pool, request(str(number))) for number in range(count)))
        for number, each in enumerate(found):
            assert isinstance(each, (InvalidRequest if number in wrong else Completion) | ActorCrashed), repr(each)

    # Whoever asks and hears late was refused all the same: it is the pool that must not send it again.
    run(scenario, tuple(fault for fault in faults if not (isinstance(fault, Crash) and fault.actor != "pool")))


# -- waiting -----------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.integers(1, 5),
    st.sampled_from([2.0, 20.0]),
    st.sampled_from([0.5, 10.0, 1_000.0]),
    faults_on(*PROVIDERS, kinds=(Crash, Kill)),
)
def test_who_waits_and_cannot_be_served_hears_why_before_the_deadline(
    count: int, timeout: float, down: float, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()

        def behave(script: Script, asked: Request) -> Exception | None:
            return ProviderOverloaded("529", status=529) if sim.now < down else None

        scripts = [Script(name, latency=0.0, failure=behave) for name in "ab"]  # all of their time they wait
        made = [endpoint(script, limits=Quota(concurrency=2)) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1))

        async def one(number: int) -> None:
            began = sim.now
            found = await outcome(pool, request(str(number)), timeout)
            assert sim.now - began <= timeout + 1e-6
            assert isinstance(found, Completion | ProviderError), f"it ended in {found!r}"

        await asyncio.gather(*map(one, range(count)))
        await asyncio.sleep(30)

    run(scenario, faults)


# -- sharing -----------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([None, 0.0, 0.2, 0.45])), max_size=6),
    failures,
    faults_on(*PROVIDERS),
)
def test_equal_requests_at_the_same_time_share_one_call_that_goes_on_while_anybody_waits(
    callers: list[tuple[float, float | None]], fails: list[int], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        behave = failing(fails)
        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        made = [endpoint(script, price=CENT) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1, coalesce=True))
        answered: list[Completion] = []

        async def one(pause: float, patience: float | None) -> None:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(patience):
                    answered.append(await pool.ask(request("same", max_tokens=5), timeout=300.0))
            except TimeoutError:
                assert patience is not None

        await asyncio.gather(*(one(*caller) for caller in callers))
        await asyncio.sleep(30)
        assert len(answered) >= sum(patience is None for _, patience in callers), "somebody who stayed has no answer"
        stats: PoolStats = await pool.ask(GetStats())
        paid = stats.bought["answered"].cost if "answered" in stats.bought else 0.0
        told = sum(answer.cost or 0.0 for answer in answered)
        assert told <= paid + 1e-9, f"callers were told of {told} dollars, and {paid} were paid"
        assert (stats.pool.pending, stats.waiting) == (0, 0)
        assert [script.in_flight for script in scripts] == [0, 0]

    run(scenario, faults)


@drawn
@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), failures, faults_on(*PROVIDERS))
def test_a_request_that_was_answered_is_answered_again_without_being_sent(
    asked: list[int], fails: list[int], faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        behave = failing(fails)
        scripts = [Script(name, latency=0.5, failure=behave) for name in "ab"]
        made = [endpoint(script, price=CENT) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1, cache=MemoryCache()))
        kept: dict[int, Completion] = {}
        for number in asked:
            sent = sum(len(script.seen) for script in scripts)
            found = await outcome(pool, request(str(number), max_tokens=5))
            assert isinstance(found, Completion), repr(found)
            await asyncio.sleep(1)
            if number in kept:
                assert sum(len(script.seen) for script in scripts) == sent, f"{number} was sent again"
                assert found.message == kept[number].message
                assert not found.cost
                assert "cached" in found.notes
            kept.setdefault(number, found)

    run(scenario, faults)


# -- money -------------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.integers(1, 8),
    st.sampled_from([0.02, 0.05, 1.0]),
    failures,
    st.sampled_from([None, 0.2, 0.5]),
    faults_on("pool", *PROVIDERS, kinds=(Crash, Kill, Slow, Delay, DelayReply)),
)
def test_a_budget_holds_and_nothing_that_was_bought_is_forgotten_though_the_pool_crashes(
    count: int, dollars: float, fails: list[int], hedged_after: float | None, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        served = Counter[str]()
        behave = failing(fails)

        def serve(script: Script, asked: Request) -> Exception | None:
            error: Exception | None = behave(script, asked)
            served[script.name] += error is None
            return error

        scripts = [Script(name, latency=0.5, failure=serve) for name in "ab"]
        made = [endpoint(script, price=CENT) for script in scripts]
        hedge = None if hedged_after is None else Hedge(maximum=hedged_after, budget=1.0)
        budgets = [Budget("pool", "", dollars)]
        pool = sim.system.supervise(Pool.spec(made, seed=1, budgets=budgets, hedge=hedge))
        found = await asyncio.gather(*(outcome(pool, request(str(each), max_tokens=5)) for each in range(count)))
        await asyncio.sleep(30)
        spent = served.total() * 0.01
        assert spent <= dollars + 1e-9, f"{spent} of {dollars} dollars were spent"
        stats = await outcome(pool, GetStats())
        if not isinstance(stats, PoolStats):  # it is what is struck
            return
        assert stats.cost >= spent - 1e-9, f"{spent} dollars were spent, {stats.cost} are booked: {stats.bought}"
        assert stats.cost <= dollars + 1e-9, f"{stats.cost} of {dollars} dollars are booked: {stats.bought}"
        assert stats.budgets[0].reserved == 0.0, "something is promised to nobody"
        answers = sum(isinstance(each, Completion) for each in found)
        booked = stats.bought["answered"].calls if "answered" in stats.bought else 0
        assert booked >= answers, f"{answers} were answered, {booked} booked"
        assert booked <= served.total(), f"{served.total()} were served, {booked} booked as answered"

    run(scenario, faults)


# -- streams -----------------------------------------------------------------------------------------------------------


@drawn
@given(
    st.integers(1, 4),
    failures,
    st.sampled_from([None, 0, 1, 2]),
    faults_on(*PROVIDERS, kinds=(Crash, Slow)),
)
def test_a_stream_is_whole_or_ends_in_one_error_and_text_that_was_read_is_never_taken_back(
    count: int, fails: list[int], cut: int | None, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        behave = failing(fails)
        scripts = [Script("a", 0.5, behave, cut_after=cut, pause=0.1), Script("b", 0.5, behave, pause=0.1)]
        pool = sim.system.supervise(Pool.spec([endpoint(script) for script in scripts], seed=1))

        async def read(number: int) -> None:
            heard: list[str] = []
            whole = False
            try:
                async for delta in pool.stream(request(str(number)), timeout=300.0):
                    assert not whole, "something came after the end"
                    assert not (delta.restart and heard), "text that was read was taken back"
                    if delta.text:
                        heard.append(delta.text)
                    whole = delta.completion is not None
            except StreamCut:
                assert heard, "it was cut before anything was read, and not tried elsewhere"
                assert not whole
            else:
                assert whole, "it ended without an answer"
                assert heard == ["0", "1", "2"]

        await asyncio.gather(*map(read, range(count)))
        await asyncio.sleep(30)
        assert [script.in_flight for script in scripts] == [0, 0]

    run(scenario, faults)
