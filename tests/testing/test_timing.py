"""Time as a choice: what two bugs of time look like, and that their fixed twins never fail."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, AskTimeout, System
from callboard.actors.testing import (
    FaultRefused,
    FaultStruckNothing,
    Latency,
    Pause,
    ScriptedModel,
    Simulation,
    SimulationFailed,
    Timing,
    TimingRefused,
    TokenRefused,
    Trace,
    simulate,
)
from callboard.providers.messages import Message, Request

ALARMS = int(os.environ.get("CALLBOARD_SCHEDULES", "100"))
"""Schedules in which a fixed twin must not fail; 1,000 for the whole claim."""


# -- a near miss -------------------------------------------------------------------------------------------------------


class Ledger(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.charged: list[str] = []

    def on_receive(self, message: str) -> Any:
        if message == "all":
            return tuple(self.charged)
        self.charged.append(message)
        return "charged"


class Till(Actor):
    """Charges an order once it has gone through its lines, each of which costs the processor something."""

    def __init__(self, ledger: ActorRef[Any], fixed: bool) -> None:
        super().__init__()
        self.ledger = ledger
        self.fixed = fixed
        self.done: set[str] = set()

    async def on_receive(self, order: str) -> Any:
        if self.fixed and order in self.done:
            return "charged"
        for _ in range(10):
            await asyncio.sleep(0)  # a line priced: 10 ms of the processor's, at worst
        self.done.add(order)
        return await self.ledger.ask(order)


def near_miss(fixed: bool) -> Callable[[Simulation], Any]:
    """Who asks gives up after 50 ms and asks again, although the work goes on: it just misses the deadline."""

    async def scenario(sim: Simulation) -> None:
        ledger = sim.system.spawn(Ledger, name="ledger")
        till = sim.system.spawn(Till, ledger, fixed, name="till")
        work: list[asyncio.Task[Any]] = []
        for _ in range(2):
            work.append(asyncio.create_task(_ask(till, "order")))
            done, _ = await asyncio.wait(work, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
        await asyncio.gather(*work)
        assert await ledger.ask("all") == ("order",), "charged twice"

    return scenario


async def _ask(ref: ActorRef[Any], message: Any) -> Any:
    return await ref.ask(message)


# -- a lease counted from the wrong moment -----------------------------------------------------------------------------

LEASE = 10.0


class Leases(Actor):
    """Gives the lease to who asks, if nobody holds it by its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.until = 0.0

    def on_receive(self, owner: str) -> float | None:
        now = time.monotonic()
        if now < self.until:
            return None
        self.until = now + LEASE
        return LEASE


class Worker(Actor):
    """Works as long as it believes it holds the lease: counted from the answer, or, as it should be, from the ask."""

    def __init__(self, leases: ActorRef[Any], work: list[str], fixed: bool) -> None:
        super().__init__()
        self.leases = leases
        self.work = work
        self.fixed = fixed

    async def on_receive(self, message: str) -> None:
        for _ in range(15):
            asked = time.monotonic()
            seconds = await self.leases.ask(self.name)
            if seconds is not None:
                until = (asked if self.fixed else time.monotonic()) + seconds
                while time.monotonic() + 1.0 <= until:
                    self.work.append(self.name)
                    assert len(self.work) == 1, f"two at work: {self.work}"
                    await asyncio.sleep(0.999)
                    self.work.remove(self.name)
            await asyncio.sleep(1.0)


def lease(fixed: bool) -> Callable[[Simulation], Any]:
    async def scenario(sim: Simulation) -> None:
        work: list[str] = []
        leases = sim.system.spawn(Leases, name="leases")
        workers = [sim.system.spawn(Worker, leases, work, fixed, name=name) for name in ("ann", "bob")]
        await asyncio.gather(*(worker.ask("work") for worker in workers))

    return scenario


# -- a pause while the lease is held (Kleppmann, "How to do distributed locking", 2016) --------------------------------


