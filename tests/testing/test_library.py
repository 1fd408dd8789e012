"""The rest of the library in simulation: the pool, agents, handoffs and approvals, under many schedules and faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent
from callboard.actors import ActorRef, AskTimeout, ChildSpec
from callboard.actors.agents.errors import HandoffError, RunFailed
from callboard.actors.agents.events import CompletionFinished, RunEvent, ToolFinished
from callboard.actors.testing import Crash, FaultyProvider, ProviderFault, Simulation, Slow, simulate
from callboard.actors.testing.doubles.models import FunctionModel, ScriptedModel, call
from callboard.actors.testing.doubles.strategies import AgencyPlan, agencies
from callboard.providers.errors import NoProvider, ProviderOverloaded
from callboard.providers.messages import Completion, Request
from callboard.providers.pool import BreakerPolicy, Hedge, Pool, Quota
from callboard.tools import tool
from tests.agents.support import function
from tests.agents.test_restarts import team
from tests.providers.pool.scripted import Script, endpoint, fails_until, request

drawn = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = 30


# -- the pool ----------------------------------------------------------------------------------------------------------


async def ask_all(pool: ActorRef[Any], count: int, **options: Any) -> list[Any]:
    async def one(number: int) -> Any:
        return await pool.ask(request(str(number)), timeout=600, **options)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number), name=f"caller{number}") for number in range(count)]
    return [task.result() for task in tasks]


@drawn
@given(
    requests=st.integers(1, 12),
    per_minute=st.sampled_from([2, 5]),
    concurrency=st.sampled_from([1, 2]),
    providers=st.integers(1, 2),
)
def test_the_pool_never_admits_more_than_its_limits_and_answers_everyone(
    requests: int, per_minute: int, concurrency: int, providers: int
) -> None:
    async def scenario(sim: Simulation) -> None:
        scripts = [Script(name) for name in "ab"[:providers]]
        limits = Quota(requests_per_minute=per_minute, concurrency=concurrency)
        pool = sim.system.supervise(Pool.spec([endpoint(script, limits=limits) for script in scripts], seed=1))
        answers = await ask_all(pool, requests)
        assert all(isinstance(answer, Completion) for answer in answers)
        assert sum(len(script.seen) for script in scripts) == requests
        for script in scripts:
            assert script.most <= concurrency, f"{script.most} at once"
            for first, later in zip(script.times, script.times[per_minute:], strict=False):
                assert later - first >= 60, f"{per_minute + 1} requests within {later - first} s"

    simulate(scenario, seeds=5)


def test_a_provider_that_crashes_costs_no_answer() -> None:
    async def scenario(sim: Simulation) -> None:
        scripts = [Script("a"), Script("b")]
        pool = sim.system.supervise(Pool.spec([endpoint(script) for script in scripts], seed=1))
        answers = await ask_all(pool, 6)
        assert [answer.message.text.split(": ")[1] for answer in answers] == [str(number) for number in range(6)]

    when: Any
    for when in ("before", "after"):
        simulate(scenario, seeds=SEEDS, faults=[Crash("pool/a", when=when), Crash("pool/b", when=when)])


def test_a_provider_that_is_slow_or_down_costs_latency_not_answers() -> None:
    async def scenario(sim: Simulation) -> None:
        down = Script("a", failure=fails_until(20.0, lambda: ProviderOverloaded("down", provider="a", status=500)))
        well = Script("b", latency=1.0)
        breaker = BreakerPolicy()
        endpoints = [endpoint(script, breaker=breaker, limits=Quota(concurrency=2)) for script in (down, well)]
        pool = sim.system.supervise(Pool.spec(endpoints, seed=1, hedge=Hedge()))
        answers = await ask_all(pool, 10)
        assert len(answers) == 10
        assert down.in_flight == well.in_flight == 0

    simulate(scenario, seeds=SEEDS, faults=[Slow("pool/b", seconds=5.0)])


def test_a_caller_that_gives_up_frees_its_place() -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script("a", latency=10.0)
        pool = sim.system.supervise(Pool.spec([endpoint(script, limits=Quota(concurrency=1))], seed=1))

        async def impatient() -> None:
            with pytest.raises((AskTimeout, NoProvider)):
                await pool.ask(request("impatient"), timeout=5.0)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(impatient(), name=f"impatient{number}")
        await sim.idle()
        assert script.in_flight == 0
        assert (await pool.ask(request("patient"), timeout=60)).message.text == "a: patient"

    simulate(scenario, seeds=SEEDS)


# -- agents ------------------------------------------------------------------------------------------------------------


def run_team(*, transfer: bool) -> tuple[Any, list[RunEvent]]:
    """The scenario of `team`, and what it saw in its last run."""
    seen: list[RunEvent] = []
    log: list[str] = []

    async def scenario() -> None:
        seen.clear()
        log.clear()
        agency = team(log, transfer=transfer)
        async with agency:
            agency.subscribe(seen.append)
            async with asyncio.timeout(600):
                answer = await agency.run("go", conversation="c")
        assert answer.text.endswith("part 0 done; part 1 done; part 2 done"), answer.text
        finished = Counter(event.call_id for event in seen if isinstance(event, ToolFinished))
        assert set(finished.values()) == {1}, f"a finished tool ran again: {finished}"
        steps = Counter((event.run, event.step) for event in seen if isinstance(event, CompletionFinished))
        assert set(steps.values()) == {1}, f"a finished completion was paid twice: {steps}"

    return scenario, seen


@pytest.mark.parametrize("transfer", [False, True], ids=["delegate", "transfer"])
@pytest.mark.parametrize("whom", ["agency/Planner", "agency/Developer", "agency/Planner/c", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_whoever_crashes_at_whichever_message_the_answer_arrives_and_nothing_is_done_twice(
    whom: str, transfer: bool, when: Any
) -> None:
    scenario, _ = run_team(transfer=transfer)
    simulate(scenario, seeds=SEEDS, faults=[Crash(whom, when=when)])


def test_runs_of_one_conversation_do_not_interleave_and_others_go_on() -> None:
    async def scenario() -> None:
        active: Counter[str] = Counter()

        async def model(request: Request) -> str:
            text = request.messages[-1].text
            conversation = text.partition(" ")[0]
            active[conversation] += 1
            assert active[conversation] == 1, f"two runs of {conversation} at once"
            await asyncio.sleep(0.1)
            active[conversation] -= 1
            return f"re {text}"

        agency = Agency(Agent("Solo", "You work alone."), model=function(model))
        async with agency:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    f"{conversation} {number}": group.create_task(
                        agency.run(f"{conversation} {number}", conversation=conversation),
                        name=f"{conversation}{number}",
                    )
                    for number in range(3)
                    for conversation in "xy"
                }
            assert [task.result().text for task in tasks.values()] == [f"re {text}" for text in tasks]

    simulate(scenario, seeds=SEEDS)


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("whom", ["agency/Solo", "agency/Solo/c", "model"])
def test_a_call_that_waits_for_approval_survives_a_crash_and_runs_once_if_approved(whom: str, approved: bool) -> None:
    ran: list[str] = []

    @tool(risk="risky")
    async def send(text: str) -> str:
        """Send a text."""
        ran.append(text)
        return "sent"

    def model(request: Request) -> Any:
        results = [message for message in request.messages if message.role == "tool"]
        return f"over: {results[0].text}" if results else call("send", "s1", text="hello")

    async def scenario() -> None:
        ran.clear()
        agency = Agency(Agent("Solo", "You work alone.", tools=[send], autonomy="supervised"), model=function(model))

        async def decide() -> None:
            # A decision that was on its way to an actor that crashed has to be made again.
            for _ in range(3):
                await asyncio.sleep(60)
                for waiting in agency.approvals:
                    agency.approve(waiting) if approved else agency.deny(waiting, "not now")

        async with agency, asyncio.TaskGroup() as group:
            run = group.create_task(agency.run("go", conversation="c"), name="run")
            group.create_task(decide(), name="person")
        assert run.result().text.startswith("over: ")
        assert ran == (["hello"] if approved else [])

    simulate(scenario, seeds=SEEDS, faults=[Crash(whom, when="before"), Slow(whom, seconds=0.5)])


@drawn
@given(plan=agencies())
def test_handoffs_through_any_agency_end_in_an_answer_or_a_named_error(plan: AgencyPlan) -> None:
    following = {name: [target for source, target in plan.flows if source == name] for name in plan.agents}

    async def scenario() -> None:
        def model(request: Request) -> Any:
            name = request.messages[0].text
            results = [message for message in request.messages if message.role == "tool"]
            if len(results) < len(following[name]):
                target = following[name][len(results)]
                return call("SendMessage", f"h{len(results)}", target_agent=target, message=f"from {name}")
            return f"{name} has {len(results)}"

        agency = Agency(*(Agent(name, name) for name in plan.agents), flows=plan.flows, model=function(model))
        async with agency:
            async with asyncio.timeout(600):
                answer = await agency.run("go")
        entry = plan.agents[0]
        assert answer.text == f"{entry} has {len(following[entry])}"

    try:
        simulate(scenario, seeds=3)
    except AssertionError as failed:
        if not isinstance(failed.__cause__, HandoffError):
            raise


def test_an_agent_behind_a_provider_that_fails_is_answered_through_the_pool() -> None:
    async def scenario(sim: Simulation) -> None:
        pool = sim.system.supervise(Pool.spec([endpoint(Script("a")), endpoint(Script("b"))], seed=1))
        agency = Agency(Agent("Solo", "You work alone."), model=pool, system=sim.system)
        async with agency:
            assert (await agency.run("hi")).text.endswith(": hi")

    simulate(scenario, seeds=SEEDS, faults=[Crash("pool/a"), Crash("pool/b")])


def test_a_rate_limited_model_fails_a_run_by_name_and_the_next_run_goes_on() -> None:
    async def scenario(sim: Simulation) -> None:
        model = sim.system.spawn(FunctionModel, lambda request: "fine", name="inner")
        faulty = sim.system.spawn(FaultyProvider, model, name="faulty")
        agency = Agency(Agent("Solo", "You work alone."), model=faulty, system=sim.system)
        async with agency:
            with pytest.raises(RunFailed):
                await agency.run("one")
            assert (await agency.run("two")).text == "fine"

    simulate(scenario, seeds=SEEDS, faults=[ProviderFault("faulty", 1, "rate_limited")])


def forgets(request: Request) -> Any:
    str(request)


async def forgets_later(request: Request) -> Any:
    str(request)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (forgets, "the model's function forgets returned None: expected a text"),
        (forgets_later, "the model's function forgets_later returned None: expected a text"),
        (
            lambda request: 5,
            "returned 5: expected a text, a call(…) or several, a Completion, or an exception to raise",
        ),
        (lambda request: ["fine"], "returned ['fine']: expected a text"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_models_function_that_returns_no_answer_is_named(function: Any, wrong: str, stream: bool) -> None:
    async with Agency(Agent("A"), model=ChildSpec(FunctionModel, (function,))) as agency:
        handle = await agency.start_run("?", stream=stream)
        with pytest.raises(RunFailed) as caught:
            await handle
    assert wrong in str(caught.value)
    assert ("does it `return` in every case?" in str(caught.value)) is ("None" in wrong)


async def test_so_is_what_a_script_has_that_is_none() -> None:
    with pytest.raises(TypeError, match="replies has None in it"):
        ScriptedModel([None])  # type: ignore[list-item]
    async with Agency(Agent("A"), model=ChildSpec(ScriptedModel, ([[1]],))) as agency:
        with pytest.raises(RunFailed, match=r"a script has \[1\]: expected a text"):
            await agency.run("?")
