"""`simulate`: what it reports, replays, refuses and injects."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorCrashed, ActorDead, ActorRef, AskTimeout, ChildSpec, System, Terminated
from callboard.actors.testing import (
    Crash,
    Deadlock,
    Delay,
    Drop,
    Duplicate,
    Fault,
    FaultRefused,
    FaultStruckNothing,
    InjectedCrash,
    InvariantViolated,
    Kill,
    Nondeterministic,
    ProviderFault,
    Simulation,
    SimulationError,
    SimulationFailed,
    Slow,
    StepBudgetSpent,
    TokenRefused,
    Trace,
    UnhandledFailure,
    eventually,
    exactly_once,
    never,
    simulate,
)

from .actors import Collector
from .gallery import Operations, Scenario, check_then_act, stale_cache


class Forwarder(Actor):
    def __init__(self, target: ActorRef[Any]) -> None:
        super().__init__()
        self.target = target

    async def on_receive(self, message: Any) -> Any:
        return await self.target.ask(message)


STALE = ("read", "write", "read", "read")


def failing(operations: Operations = STALE) -> Scenario:
    return stale_cache(operations, False)


def find(scenario: Scenario, **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, **{"seeds": 300, **options})
    return caught.value


# -- the report --------------------------------------------------------------------------------------------------------


def test_the_report_says_what_failed_under_which_schedule_and_how_to_replay_it() -> None:
    text = str(find(failing()))
    assert "the cache says" in text
    assert "hold back read" in text
    assert "store" in text
    assert "simulate(scenario, replay=" in text
    assert "--sim-replay=sim1-" in text


def test_the_cause_is_chained() -> None:
    assert isinstance(find(failing()).__cause__, AssertionError)


def test_a_failure_under_the_ordinary_schedule_has_no_deviations() -> None:
    async def scenario(sim: Simulation) -> None:
        raise RuntimeError("always")

    failed = find(scenario)
    assert failed.run.deviations == 0
    assert failed.schedules == 1


def test_the_schedule_is_made_as_small_as_it_can_be() -> None:
    failed = find(failing())
    for left_out in failed.run.holds:
        fewer = [hold for hold in failed.run.holds if hold is not left_out]
        from callboard.actors.testing.schedules.plan import Plan
        from callboard.actors.testing.search.running.run import execute, reproducible

        with reproducible():
            assert execute(failing(), Plan(fewer)).ok, f"{left_out} was not needed"


def test_under_hypothesis_only_the_example_that_is_reported_is_made_small() -> None:
    reports: list[str] = []

    @settings(database=None, deadline=None, max_examples=100, phases=[Phase.generate, Phase.shrink])
    @given(operations=st.lists(st.sampled_from(["read", "write"]), min_size=4, max_size=6))
    def search(operations: list[str]) -> None:
        try:
            simulate(failing(operations), seeds=30)
        except SimulationFailed as failed:
            reports.append(str(failed))
            raise

    with pytest.raises(SimulationFailed):
        search()
    assert len(reports) > 2
    assert ["made small" in report for report in reports[:2]] == [False, False]
    assert "made small" in reports[-1]


def test_the_trace_can_be_read_by_kind_and_drawn() -> None:
    trace = find(failing()).run.trace
    assert {fact.actor for fact in trace.of("ask")} <= {"store", "cache"}
    diagram = trace.mermaid()
    assert diagram.startswith("sequenceDiagram\n")
    assert "->>" in diagram
    assert "-->>" in diagram


def test_simulate_returns_the_last_run_where_nothing_fails() -> None:
    run = simulate(stale_cache(STALE, True), seeds=3)
    assert run.ok
    assert run.trace.of("ask")


# -- replaying ---------------------------------------------------------------------------------------------------------


def test_the_token_replays_the_same_run() -> None:
    failed = find(failing())
    again = find(failing(), replay=failed.token)
    assert again.run.trace.digest() == failed.run.trace.digest()
    assert again.token == failed.token
    assert again.schedules == 1


def test_a_token_is_refused_where_the_workload_has_changed() -> None:
    token = find(failing()).token
    with pytest.raises(TokenRefused, match="workload"):
        simulate(failing(("write",)), replay=token)


def test_a_token_is_refused_where_the_code_has_changed() -> None:
    token = find(failing()).token
    with pytest.raises(TokenRefused, match="code under test has changed"):
        simulate(stale_cache(STALE, True), replay=token)


def test_a_token_of_another_scenario_is_refused_by_name() -> None:
    token = find(failing()).token
    with pytest.raises(TokenRefused, match="check_then_act"):
        simulate(check_then_act(("a", "b"), True), replay=token)


@pytest.mark.parametrize("text", ["", "hello", "sim1-", "sim1-AAAA", "sim1-%%%%"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused, match="token"):
        simulate(failing(), replay=text)


def test_a_token_that_was_cut_is_refused() -> None:
    token = find(failing()).token
    with pytest.raises(TokenRefused, match="copied whole"):
        simulate(failing(), replay=token[: len(token) // 2])


MADE: list[object] = []


def made() -> object:
    MADE.append(object())  # kept: its address is not used again
    return MADE[-1]


OUTSIDE: dict[str, Callable[[], Any]] = {
    "a global counter": itertools.count().__next__,
    "id() of what is made anew": lambda: id(made()),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_failure_is_reported_although_its_trace_differs_between_runs(name: str) -> None:
    async def scenario(sim: Simulation) -> None:
        counter = sim.system.spawn(Collector, name="counter")
        counter.tell("the same")
        counter.tell(OUTSIDE[name]())
        await asyncio.sleep(1)
        raise RuntimeError("the bug")

    failed = find(scenario)
    assert isinstance(failed.run.error, RuntimeError)
    assert len(failed.run.trace.of("recv")) == 2
    sent = failed.run.trace.of("send")[1]
    assert f"not the same in every run of its schedule. Event {sent.index} was" in str(failed)
    again = find(scenario, replay=failed.token)
    assert isinstance(again.run.error, RuntimeError)
    assert "not the same in every run" in str(again)


def test_a_race_is_found_and_made_small_although_its_trace_differs_between_runs() -> None:
    numbers = itertools.count()

    async def scenario(sim: Simulation) -> None:
        sim.mark("run", number=next(numbers))
        await failing()(sim)

    failed = find(scenario)
    assert "the cache says" in str(failed)
    assert failed.run.deviations == find(failing()).run.deviations
    assert "number" in str(failed).partition("not the same in every run")[2]
    assert isinstance(find(scenario, replay=failed.token).run.error, AssertionError)


def test_a_failure_that_takes_part_of_its_text_from_outside_is_known_again() -> None:
    numbers = itertools.count()

    async def scenario(sim: Simulation) -> None:
        sim.mark("order", id=next(numbers))

    def billed(trace: Trace) -> None:
        raise InvariantViolated(f"order {trace.of('order')[0].id} was not billed: no mark")

    assert "was not billed" in str(find(scenario, invariants=[billed]))


def test_the_token_of_such_a_run_is_refused_where_what_comes_before_has_changed() -> None:
    numbers = itertools.count()

    def make(first: str) -> Scenario:
        async def scenario(sim: Simulation) -> None:
            sim.mark("first", what=first)
            sim.mark("second", what=next(numbers))
            raise RuntimeError("the bug")

        return scenario

    token = find(make("a")).token
    assert find(make("a"), replay=token).schedules == 1
    with pytest.raises(TokenRefused, match="differ after event 0"):
        simulate(make("b"), replay=token)


def test_a_failure_that_does_not_come_again_is_named_as_such_with_its_trace() -> None:
    runs = itertools.count()

    async def scenario(sim: Simulation) -> None:
        sim.mark("paid", order=7)
        if next(runs) == 0:
            raise RuntimeError("only once")

    with pytest.raises(Nondeterministic, match="did not fail") as caught:
        simulate(scenario)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "order=7" in str(caught.value)
    assert "Something outside the simulation decides" in str(caught.value)


# -- time and chance ---------------------------------------------------------------------------------------------------

CHANCE: dict[str, Callable[[], Any]] = {
    "uuid4": uuid.uuid4,
    "secrets": lambda: (secrets.token_hex(), secrets.randbelow(10**9), secrets.choice(range(10**9))),
    "os.urandom": lambda: os.urandom(8),
    "random": random.random,
    "SystemRandom": lambda: random.SystemRandom().random(),
    "time": lambda: (time.time(), time.time_ns()),
    "monotonic": lambda: (time.monotonic(), time.monotonic_ns()),
    "perf_counter": lambda: (time.perf_counter(), time.perf_counter_ns()),
}


@pytest.mark.parametrize("name", CHANCE)
def test_clocks_and_chance_are_the_same_in_every_run(name: str) -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.sleep(3)
        sim.mark("drawn", values=(CHANCE[name](), CHANCE[name]()))
        raise RuntimeError("the bug")

    failed = find(scenario)
    assert "not the same in every run" not in str(failed)
    first, second = failed.run.trace.of("drawn")[0].values
    assert (first == second) is ("time" in name or "monotonic" in name or "perf" in name)


def test_the_clocks_of_a_run_show_virtual_time() -> None:
    async def scenario(sim: Simulation) -> None:
        began = time.time(), time.monotonic(), time.perf_counter(), time.time_ns()
        await asyncio.sleep(3600)
        now = time.time(), time.monotonic(), time.perf_counter(), time.time_ns()
        assert [after - before for before, after in zip(began, now, strict=True)] == [3600, 3600, 3600, 3600 * 10**9]
        assert time.monotonic() == asyncio.get_running_loop().time()

    simulate(scenario, seeds=0)


def test_outside_a_run_and_in_other_threads_clocks_and_chance_are_the_real_ones() -> None:
    names = [(time, "time"), (time, "monotonic"), (os, "urandom"), (random, "_urandom")]
    real = [getattr(module, name) for module, name in names]
    drawn: list[tuple[bytes, float]] = []
    ask, answer = threading.Semaphore(0), threading.Semaphore(0)

    def draw() -> None:
        while ask.acquire() and len(drawn) < 2:
            drawn.append((os.urandom(16), time.time()))
            answer.release()

    thread = threading.Thread(target=draw)
    thread.start()
    before = time.time()

    async def scenario(sim: Simulation) -> None:
        ask.release()
        answer.acquire()

    simulate(scenario, seeds=0)
    simulate(scenario, seeds=0)
    ask.release()
    thread.join()
    assert drawn[0][0] != drawn[1][0]
    assert before <= drawn[0][1] <= drawn[1][1] <= time.time()
    assert [getattr(module, name) for module, name in names] == real


# -- what counts as a failure ------------------------------------------------------------------------------------------


def test_an_ask_that_nobody_will_answer_is_a_deadlock_that_names_who_waits() -> None:
    class Mute(Actor):
        async def on_receive(self, message: Any) -> None:
            await asyncio.get_running_loop().create_future()

    async def scenario(sim: Simulation) -> None:
        mute = sim.system.spawn(Mute, name="mute")
        forwarder = sim.system.spawn(Forwarder, mute, name="forwarder")
        await forwarder.ask("hello")

    failed = find(scenario)
    assert isinstance(failed.run.error, Deadlock)
    assert "forwarder waits for mute" in str(failed.run.error)


def test_a_livelock_spends_the_step_budget() -> None:
    class Pinger(Actor):
        def on_receive(self, message: Any) -> None:
            self.ref.tell(message)

    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Pinger, name="pinger").tell("go")
        await sim.idle()

    assert isinstance(find(scenario, max_steps=500).run.error, StepBudgetSpent)


def test_a_task_left_running_is_a_leak() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.task = asyncio.create_task(asyncio.sleep(100), name="forgotten")  # type: ignore[attr-defined]

    failed = find(scenario)
    assert isinstance(failed.run.error, InvariantViolated)
    assert "forgotten" in str(failed.run.error)


def test_a_timer_left_set_is_a_leak() -> None:
    async def scenario(sim: Simulation) -> None:
        asyncio.get_running_loop().call_later(100, int)

    assert "no leaks" in str(find(scenario).run.error)


def test_an_exception_in_a_callback_is_not_overlooked() -> None:
    def broken() -> None:
        raise ZeroDivisionError("in a callback")

    async def scenario(sim: Simulation) -> None:
        asyncio.get_running_loop().call_soon(broken)
        await asyncio.sleep(1)

    failed = find(scenario)
    assert isinstance(failed.run.error, UnhandledFailure)
    assert "in a callback" in str(failed)


def test_a_message_to_an_actor_that_stopped_is_a_dead_letter_unless_expected() -> None:
    def make(expected: bool) -> Scenario:
        async def scenario(sim: Simulation) -> None:
            if expected:
                sim.expect_dead_letters(lambda letter: letter.message == "late")
            counter = sim.system.spawn(Collector, name="counter")
            stopping = counter.stop()
            counter.tell("late")
            await stopping

        return scenario

    assert "late" in str(find(make(False)).run.error)
    assert simulate(make(True)).ok


def test_a_scenario_without_argument_starts_its_own_systems_and_is_checked_too() -> None:
    async def scenario() -> None:
        async with System("one") as one, System("two") as two:
            first, second = one.spawn(Collector, name="counter"), two.spawn(Collector, name="counter")
            for number in range(3):
                first.tell(number)
                second.tell(number)
            assert await first.ask("seen") == await second.ask("seen") == [0, 1, 2]

    run = simulate(scenario, seeds=30)
    assert len(run.trace.of("send")) == 6


# -- invariants --------------------------------------------------------------------------------------------------------


async def two_clients_ask(sim: Simulation) -> None:
    counter = sim.system.spawn(Collector, name="counter")
    async with asyncio.TaskGroup() as group:
        for client in ("a", "b"):
            group.create_task(_ask(counter, client), name=client)


def test_an_invariant_of_the_scenario_stands_beside_those_of_the_runtime() -> None:
    def a_first(trace: Any) -> None:
        assert trace.of("recv")[0].message == "a", "b came first"

    failed = find(two_clients_ask, invariants=[a_first])
    assert failed.run.deviations == 1
    assert "b came first" in str(failed)


@pytest.mark.parametrize("name", ["KeyError", "Exception", "Failed"])
def test_an_invariant_that_raises_something_else_is_reported_with_trace_and_token(name: str) -> None:
    def trips(trace: Any) -> None:
        if trace.of("recv")[0].message == "b":
            raise {"KeyError": KeyError("b"), "Exception": Exception("b"), "Failed": pytest.fail.Exception("b")}[name]

    failed = find(two_clients_ask, invariants=[trips])
    assert failed.run.deviations == 1
    assert name in str(failed)
    assert "hold back" in str(failed)
    with pytest.raises(SimulationFailed, match=name):
        simulate(two_clients_ask, invariants=[trips], replay=failed.token)


async def _ask(ref: ActorRef[Any], message: Any) -> Any:
    await asyncio.sleep(0)
    return await ref.ask(message)


def marks(*times_and_keys: tuple[float, str]) -> Scenario:
    async def scenario(sim: Simulation) -> None:
        for when, key in times_and_keys:
            await asyncio.sleep(when - sim.now)
            sim.mark("effect", key=key)

    return scenario


def test_never_fails_on_the_event_it_forbids() -> None:
    forbidden = never(lambda fact: fact.kind == "effect" and fact.key == "b", "b")
    assert simulate(marks((1, "a")), invariants=[forbidden]).ok
    assert "never b" in str(find(marks((1, "a"), (2, "b")), invariants=[forbidden]).run.error)


def test_eventually_holds_until_its_time_is_over() -> None:
    def reached(within: float) -> Any:
        return eventually(lambda fact: fact.kind == "effect" and fact.key == "b", within=within)

    assert simulate(marks((1, "a"), (2, "b")), invariants=[reached(2)]).ok
    assert "eventually" in str(find(marks((1, "a"), (2, "b")), invariants=[reached(1.5)]).run.error)


def test_eventually_counts_from_each_event_it_comes_after() -> None:
    follows = eventually(
        lambda fact: fact.kind == "effect" and fact.key == "b",
        after=lambda fact: fact.kind == "effect" and fact.key == "a",
        within=1,
    )
    assert simulate(marks((1, "a"), (2, "b"), (5, "a"), (6, "b")), invariants=[follows]).ok
    assert not_within(marks((1, "a"), (2, "b"), (5, "a")), follows)


def not_within(scenario: Scenario, invariant: Any) -> bool:
    return "not within" in str(find(scenario, invariants=[invariant]).run.error)


def test_exactly_once_fails_on_a_repetition_and_on_an_omission() -> None:
    once = exactly_once("effect", "key", expected=lambda _: ["a", "b"])
    assert simulate(marks((1, "a"), (2, "b")), invariants=[once]).ok
    assert "again" in str(find(marks((1, "a"), (2, "b"), (3, "a")), invariants=[once]).run.error)
    assert "never happened" in str(find(marks((1, "a")), invariants=[once]).run.error)


@pytest.mark.parametrize("how", ["tell", "ask"])
def test_messages_of_several_priorities_are_compared_within_their_priority(how: str) -> None:
    async def scenario(sim: Simulation) -> None:
        counter = sim.system.spawn(Collector, name="counter")
        sends = [("later", 1), ("later too", 1), ("now", 0), ("now too", 0)]
        if how == "tell":
            for message, priority in sends:
                counter.tell(message, priority=priority)
        else:
            await asyncio.gather(*[counter.ask(message, priority=priority) for message, priority in sends])
        assert await counter.ask("seen", priority=2) == ["now", "now too", "later", "later too"]

    run = simulate(scenario, seeds=30)
    assert [fact.priority for fact in run.trace.of("recv")] == [0, 0, 1, 1, 2]
    assert [fact.priority for fact in run.trace.of("send", "ask")] == [1, 1, 0, 0, 2]


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "kept"), [("before", [0, 2]), ("after", [0, 2])])
def test_a_crash_strikes_at_its_message_and_the_supervisor_restarts(when: Any, kept: list[int]) -> None:
    processed: list[int] = []

    class Worker(Actor):
        def on_receive(self, message: int) -> int:
            processed.append(message)
            return message

    async def scenario(sim: Simulation) -> None:
        processed.clear()
        worker = sim.system.supervise(ChildSpec(Worker, name="worker"))
        answered = []
        for number in range(3):
            try:
                answered.append(await worker.ask(number))
            except ActorCrashed:
                continue
        assert answered == kept
        assert processed == (kept if when == "before" else [0, 1, 2])

    simulate(scenario, faults=[Crash("worker", 2, when)])


def test_a_crash_in_the_handler_strikes_where_it_waited() -> None:
    log: list[str] = []

    class Slowly(Actor):
        async def on_receive(self, message: Any) -> None:
            log.append("begun")
            await asyncio.sleep(1)
            log.append("done")

    async def scenario(sim: Simulation) -> None:
        log.clear()
        worker = sim.system.supervise(ChildSpec(Slowly, name="worker"))
        with pytest.raises(ActorCrashed):
            await worker.ask("x")
        assert log == ["begun"]
        await worker.ask("y")
        assert log == ["begun", "begun", "done"]

    simulate(scenario, faults=[Crash("worker", 1, "in")])


def test_a_killed_actor_is_not_restarted() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.supervise(ChildSpec(Collector, name="worker"))
        await worker.ask(1)
        with pytest.raises(ActorDead):
            await worker.ask(2)
        assert not worker.is_alive()

    simulate(scenario, faults=[Kill("worker", 2)])


def test_a_slow_actor_takes_its_message_up_late() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Collector, name="worker")
        with pytest.raises(AskTimeout):
            await worker.ask(1, timeout=2)
        await asyncio.sleep(5)
        assert await worker.ask("seen") == []  # nobody waited any more: it was not processed

    simulate(scenario, faults=[Slow("worker", 1, seconds=5)])


class Starting(Collector):
    """Notes each start."""

    def __init__(self, starts: list[int], seconds: float) -> None:
        super().__init__()
        self.starts = starts
        self.seconds = seconds

    def on_start(self) -> Any:
        self.starts.append(len(self.starts))


class Awaiting(Starting):
    """Waits in its start."""

    async def on_start(self) -> None:
        self.starts.append(len(self.starts))
        await asyncio.sleep(self.seconds)


@pytest.mark.parametrize("fault", [Kill("worker", 1), Slow("worker", 1)])
@pytest.mark.parametrize("kind", [Starting, Awaiting])
def test_the_start_of_an_actor_is_no_message_that_a_fault_may_strike_at(fault: Fault, kind: type[Starting]) -> None:
    async def scenario(sim: Simulation) -> None:
        starts: list[int] = []
        sim.system.spawn(kind, starts, 0, name="worker")
        await asyncio.sleep(20)
        assert starts == [0]

    with pytest.raises(FaultStruckNothing, match="messages taken up there: 0"):
        simulate(scenario, seeds=5, faults=[fault])


class Ending(Collector):
    """Ends itself with its first message."""

    def on_receive(self, message: Any) -> Any:
        self.stop()


@pytest.mark.parametrize("fault", [Kill("worker", 2), Slow("worker", 2)])
@pytest.mark.parametrize("ends", ["by its reference", "by itself", "with the system"])
def test_the_stop_of_an_actor_is_no_message_that_a_fault_may_strike_at(fault: Fault, ends: str) -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Ending if ends == "by itself" else Collector, name="worker")
        worker.tell("x")
        if ends == "by its reference":
            await worker.stop()
        await sim.idle()
        assert worker.is_alive() is (ends == "with the system")
        assert sim.now == 0

    with pytest.raises(FaultStruckNothing, match="messages taken up there: 1"):
        simulate(scenario, seeds=5, faults=[fault])


@pytest.mark.parametrize("sent", ["at once", "when it is up"])
@pytest.mark.parametrize("kind", [Starting, Awaiting])
def test_an_actor_with_a_hook_is_killed_at_its_first_message(kind: type[Starting], sent: str) -> None:
    async def scenario(sim: Simulation) -> None:
        starts: list[int] = []
        worker = sim.system.supervise(ChildSpec(kind, (starts, 0), name="worker"))
        if sent != "at once":
            await sim.idle()
            assert worker.is_alive()
        with pytest.raises(ActorDead):
            await worker.ask("x")
        assert starts == [0]
        assert sim.trace.of("recv") == []

    simulate(scenario, seeds=10, faults=[Kill("worker", 1)])


@pytest.mark.parametrize("sent", ["at once", "when it is up"])
@pytest.mark.parametrize("kind", [Starting, Awaiting])
def test_a_slow_actor_with_a_hook_starts_in_time(kind: type[Starting], sent: str) -> None:
    async def scenario(sim: Simulation) -> None:
        starts: list[int] = []
        worker = sim.system.spawn(kind, starts, 0, name="worker")
        if sent != "at once":
            await sim.idle()
        asked = asyncio.ensure_future(_ask(worker, "x"))
        await sim.idle()
        assert starts == [0]
        assert not asked.done()
        await asked
        assert sim.now == 5

    simulate(scenario, seeds=10, faults=[Slow("worker", 1, seconds=5)])


def test_a_killed_actors_successor_under_its_name_is_spared() -> None:
    async def scenario(sim: Simulation) -> None:
        first = sim.system.spawn(Starting, [], 0, name="worker")
        with pytest.raises(ActorDead):
            await first.ask("x")
        second = sim.system.spawn(Starting, [], 0, name="worker")
        await second.ask("x")
        assert await second.ask("seen") == ["x"]

    simulate(scenario, seeds=5, faults=[Kill("worker", 1)])


@pytest.mark.parametrize("fault", [Kill("worker", 2), Slow("worker", 2)])
def test_a_stop_is_no_message_that_a_fault_may_strike_at(fault: Fault) -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Collector, name="worker")
        await worker.ask("x")
        worker.stop()
        await sim.idle()
        assert not worker.is_alive()

    with pytest.raises(FaultStruckNothing, match="messages taken up there: 1"):
        simulate(scenario, seeds=5, faults=[fault])


def test_an_ask_whose_asker_gave_up_is_no_message_that_a_fault_may_strike_at() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        worker = sim.system.spawn(Awaiting, [], 5, name="worker")
        with pytest.raises(AskTimeout):
            await worker.ask("x", timeout=1)
        await asyncio.sleep(10)
        assert worker.is_alive()

    with pytest.raises(FaultStruckNothing, match="messages taken up there: 0"):
        simulate(scenario, seeds=5, faults=[Kill("worker", 1)])


def test_of_two_faults_at_one_message_both_strike() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Collector, name="worker")
        with pytest.raises(ActorDead):
            await worker.ask("x")
        assert sim.now == 5

    simulate(scenario, seeds=5, faults=[Slow("worker", 1, seconds=5), Kill("worker", 1)])


def test_a_crash_in_the_handler_strikes_no_hook_of_a_later_incarnation() -> None:
    class Worker(Awaiting):
        async def on_receive(self, message: Any) -> Any:
            await asyncio.sleep(1)
            return message

    async def scenario(sim: Simulation) -> None:
        starts: list[int] = []
        worker = sim.system.supervise(ChildSpec(Worker, (starts, 1), name="worker"))
        with pytest.raises(ActorCrashed):
            await worker.ask("x")
        assert await worker.ask("y") == "y"
        assert starts == [0, 1]
        assert len(sim.trace.of("fault")) == 1

    simulate(scenario, seeds=5, faults=[Crash("worker", 1, "in")])


def test_a_crash_in_the_handler_strikes_no_other_handler_no_hook_and_not_twice() -> None:
    class Worker(Actor):
        async def on_receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef):
                self.watch(message)
            elif isinstance(message, Terminated):
                await asyncio.sleep(1)
            else:
                for _ in range(2):
                    with contextlib.suppress(InjectedCrash):
                        await asyncio.sleep(1)

        async def on_stop(self) -> None:
            await asyncio.sleep(1)

    async def watching(sim: Simulation) -> None:
        worker = sim.system.spawn(Worker, name="worker")
        watched = sim.system.spawn(Collector, name="watched")
        await worker.ask(watched)
        watched.stop()
        await asyncio.sleep(5)
        assert worker.is_alive()

    with pytest.raises(FaultStruckNothing, match="the handler never waited"):
        simulate(watching, seeds=5, faults=[Crash("worker", 1, "in")])

    async def stubborn(sim: Simulation) -> None:
        await sim.system.spawn(Worker, name="worker").ask("x")
        assert len(sim.trace.of("fault")) == 1

    simulate(stubborn, seeds=5, faults=[Crash("worker", 1, "in")])


def test_the_systems_of_a_run_that_does_not_end_are_stopped() -> None:
    class Account(Actor):
        async def on_stop(self) -> None:
            await asyncio.sleep(1)
            stopped.append(self.name)

    stopped: list[str] = []

    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Account, name="account")
        await asyncio.Event().wait()

    with pytest.raises(SimulationFailed) as failed:
        simulate(scenario, seeds=0)
    assert isinstance(failed.value.run.error, Deadlock)
    assert set(stopped) == {"account"}


def test_a_delayed_message_does_not_overtake_the_senders_next_one() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.spawn(Collector, name="worker")
        for number in range(4):
            worker.tell(number)
        await asyncio.sleep(3)
        assert await worker.ask("seen") == [0, 1, 2, 3]

    simulate(scenario, faults=[Delay("worker", 2, seconds=1)])


@pytest.mark.parametrize("fault", [Drop("worker", 2), Duplicate("worker", 2)])
def test_between_local_actors_nothing_is_lost_or_repeated(fault: Drop | Duplicate) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Collector, name="worker").tell(1)

    with pytest.raises(FaultRefused, match=r"declare it with sim.remote\(path\)$"):
        simulate(scenario, faults=[fault])


@pytest.mark.parametrize(("fault", "seen"), [(Drop("worker", 2), [0, 2]), (Duplicate("worker", 2), [0, 1, 1, 2])])
def test_across_a_network_a_message_may_be_lost_or_repeated(fault: Drop | Duplicate, seen: list[int]) -> None:
    async def scenario(sim: Simulation) -> None:
        sim.remote("worker")
        worker = sim.system.spawn(Collector, name="worker")
        for number in range(3):
            worker.tell(number)
        assert await worker.ask("seen") == seen

    simulate(scenario, faults=[fault])


def test_a_fault_without_a_number_is_placed_by_the_search_and_shown_in_the_report() -> None:
    async def scenario(sim: Simulation) -> None:
        worker = sim.system.supervise(ChildSpec(Collector, name="worker"))
        for number in range(3):
            await worker.ask(number)

    failed = find(scenario, faults=[Crash("worker")])
    assert [type(fault) for fault in failed.run.faults] == [Crash]
    assert "crash worker, message 1" in str(failed)
    assert find(scenario, faults=[Crash("worker")], replay=failed.token).run.faults == failed.run.faults


@pytest.mark.parametrize(
    "make",
    [
        lambda: Crash(""),
        lambda: Crash("a", 0),
        lambda: Crash("a", 1, "sometime"),  # type: ignore[arg-type]
        lambda: Slow("a", 1, seconds=0),
        lambda: Delay("a", 1, seconds=-1),
        lambda: Delay("a", 1, seconds=float("nan")),
        lambda: Slow("a", 1, seconds="soon"),  # type: ignore[arg-type]
        lambda: Crash(None),  # type: ignore[arg-type]
        lambda: Crash("a", "1"),  # type: ignore[arg-type]
        lambda: Kill("a", 1.5),  # type: ignore[arg-type]
        lambda: Kill("a", True),
        lambda: Crash("a", 1, ["before"]),  # type: ignore[arg-type]
        lambda: ProviderFault("a", 1, "down"),  # type: ignore[arg-type]
        lambda: ProviderFault("a", 1, "rate_limited", retry_after=-1),
        lambda: ProviderFault("a", 1, "timeout", seconds=float("inf")),
        lambda: ProviderFault("a", 1, "cut", after=0.5),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(FaultRefused):
        make()


async def five_messages(sim: Simulation) -> None:
    """Only the third is one whose handler waits."""

    class Worker(Actor):
        async def on_receive(self, message: int) -> int:
            if message == 2:
                await asyncio.sleep(1)
            return message

    worker = sim.system.supervise(ChildSpec(Worker, name="worker"))
    sim.system.supervise(ChildSpec(Collector, name="idle"))
    for number in range(5):
        with contextlib.suppress(ActorCrashed):
            await worker.ask(number)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            Crash("wroker"),
            r"crash wroker, any message .*there is no actor 'wroker'. Did you mean 'worker'\? .*idle \(0\)",
        ),
        (Crash("wroker", 1), r"no actor 'wroker'"),
        (Kill("worker", 6), r"kill worker, message 6: messages taken up there: 5"),
        (Slow("idle"), r"slow idle, any message .*messages taken up there: 0"),
        (Delay("worker", 9), r"delay worker, message 9 .*messages sent there: 5"),
        (Crash("worker", 1, "in"), r"crash worker, message 1 .*the handler never waited"),
        (ProviderFault("worker"), r"there is no faulty provider at all"),
    ],
)
def test_a_fault_that_struck_nothing_is_an_error_that_names_it_and_what_there_was(fault: Fault, says: str) -> None:
    with pytest.raises(FaultStruckNothing, match=says):
        simulate(five_messages, faults=[fault])


def test_all_faults_that_struck_nothing_are_named_and_no_other() -> None:
    with pytest.raises(FaultStruckNothing) as caught:
        simulate(five_messages, faults=[Crash("one"), Crash("worker"), Kill("two", 1)])
    assert "crash one" in str(caught.value)
    assert "kill two" in str(caught.value)
    assert "crash worker" not in str(caught.value)


def test_an_optional_fault_may_strike_nothing() -> None:
    assert simulate(five_messages, faults=[Crash("wroker", optional=True), Kill("worker", 6, optional=True)]).ok


def test_a_failure_goes_before_a_fault_that_struck_nothing() -> None:
    async def scenario(sim: Simulation) -> None:
        raise RuntimeError("the bug")

    assert isinstance(find(scenario, faults=[Crash("nobody")]).run.error, RuntimeError)


@pytest.mark.parametrize("fault", [Crash("worker", when="in"), Slow("worker"), Delay("worker"), Kill("worker")])
def test_a_fault_without_a_number_is_never_left_out_by_chance_alone(fault: Fault) -> None:
    struck = []

    async def scenario(sim: Simulation) -> None:
        with contextlib.suppress(ActorDead):
            await five_messages(sim)
        struck.append(len(sim.trace.of("fault")))

    for seed in range(12):
        struck.clear()
        assert simulate(scenario, seeds=[seed], faults=[fault]).ok
        assert sum(struck) >= 1, f"seed {seed}"


def test_without_seeds_faults_with_a_number_are_judged_and_names_that_there_are_not() -> None:
    assert simulate(five_messages, seeds=0, faults=[Crash("worker"), Crash("nobody", optional=True)]).ok
    for fault in (Crash("worker", 99), Crash("nobody")):
        with pytest.raises(FaultStruckNothing):
            simulate(five_messages, seeds=0, faults=[fault])


def test_of_an_actor_below_others_the_whole_path_is_named() -> None:
    class Parent(Actor):
        def on_start(self) -> None:
            self.spawn(Actor, name="clerk")

    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Parent, name="agency")

    for wrong in ("clerk", "clrek"):
        with pytest.raises(FaultStruckNothing, match=r"Did you mean 'agency/clerk'\?"):
            simulate(scenario, seeds=1, faults=[Crash(wrong)])


async def test_from_an_async_test_it_is_refused_with_what_to_do() -> None:
    with pytest.raises(SimulationError, match="ordinary test"):
        simulate(failing())