class Epochs(Leases):
    """Numbers the leases that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_receive(self, owner: str) -> Any:
        if super().on_receive(owner) is None:
            return None
        self.epoch += 1
        return self.epoch


class Store(Actor):
    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.last = 0

    def on_receive(self, epoch: int) -> None:
        if self.fixed and epoch < self.last:
            return
        assert epoch >= self.last, "an owner of before has written"
        self.last = epoch


class Writer(Actor):
    """Writes under the lease, which it looked at just before."""

    def __init__(self, leases: ActorRef[Any], store: ActorRef[Any]) -> None:
        super().__init__()
        self.leases = leases
        self.store = store

    async def on_receive(self, message: str) -> None:
        for _ in range(8):
            asked = time.monotonic()
            epoch = await self.leases.ask(self.name)
            while epoch is not None and time.monotonic() < asked + LEASE:
                await asyncio.sleep(0)
                await self.store.ask(epoch)
                await asyncio.sleep(4.0)
            await asyncio.sleep(4.0)


def fenced(fixed: bool) -> Callable[[Simulation], Any]:
    async def scenario(sim: Simulation) -> None:
        leases = sim.system.spawn(Epochs, name="leases")
        store = sim.system.spawn(Store, fixed, name="store")
        writers = [sim.system.spawn(Writer, leases, store, name=name) for name in ("ann", "bob")]
        await asyncio.gather(*(writer.ask("write") for writer in writers))

    return scenario


BUGS: dict[str, tuple[Callable[[bool], Any], dict[str, Any]]] = {
    "a near miss": (near_miss, {"timing": Timing(step=0.01)}),
    "a lease counted from the wrong moment": (lease, {"timing": Timing(replies=Latency(0.1, 2.0))}),
    "a pause while the lease is held": (fenced, {"faults": [Pause("ann", seconds=30)]}),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_of_time_is_found_within_500_schedules_in_each_of_five_searches(name: str) -> None:
    make, options = BUGS[name]
    for repeat in range(5):
        with pytest.raises(SimulationFailed, match=r"charged twice|two at work|owner of before"):
            simulate(make(False), seeds=range(repeat * 1000, repeat * 1000 + 500), **options)


@pytest.mark.parametrize("name", BUGS)
def test_its_fixed_twin_never_fails(name: str) -> None:
    make, options = BUGS[name]
    simulate(make(True), seeds=ALARMS, **options)


@pytest.mark.parametrize("make", [near_miss, lease])
def test_without_time_as_a_choice_such_a_bug_does_not_show(make: Any) -> None:
    simulate(make(False), seeds=100)


# -- what varies, and what does not ------------------------------------------------------------------------------------

EVERYTHING = Timing(
    step=0.01,
    drift=0.1,
    messages=Latency(0.05, 0.5),
    replies=Latency(0.05, 0.5),
    provider=Latency(1.0, 9.0),
    skew=30.0,
)


def failing(main: Callable[[Simulation], Any], **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(main, **options)
    return caught.value


class Echo(Actor):
    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.1)
        return message


async def talking(sim: Simulation) -> None:
    model = sim.system.spawn(ScriptedModel, ["one", "two"], name="model")
    echoes = [sim.system.spawn(Echo, name=f"echo{number}") for number in range(3)]
    await asyncio.gather(*(echo.ask(number) for echo in echoes for number in range(4)))
    await model.ask(Request((Message("user", "hello"),)))
    sim.mark("over", at=sim.now)


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_the_ordinary_schedule_comes_first_and_nothing_varies_in_it(order: Any) -> None:
    plain = simulate(talking, seeds=0, order=order)
    varied = simulate(talking, seeds=0, order=order, timing=EVERYTHING, faults=[Pause("echo1", seconds=1)])
    assert plain.trace.digest() == varied.trace.digest()


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_what_all_runs_keep_holds_when_all_varies(order: Any) -> None:
    """Order per pair, each ask ended once, and the other promises of the runtime are looked at after each run."""
    ends: set[float] = set()

    def end(trace: Trace) -> None:
        ends.add(trace.of("over")[0].at)

    faults = [Pause("echo1", seconds=1)]
    simulate(talking, seeds=40, order=order, timing=EVERYTHING, faults=faults, invariants=[end])
    assert len(ends) > 20


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_the_token_replays_a_run_whose_time_varies(order: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        await talking(sim)
        assert sim.now < 5, "it took long"

    options: dict[str, Any] = {"order": order, "timing": EVERYTHING, "faults": [Pause("echo1", seconds=1)]}
    failed = failing(scenario, seeds=200, **options)
    assert "models take time (provider, seed" in str(failed)
    assert len(failed.run.faults) <= 2, "the rest has no part in it"
    again = failing(scenario, replay=failed.token, **options)
    assert again.run.trace.digest() == failed.run.trace.digest()


def test_a_token_of_a_run_whose_time_varies_is_refused_where_it_does_not() -> None:
    token = failing(near_miss(False), seeds=500, timing=Timing(step=0.01)).token
    for timing in (None, Timing(drift=0.1)):
        with pytest.raises(TokenRefused, match=r"steps take time .*: replay it with a timing=Timing\(step=…\)"):
            simulate(near_miss(False), replay=token, timing=timing)


def test_what_is_no_fault_is_refused() -> None:
    for wrong in (Timing(step=0.01), "crash", Pause, None):
        with pytest.raises(FaultRefused, match="is no fault: they are Crash, Kill"):
            simulate(talking, faults=[wrong])  # type: ignore[list-item]


def test_what_a_failure_does_not_need_does_not_vary_in_its_report() -> None:
    async def scenario(sim: Simulation) -> None:
        await talking(sim)
        raise RuntimeError("the bug")

    failed = failing(scenario, seeds=[3], timing=EVERYTHING)
    assert failed.run.deviations == 0


def test_steps_take_time_while_others_wait() -> None:
    late: list[float] = []

    async def scenario(sim: Simulation) -> None:
        async def busy() -> None:
            for _ in range(50):
                await asyncio.sleep(0)

        work = asyncio.create_task(busy())
        began = sim.now
        await asyncio.sleep(0.1)
        late.append(sim.now - began - 0.1)
        await work

    simulate(scenario, seeds=60, timing=Timing(step=0.05))
    assert late[0] == 0
    assert min(late) >= -1e-9
    assert 0.01 < max(late) <= 60 * 0.05


def test_timers_fire_early_and_late_by_their_part_at_most() -> None:
    took: list[float] = []

    async def scenario(sim: Simulation) -> None:
        began = sim.now
        await asyncio.sleep(10)
        took.append(sim.now - began)

    simulate(scenario, seeds=60, timing=Timing(drift=0.01))
    assert took[0] == 10
    assert 9.9 <= min(took) < 9.95
    assert 10.05 < max(took) <= 10.1


def test_a_deadline_holds_although_timers_fire_early() -> None:
    async def scenario(sim: Simulation) -> None:
        echo = sim.system.spawn(Echo, name="echo")
        with pytest.raises(AskTimeout):
            await echo.ask("late", timeout=0.05)
        assert await echo.ask("in time", timeout=5) == "in time"

    simulate(scenario, seeds=60, timing=Timing(drift=0.2))


class Teller(Actor):
    def __init__(self, target: ActorRef[Any]) -> None:
        super().__init__()
        self.target = target

    def on_receive(self, count: int) -> None:
        for number in range(count):
            self.target.tell((self.name, number))


class Listener(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, int]] = []

    def on_receive(self, message: Any) -> Any:
        if message == "all":
            return tuple(self.heard)
        self.heard.append(message)
        return message


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_messages_of_one_sender_stay_in_order_and_those_of_two_do_not(drift: float) -> None:
    orders: set[Any] = set()

    async def scenario(sim: Simulation) -> None:
        listener = sim.system.spawn(Listener, name="listener")
        for name in ("ann", "bob"):
            sim.system.spawn(Teller, listener, name=name).tell(5)
        await asyncio.sleep(60)
        heard = await listener.ask("all")
        for name in ("ann", "bob"):
            assert [number for who, number in heard if who == name] == [0, 1, 2, 3, 4]
        orders.add(tuple(who for who, _ in heard))

    simulate(scenario, seeds=50, strategy="fifo", timing=Timing(messages=Latency(0.1, 1.0), drift=drift))
    assert len(orders) > 10


def test_replies_of_one_actor_to_one_asker_stay_in_order() -> None:
    async def scenario(sim: Simulation) -> None:
        listener = sim.system.spawn(Listener, name="listener")
        answered: list[int] = []

        async def note(ask: Any, number: int) -> None:
            await ask
            answered.append(number)

        asks = [listener.ask(("client", number)) for number in range(6)]
        await asyncio.gather(*(note(ask, number) for number, ask in enumerate(asks)))
        assert answered == [0, 1, 2, 3, 4, 5]

    simulate(scenario, seeds=50, strategy="fifo", timing=Timing(replies=Latency(0.1, 1.0)))


def test_models_take_their_time_whole_or_as_a_stream() -> None:
    took: list[float] = []

    async def scenario(sim: Simulation) -> None:
        model = sim.system.spawn(ScriptedModel, ["one", "two words"], name="model")
        request = Request((Message("user", "hello"),))
        assert (await model.ask(request)).message.text == "one"
        whole = sim.now
        async with model.stream(request) as deltas:
            assert [delta.text async for delta in deltas if delta.text] == ["two", " words"]
        took.append(min(whole, sim.now - whole))

    simulate(scenario, seeds=20, timing=Timing(provider=Latency(2.0, 8.0)))
    assert took[0] == 0
    assert max(took) > 1


class Clock(Actor):
    def on_receive(self, message: Any) -> Any:
        return time.time(), datetime.now(UTC).timestamp(), time.monotonic()


def test_the_wall_clocks_of_two_systems_are_apart_and_their_steady_ones_are_not() -> None:
    apart: list[float] = []

    async def scenario(sim: Simulation) -> None:
        async with System("other") as other:
            here, there = sim.system.spawn(Clock, name="here"), other.spawn(Clock, name="there")
            (first, _, steady), (second, by_datetime, as_steady) = await here.ask("now"), await there.ask("now")
            assert steady == as_steady
            assert second == pytest.approx(by_datetime, abs=1e-5)
            assert first == 1_735_689_600
            apart.append(second - first)

    simulate(scenario, seeds=40, timing=Timing(skew=30.0))
    assert apart[0] == 0
    assert min(apart) < -5
    assert max(apart) > 5
    assert all(-30 <= seconds <= 30 for seconds in apart)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timing(),
        lambda: Timing(step=-1),
        lambda: Timing(step=float("nan")),
        lambda: Timing(step="1"),  # type: ignore[arg-type]
        lambda: Timing(step=True),
        lambda: Timing(drift=1.0),
        lambda: Timing(skew=float("inf")),
        lambda: Timing(messages=0.1),  # type: ignore[arg-type]
        lambda: Timing(replies=Latency(0.0)),
        lambda: Timing(messages=Latency(1.0, 0.1)),
        lambda: Timing(provider=Latency(-1.0, 2.0)),
        lambda: Timing(provider=Latency("1")),  # type: ignore[arg-type]
        lambda: simulate(talking, timing=0.1),  # type: ignore[arg-type]
    ],
)
def test_a_timing_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(TimingRefused):
        make()


# -- pauses ------------------------------------------------------------------------------------------------------------


class Slicer(Actor):
    """Takes a step each second, in one handler."""

    async def on_receive(self, count: int) -> list[float]:
        times = []
        for _ in range(count):
            times.append(time.monotonic())
            await asyncio.sleep(1)
        return times


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_an_actor_is_suspended_at_any_of_its_steps_while_clocks_and_others_go_on(order: Any) -> None:
    """Before its handler, and after each of the waits in it."""
    late: list[int] = []

    async def scenario(sim: Simulation) -> None:
        paused, other = (sim.system.spawn(Slicer, name=name) for name in ("paused", "other"))
        times, others = await asyncio.gather(paused.ask(4), other.ask(4))
        assert others == [0.0, 1.0, 2.0, 3.0]
        assert times[-1] in (3.0, 7.0, 8.0)
        late.append(sum(seconds < 5 for seconds in times))

    for nth in range(1, 6):
        simulate(scenario, seeds=5, order=order, faults=[Pause("paused", nth, seconds=5)])
    assert late == sorted(late)
    assert set(late) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_task_is_suspended_by_its_name(order: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        async def tick() -> float:
            await asyncio.sleep(1)
            return sim.now

        first, second = (asyncio.create_task(tick(), name=name) for name in ("first", "second"))
        assert (await first, await second) == (1.0, 8.0)

    simulate(scenario, seeds=10, order=order, faults=[Pause("second", 2, seconds=7)])


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_pause_is_over_where_a_timer_is_due_that_differs_by_a_rounding_error(order: Any) -> None:
    """0.1 + 0.2 is a little more than 0.3."""

    async def tenth() -> None:
        await asyncio.sleep(0.1)

    async def scenario() -> None:
        other = asyncio.create_task(asyncio.sleep(0.3), name="other")
        await asyncio.create_task(tenth(), name="paused")
        await other

    simulate(scenario, seeds=5, order=order, faults=[Pause("paused", 2, seconds=0.2)])


def test_a_pause_is_in_the_trace_and_in_the_report() -> None:
    async def scenario(sim: Simulation) -> None:
        assert await sim.system.spawn(Echo, name="echo").ask("x") == "x"
        assert sim.now < 5

    failed = failing(scenario, faults=[Pause("echo", seconds=9)])
    assert "pause echo, step" in str(failed)
    assert [(fact.what, fact.actor, fact.seconds) for fact in failed.run.trace.of("fault")] == [("pause", "echo", 9)]
    assert failing(scenario, faults=[Pause("echo", seconds=9)], replay=failed.token).schedules == 1


def test_a_pause_of_nobody_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(FaultStruckNothing, match=r"there is no actor or task 'ecko0'. Did you mean 'echo0'"):
        simulate(talking, faults=[Pause("ecko0")])
    with pytest.raises(FaultStruckNothing, match="steps there"):
        simulate(talking, faults=[Pause("echo0", 5000)])


def test_a_paused_actor_is_stopped_all_the_same() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Echo, name="echo").tell("x")
        await asyncio.sleep(1)

    simulate(scenario, seeds=20, faults=[Pause("echo", seconds=1000)])


def test_many_actors_and_none_at_all_run_with_time_as_a_choice() -> None:
    async def nothing() -> None:
        pass

    async def many(sim: Simulation) -> None:
        for number in range(4000):
            sim.system.spawn(Listener, name=f"a{number}").tell(number)

    simulate(nothing, seeds=5, timing=EVERYTHING)
    simulate(many, seeds=1, timing=EVERYTHING, max_steps=100_000)
