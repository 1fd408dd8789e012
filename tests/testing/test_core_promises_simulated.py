"""Sentences of the core's page, each under random work, schedules and faults.

``CALLBOARD_EXAMPLES=1000`` draws more.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorCrashed, ActorDead, AskTimeout, ChildSpec, Supervision, Terminated
from callboard.actors.core.base.errors import CoreError
from callboard.actors.testing import Crash, Delay, DelayReply, Fault, Kill, Simulation, Slow, simulate
from callboard.actors.testing.doubles.strategies import fault_plans

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "8"))
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LATE = (Slow, Delay, DelayReply)
Faults = tuple[Fault, ...]


def faults_on(*whom: str, kinds: Any = (Crash, *LATE)) -> Any:
    return fault_plans(list(whom), kinds=kinds, size=3)


def crashes(faults: Faults, name: str) -> int:
    return sum(isinstance(fault, Crash | Kill) and fault.actor == name for fault in faults)


async def outcome(ask: Any) -> Any:
    try:
        return await ask
    except CoreError as error:
        return error


class Keeps(Actor):
    """Takes down what it handles, and whether another handler was at work."""

    def __init__(self, seen: list[Any], pause: float = 0.1) -> None:
        super().__init__()
        self.seen, self.pause = seen, pause

    async def on_receive(self, message: Any) -> Any:
        self.seen.append(("begins", message))
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.seen.append(("ends", message))
        return message


@drawn
@given(st.integers(1, 6), st.integers(1, 2), faults_on("a"))
def test_an_actor_processes_one_message_at_a_time_and_its_incarnations_never_overlap(
    count: int, senders: int, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[Any] = []
        ref = sim.system.supervise(ChildSpec(Keeps, (seen,), name="a"))

        async def sends(who: int) -> None:
            for number in range(count):
                ref.tell((who, number))
                await asyncio.sleep(0.03)

        await asyncio.gather(*(sends(who) for who in range(senders)))
        await asyncio.sleep(100)
        assert [kind for kind, _ in seen] == ["begins", "ends"] * (len(seen) // 2)
        assert all(one[1] == other[1] for one, other in zip(seen[::2], seen[1::2], strict=True))

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(1, 8), faults_on("a"))
def test_a_restart_keeps_the_ref_and_the_queue_in_order_and_loses_only_the_message_at_work(
    count: int, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[Any] = []
        ref = sim.system.supervise(ChildSpec(Keeps, (seen,), name="a"))
        for number in range(count):
            ref.tell(number)
        await asyncio.sleep(200)
        begun = [number for kind, number in seen if kind == "begins"]
        assert begun == sorted(set(begun))
        assert len(begun) >= count - crashes(faults, "a")
        assert ref.is_alive()

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.sampled_from([0.05, 0.5, 5.0]), st.integers(1, 5), faults_on("a"))
def test_an_ask_ends_no_later_than_its_deadline(timeout: float, count: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.supervise(ChildSpec(Keeps, ([],), name="a"))

        async def one(number: int) -> None:
            began = sim.now
            found = await outcome(ref.ask(number, timeout=timeout))
            assert sim.now - began <= timeout + 1e-6
            assert found == number or isinstance(found, AskTimeout | ActorCrashed | ActorDead)

        sim.expect_dead_letters()  # of those that were taken up too late
        await asyncio.gather(*map(one, range(count)))
        await asyncio.sleep(100)

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(1, 4), faults_on("a"))
def test_a_message_that_was_told_is_processed_though_the_deadline_it_carries_is_over(
    count: int, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[Any] = []
        ref = sim.system.supervise(ChildSpec(Keeps, (seen, 10.0), name="a"))

        class Passes(Actor):
            def on_receive(self, message: Any) -> None:
                ref.tell(message)

        passes = sim.system.spawn(Passes, name="passes")
        for number in range(count):
            await passes.ask(number, timeout=1.0)
        await asyncio.sleep(500)
        assert len([kind for kind, _ in seen if kind == "begins"]) >= count - crashes(faults, "a")

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.lists(st.sampled_from([0.0, 0.05, 0.5]), min_size=1, max_size=4), faults_on("a", kinds=LATE))
def test_giving_an_ask_up_reaches_the_receiver(waits: list[float], faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[Any] = []
        ref = sim.system.supervise(ChildSpec(Keeps, (seen, 1.0), name="a"))
        sim.expect_dead_letters()
        for number, wait in enumerate(waits):
            ask = ref.ask(number)
            await asyncio.sleep(wait)
            ask.cancel()
            given_up = sim.now
            await asyncio.sleep(0.01)
            begun = [message for kind, message in seen if kind == "begins" and message == number]
            ended = [message for kind, message in seen if kind == "ends" and message == number]
            assert begun == ended, "a handler at work goes on"
            assert sim.now - given_up < 1.0
        await asyncio.sleep(100)
        assert len(seen) <= 2 * len(waits)

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(0, 3), st.integers(0, 3), faults_on("a"))
def test_a_stop_takes_its_turn_in_the_mailbox(before: int, behind: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.supervise(ChildSpec(Keeps, ([],), name="a"))
        sim.expect_dead_letters()
        first = [ref.ask(number) for number in range(before)]
        stopping = asyncio.ensure_future(ref.stop())
        await asyncio.sleep(0)
        last = [ref.ask(number) for number in range(behind)]
        for number, ask in enumerate(first):
            found = await outcome(ask)
            assert found == number or isinstance(found, ActorCrashed), f"{number} was sent before the stop: {found!r}"
        for ask in last:
            assert isinstance(await outcome(ask), ActorDead)
        await stopping
        assert not ref.is_alive()

    simulate(scenario, seeds=4, faults=[fault for fault in faults if not isinstance(fault, Delay)])


class Watches(Actor):
    def __init__(self, whom: list[Any], seen: list[str]) -> None:
        super().__init__()
        self.whom, self.seen = whom, seen

    def on_start(self) -> None:
        for ref in self.whom:
            self.watch(ref)

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Terminated):
            self.seen.append(message.ref.name)


@drawn
@given(st.integers(1, 4), fault_plans(["a", "b"], kinds=(Crash, Kill, Slow), size=3))
def test_terminated_comes_once_for_each_actor_that_has_ended_and_not_for_a_restart(count: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[str] = []
        refs = [sim.system.supervise(ChildSpec(Keeps, ([],), name=name)) for name in "ab"]
        sim.system.spawn(Watches, refs, seen, name="watches")
        sim.expect_dead_letters()
        for number in range(count):
            for ref in refs:
                await outcome(ref.ask(number))
        await asyncio.sleep(100)
        assert sorted(seen) == [ref.name for ref in refs if not ref.is_alive()]
        for ref in refs:
            await ref.stop()
        await asyncio.sleep(1)
        assert sorted(seen) == ["a", "b"]

    simulate(scenario, seeds=4, faults=faults)


class Child(Actor):
    def __init__(self, log: list[str], name: str) -> None:
        super().__init__()
        self.log, self.name = log, name

    def on_start(self) -> None:
        self.log.append(f"+{self.name}")

    def on_stop(self) -> None:
        self.log.append(f"-{self.name}")

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.1)
        return message


def parent(strategy: Any, log: list[str], restart: Any = "permanent") -> type[Actor]:
    class Parent(Actor):
        supervision: ClassVar[Supervision] = Supervision(strategy, intensity=50, period=1.0)

        def on_start(self) -> None:
            self.refs = {name: self.spawn(ChildSpec(Child, (log, name), name=name, restart=restart)) for name in "abc"}

        def on_receive(self, message: Any) -> Any:
            return self.refs[message]

    return Parent


async def work(sim: Simulation, kind: type[Actor], count: int) -> None:
    above = sim.system.spawn(kind, name="p")
    sim.expect_dead_letters()
    for number in range(count):
        for name in "abc":
            await outcome((await above.ask(name)).ask(number))
    await asyncio.sleep(100)


FAMILY = ("p/a", "p/b", "p/c")


@drawn
@given(st.integers(1, 4), faults_on(*FAMILY, kinds=(Crash, Slow)))
def test_one_for_one_restarts_the_child_that_crashed_alone(count: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        log: list[str] = []
        await work(sim, parent("one_for_one", log), count)
        for name in "abc":
            assert 1 <= log.count(f"+{name}") <= 1 + crashes(faults, f"p/{name}")
        assert not [line for line in log if line[0] == "-"]

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(1, 4), faults_on(*FAMILY, kinds=(Crash, Slow)))
def test_rest_for_one_leaves_those_that_were_started_before_alone(count: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        log: list[str] = []
        await work(sim, parent("rest_for_one", log), count)
        most = 1
        for name in "abc":
            most += crashes(faults, f"p/{name}")
            assert 1 <= log.count(f"+{name}") <= most

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(1, 4), st.sampled_from(["permanent", "transient", "temporary"]), faults_on(*FAMILY, kinds=(Crash,)))
def test_temporary_children_are_never_started_again_and_others_after_each_crash(
    count: int, restart: str, faults: Faults
) -> None:
    async def scenario(sim: Simulation) -> None:
        log: list[str] = []
        await work(sim, parent("one_for_one", log, restart), count)
        for name in "abc":
            crashed = len([fact for fact in sim.trace.of("crashed") if fact.actor == f"p/{name}"])
            assert log.count(f"+{name}") == (1 if restart == "temporary" else 1 + crashed)

    simulate(scenario, seeds=4, faults=faults)


@drawn
@given(st.integers(1, 3), faults_on("a", kinds=(Crash, Slow)))
def test_what_is_asked_of_a_dead_actor_ends_at_once(count: int, faults: Faults) -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Keeps, [], name="a")
        sim.expect_dead_letters()
        for number in range(count):
            await outcome(ref.ask(number))
        await ref.stop()
        began = sim.now
        with pytest.raises(ActorDead):
            await ref.ask("late")
        assert sim.now == began

    simulate(scenario, seeds=4, faults=faults)
