"""Virtual time, the probe, the faulty provider and the workload strategies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, System
from callboard.actors.testing import (
    Crash,
    Deadlock,
    FaultStruckNothing,
    FaultyProvider,
    Probe,
    ProviderFault,
    Simulation,
    UnhandledFailure,
    run_virtual,
    simulate,
    virtual_time,
)
from callboard.actors.testing.doubles.strategies import (
    AgencyPlan,
    MessagePlan,
    Tree,
    agencies,
    fault_plans,
    message_plans,
    play,
    supervision_trees,
)
from callboard.providers.errors import ProviderError, ProviderOverloaded, ProviderTimeout, RateLimited, StreamCut
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall
from tests.core.support import Echo

# -- virtual time ------------------------------------------------------------------------------------------------------


class Ticker(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    def on_start(self) -> None:
        self.schedule_every(60, "tick")

    def on_receive(self, message: Any) -> int:
        if message == "tick":
            self.ticks += 1
        return self.ticks


@virtual_time
async def test_an_hour_of_an_actors_timers_is_tested_at_once() -> None:
    async with System() as system:
        ticker = system.spawn(Ticker)
        await asyncio.sleep(3600.5)
        assert await ticker.ask("ticks") == 60


@pytest.fixture
def number() -> int:
    return 7


@virtual_time
async def test_virtual_time_leaves_fixtures_in_place(number: int) -> None:
    await asyncio.sleep(1000)
    assert number == 7


@settings(max_examples=5)
@given(seconds=st.floats(0.001, 1e6))
@virtual_time
async def test_virtual_time_goes_with_hypothesis(seconds: float) -> None:
    await asyncio.sleep(seconds)
    assert asyncio.get_running_loop().time() == pytest.approx(seconds)


def test_under_virtual_time_a_deadlock_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(main())


def test_under_virtual_time_a_failed_callback_is_an_error() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().call_soon(broken)
        await asyncio.sleep(0)

    with pytest.raises(UnhandledFailure):
        run_virtual(main())


def test_virtual_time_returns_the_result_and_ends_what_was_left_running() -> None:
    log: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            log.append("cancelled")

    async def main() -> int:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        return 42 if not task.done() else 0

    assert run_virtual(main()) == 42
    assert log == ["cancelled"]


# -- the probe ---------------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_probe_returns_what_it_was_sent_in_order() -> None:
    async with System() as system:
        probe = Probe(system, answer=lambda message: message * 2)
        probe.ref.tell(1)
        assert await probe.ref.ask(21) == 42
        assert [await probe.receive(int), await probe.receive(int)] == [1, 21]
        assert probe.received == [1, 21]


@virtual_time
async def test_a_probe_waits_for_a_message_and_says_when_none_came() -> None:
    async with System() as system:
        probe = Probe(system, "listener")
        asyncio.get_running_loop().call_later(2, probe.ref.tell, "late")
        assert await probe.receive(timeout=3) == "late"
        with pytest.raises(AssertionError, match="listener received nothing within 5 s"):
            await probe.receive(timeout=5)


@virtual_time
async def test_a_probe_notices_a_message_of_another_type() -> None:
    async with System() as system:
        probe = Probe(system)
        probe.ref.tell("text")
        with pytest.raises(AssertionError, match="text"):
            await probe.receive(int)


@virtual_time
async def test_a_probe_can_insist_on_silence() -> None:
    async with System() as system:
        probe = Probe(system)
        await probe.silence(10)
        asyncio.get_running_loop().call_later(1, probe.ref.tell, "noise")
        with pytest.raises(AssertionError, match="noise"):
            await probe.silence(10)


# -- the faulty provider -----------------------------------------------------------------------------------------------


class Model(Actor):
    """Answers in two deltas and a completion with one tool call."""

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Request):
            return "described"
        call = ToolCall("1", "add", '{"a": 1, "b": 2}')
        completion = Completion(Message("assistant", "hello", (call,)), "tool_calls")
        from callboard.actors.core.mail.ask import StreamAsk

        return self.deltas(completion) if isinstance(self._cell.current, StreamAsk) else completion

    async def deltas(self, completion: Completion) -> AsyncIterator[Delta]:
        yield Delta(text="hel")
        yield Delta(text="lo")
        yield Delta(completion=completion)


REQUEST = Request((Message("user", "hi"),))


async def provider(system: System, **fault: Any) -> ActorRef[Any]:
    model = system.spawn(Model, name="model")
    faults = [ProviderFault("faulty", 1, **fault)] if fault else []
    return system.spawn(FaultyProvider, model, faults, name="faulty")


async def read(faulty: ActorRef[Any], got: list[Delta]) -> None:
    async for delta in faulty.stream(REQUEST):
        got.append(delta)


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ({"what": "rate_limited", "retry_after": 7.0}, RateLimited, 429),
        ({"what": "overloaded"}, ProviderOverloaded, 500),
        ({"what": "timeout", "seconds": 30.0}, ProviderTimeout, None),
    ],
)
def test_a_provider_fault_refuses_one_request_as_a_vendor_would(
    fault: dict[str, Any], error: type[ProviderError], status: int | None
) -> None:
    async def main() -> None:
        async with System() as system:
            faulty = await provider(system, **fault)
            with pytest.raises(error) as caught:
                await faulty.ask(REQUEST)
            assert caught.value.status == status
            assert caught.value.retry_after == fault.get("retry_after")
            assert asyncio.get_running_loop().time() == fault.get("seconds", 0)
            assert (await faulty.ask(REQUEST)).message.text == "hello"

    run_virtual(main())


@virtual_time
async def test_a_cut_stream_ends_after_so_many_deltas() -> None:
    async with System() as system:
        faulty = await provider(system, what="cut", after=1)
        got: list[Delta] = []
        with pytest.raises(StreamCut):
            await read(faulty, got)
        assert [delta.text for delta in got] == ["hel"]
        await read(faulty, got)
        assert [delta.text for delta in got[1:]] == ["hel", "lo", ""]


@virtual_time
async def test_a_cut_never_lets_the_last_delta_through() -> None:
    async with System() as system:
        faulty = await provider(system, what="cut", after=99)
        got: list[Delta] = []
        with pytest.raises(StreamCut):
            await read(faulty, got)
        assert [delta.completion for delta in got] == [None, None]


@virtual_time
async def test_malformed_arguments_are_cut_json() -> None:
    async with System() as system:
        faulty = await provider(system, what="malformed")
        completion = await faulty.ask(REQUEST)
        with pytest.raises(ValueError, match=r"delimiter|Expecting|Unterminated"):
            completion.message.tool_calls[0].parsed()


@virtual_time
async def test_other_messages_pass_a_faulty_provider() -> None:
    async with System() as system:
        faulty = await provider(system, what="overloaded")
        assert await faulty.ask("describe") == "described"
        with pytest.raises(ProviderOverloaded):
            await faulty.ask(REQUEST)


def test_in_a_simulation_provider_faults_strike_by_path() -> None:
    async def scenario(sim: Simulation) -> None:
        faulty = sim.system.spawn(FaultyProvider, sim.system.spawn(Model, name="model"), name="faulty")
        await faulty.ask(REQUEST)
        with pytest.raises(ProviderOverloaded):
            await faulty.ask(REQUEST)

    run = simulate(scenario, seeds=5, faults=[ProviderFault("faulty", 2)])
    assert [fact.what for fact in run.trace.of("fault")] == ["overloaded"]


def test_of_two_faults_at_one_request_the_first_strikes_and_the_other_says_so() -> None:
    async def scenario(sim: Simulation) -> None:
        faulty = sim.system.spawn(FaultyProvider, sim.system.spawn(Model, name="model"), name="faulty")
        with pytest.raises(ProviderOverloaded):
            await faulty.ask(REQUEST)

    with pytest.raises(FaultStruckNothing, match=r"with another fault: .*faulty, request 1 .*overloaded"):
        simulate(scenario, seeds=1, faults=[ProviderFault("faulty", 1), ProviderFault("faulty", 1, "rate_limited")])


# -- workload strategies -----------------------------------------------------------------------------------------------


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(plan=message_plans(["a", "b"], st.integers(0, 9)))
def test_a_message_plan_is_carried_out_as_drawn(plan: MessagePlan) -> None:
    async def scenario(sim: Simulation) -> None:
        actors = {name: sim.system.spawn(Echo, name=name) for name in "ab"}
        outcomes = await play(plan, actors)
        assert outcomes == [step.message for steps in plan for step in steps if step.how == "ask"]

    run = simulate(scenario, seeds=3)
    assert len(run.trace.of("send", "ask")) == sum(len(steps) for steps in plan)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tree=supervision_trees())
def test_a_supervision_tree_starts_the_workers_it_names(tree: Tree) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.supervise(tree.spec(Echo))
        await sim.idle()
        for path in tree.leaves():
            ref = sim.system.find(path)
            assert ref is not None, path
            assert await ref.ask(path) == path

    simulate(scenario, seeds=3)


@given(plan=agencies())
def test_in_an_agency_every_agent_can_be_reached(plan: AgencyPlan) -> None:
    reached = {plan.agents[0]}
    for _ in plan.agents:
        reached |= {target for source, target in plan.flows if source in reached}
    assert reached == set(plan.agents)
    assert len(set(plan.flows)) == len(plan.flows)


@given(plan=fault_plans(["a"], kinds=[Crash, ProviderFault]))
def test_a_fault_plan_holds_only_the_kinds_asked_for(plan: tuple[Any, ...]) -> None:
    assert all(isinstance(fault, Crash | ProviderFault) and fault.nth for fault in plan)
