"""A healthy child that its parent starts again: the mailbox is kept, and it is no failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    Backoff,
    ChildSpec,
    SpecError,
    Supervisor,
    System,
    SystemClosed,
    Terminated,
)
from callboard.actors.testing import Crash, Fault, Kill, Simulation, Slow, simulate, virtual_time

from .support import Echo, Events, Hold, Log, on_each_loop

STRATEGIES: list[Any] = ["one_for_one", "one_for_all", "rest_for_one"]


class Child(Actor):
    """Notes its incarnation's beginning and end, and what it has seen."""

    def __init__(self, log: Log, start: float = 0.0) -> None:
        super().__init__()
        self.log = log
        self.start_takes = start
        self.seen: list[Any] = []
        self.spawn(Echo, name="below")
        self.log("built", self.name)

    async def on_start(self) -> None:
        await asyncio.sleep(self.start_takes)
        self.log("started", self.name)

    def on_stop(self) -> None:
        self.log("stopped", self.name, list(self.seen))

    def on_failure(self, *_: Any) -> None:
        self.log("failed", self.name)

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Hold):
            message.begun.set()
            try:
                await message.go.wait()
            except asyncio.CancelledError:
                self.log("cancelled", self.name)
                raise
            message = message.name
        if isinstance(message, BaseException):
            raise message
        self.seen.append(message)
        self.log("saw", message)
        return message


class Parent(Supervisor):
    """Has children, and calls what it is sent."""

    def on_receive(self, message: Any) -> Any:
        return message(self) if callable(message) else super().on_receive(message)


async def family(
    system: System, *specs: ChildSpec[Any], strategy: Any = "one_for_one", intensity: int = 3
) -> tuple[ActorRef[Any], list[ActorRef[Any]]]:
    top = system.supervise(
        ChildSpec(Parent, (specs,), {"strategy": strategy, "intensity": intensity}, name="top", shutdown=30.0)
    )
    await top.started()
    refs = [system.find(f"top/{spec.name}") for spec in specs]
    assert None not in refs
    return top, [ref for ref in refs if ref is not None]


def spec(log: Log, name: str = "child", start: float = 0.0, **options: Any) -> ChildSpec[Any]:
    return ChildSpec(Child, (log, start), name=name, **options)


def restarts(system: System) -> list[int]:
    return [node.restarts for node in system.tree()[0].children]


# -- what it does ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by name", "by ref", "through a proxy", "called", "in a handler", "its ref"])
@on_each_loop
async def test_a_child_is_started_again_in_its_place(how: str) -> None:
    log = Log()
    async with System() as system:
        events = Events(system)
        top, (child,) = await family(system, spec(log))
        urn = child.actor_urn
        assert await child.ask(1) == 1
        match how:
            case "by name":
                await top.call(Parent.restart_child, "child")
            case "by ref":
                await top.call(Parent.restart_child, child)
            case "through a proxy":
                await top.proxy().restart_child("child")
            case "called":
                await top.call(Supervisor.restart_child, "child")
            case "in a handler":
                assert await top.ask(lambda parent: parent.restart_child(child)) is None
            case "its ref":
                child.restart()
        assert await child.ask(2) == 2
        assert system.find("top/child") is child
        assert child.actor_urn == urn
        assert child.has_started()
        assert log.lines == [
            ("built", "child"),
            ("started", "child"),
            ("saw", 1),
            ("stopped", "child", [1]),
            ("built", "child"),
            ("started", "child"),
            ("saw", 2),
        ]
        assert restarts(system) == [1]
        assert events.count("restarted", "top/child") == 1
        assert events.of("crashed", "escalated") == []


@on_each_loop
async def test_the_handler_at_work_is_finished_first_and_the_mailbox_is_kept_in_order() -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        top, (child,) = await family(system, spec(log))
        held = child.ask(hold)
        await hold.begun.wait()
        child.tell(1)
        ask = child.ask(2)
        await top.call(Parent.restart_child, "child")
        child.tell(3)
        assert child.is_alive(), "it takes messages meanwhile"
        assert log.lines == [("built", "child"), ("started", "child")]
        hold.go.set()
        assert await held == "hold"
        assert await ask == 2
        assert await child.ask(4) == 4
        assert log.lines[2:] == [
            ("saw", "hold"),
            ("stopped", "child", ["hold"]),
            ("built", "child"),
            ("started", "child"),
            ("saw", 1),
            ("saw", 2),
            ("saw", 3),
            ("saw", 4),
        ]
        assert system.dead_letters.count == 0


@virtual_time
async def test_a_handler_that_does_not_end_in_its_shutdown_time_is_cancelled() -> None:
    log = Log()
    async with System() as system:
        top, (child,) = await family(system, spec(log, shutdown=3.0))
        hold = Hold()
        held = child.ask(hold)
        await hold.begun.wait()
        await top.call(Parent.restart_child, "child")
        with pytest.raises(ActorDead, match="stopped before it answered"):
            await held
        assert asyncio.get_running_loop().time() == 3.0
        assert await child.ask(1) == 1
        assert ("cancelled", "child") in log.lines
        assert restarts(system) == [1]


@virtual_time
async def test_what_belongs_to_the_incarnation_ends_with_it() -> None:
    log = Log()

    class Busy(Actor):
        def __init__(self, first: list[bool]) -> None:
            super().__init__()
            if not first:
                first.append(True)
                self.schedule(5.0, "timer")
                self.pipe(asyncio.sleep(5.0, "job"))
                self.watch(watched)

        def on_receive(self, message: Any) -> Any:
            if message == "fetch":
                return self.reply_with(asyncio.sleep(5.0, "fetched"))
            log(message)
            return message

    async with System() as system:
        watched = system.spawn(Echo)
        top, (child,) = await family(system, ChildSpec(Busy, ([],), name="child"))
        fetched = child.ask("fetch")
        await child.ask("sync")
        await top.call(Parent.restart_child, "child")
        with pytest.raises(ActorDead):
            await fetched
        await watched.stop()
        await asyncio.sleep(20)
        assert log.lines == ["sync"]
        assert system.dead_letters.count == 0


@on_each_loop
async def test_those_who_watch_the_child_are_told_nothing() -> None:
    log = Log()

    class Watcher(Actor):
        def on_receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef):
                self.watch(message)
            elif isinstance(message, Terminated):
                log("terminated")
            return None

    async with System() as system:
        top, (child,) = await family(system, ChildSpec(Echo, name="child"))
        watcher = system.spawn(Watcher)
        await watcher.ask(child)
        await top.call(Parent.restart_child, "child")
        await child.ask(1)
        await watcher.ask("sync")
        assert log.lines == []


@virtual_time
async def test_it_does_not_count_as_a_failure_and_waits_for_no_backoff() -> None:
    log = Log()
    async with System() as system:
        top, (child,) = await family(system, spec(log, backoff=Backoff(initial=10.0, jitter=0.0)), intensity=1)
        for number in range(20):
            await top.call(Parent.restart_child, child)
            assert await child.ask(number) == number
        assert asyncio.get_running_loop().time() == 0.0
        assert restarts(system) == [20]
        child.tell(RuntimeError("the one failure that is allowed"))
        assert await child.ask("up again") == "up again"
        assert asyncio.get_running_loop().time() == 10.0, "the first wait"
        assert log.of("failed") == ["child"]
        await top.call(Parent.restart_child, child)
        assert await child.ask("and again") == "and again"
        assert top.is_alive()


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@on_each_loop
async def test_it_works_for_every_restart_type(restart: Any) -> None:
    async with System() as system:
        top, (child,) = await family(system, spec(Log(), restart=restart))
        await top.call(Parent.restart_child, "child")
        assert await child.ask(1) == 1
        assert restarts(system) == [1]


@virtual_time
async def test_a_child_that_is_still_starting_is_started_again_when_it_has_started() -> None:
    log = Log()
    async with System() as system:
        top = system.supervise(ChildSpec(Parent, name="top"))
        await top.ask(spec(log, start=2.0))
        await asyncio.sleep(1)
        await top.call(Parent.restart_child, "child")
        child = system.find("top/child")
        assert child is not None
        assert await child.ask(1) == 1
        assert asyncio.get_running_loop().time() == 4.0
        assert [line[0] for line in log.lines] == ["built", "started", "stopped", "built", "started", "saw"]


@virtual_time
async def test_a_failure_in_an_on_start_that_was_to_be_repeated_anyway_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails(Echo):
        async def on_start(self) -> None:
            await asyncio.sleep(1)
            if not caplog.records:
                raise ValueError("the first time")

    async with System() as system:
        top = system.supervise(ChildSpec(Parent, name="top"))
        child = await top.ask(ChildSpec(Fails, name="child"))
        await asyncio.sleep(0.5)
        await top.call(Parent.restart_child, "child")
        assert await child.ask(1) == 1
        assert restarts(system) == [1]
    assert ["the first time" in str(record.exc_info) for record in caplog.records] == [True]


# -- together with failures and stops ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@on_each_loop
async def test_its_siblings_are_left_alone_whatever_the_strategy(strategy: Any) -> None:
    log = Log()
    async with System() as system:
        top, refs = await family(system, *(spec(log, name) for name in "abc"), strategy=strategy)
        await top.call(Parent.restart_child, "b")
        assert [await ref.ask(1) for ref in refs] == [1, 1, 1]
        assert restarts(system) == [0, 1, 0]
        assert log.of("stopped") == [("b", [])]


@pytest.mark.parametrize("restarted", ["b", "c"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@on_each_loop
async def test_a_sibling_that_fails_meanwhile_takes_it_into_the_groups_order(strategy: Any, restarted: str) -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        top, refs = await family(system, *(spec(log, name) for name in "abc"), strategy=strategy)
        ref = refs["abc".index(restarted)]
        ref.tell(hold)
        await hold.begun.wait()
        await top.call(Parent.restart_child, ref)
        refs[0].tell(RuntimeError("boom"))
        failing = Events(system)
        if strategy == "one_for_one":
            await failing.until("restarted", "top/a")
        else:
            await failing.until("crashed", "top/a")
        hold.go.set()
        assert [await ref.ask(1) for ref in refs] == [1, 1, 1]
        built = log.of("built")[3:]
        if strategy == "one_for_one":
            assert built == ["a", restarted]
        else:
            assert built == ["a", "b", "c"], "each once, in order"
        assert log.of("saw").count("hold") == 1


@pytest.mark.parametrize("restarted", ["a", "b", "c"])
@pytest.mark.parametrize("moment", [0.5, 1.5, 2.5, 3.5])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@virtual_time
async def test_a_child_may_be_started_again_while_its_group_is(strategy: Any, moment: float, restarted: str) -> None:
    log = Log()
    async with System() as system:
        top, refs = await family(system, *(spec(log, name, start=1.0) for name in "abc"), strategy=strategy)
        refs[0].tell(RuntimeError("boom"))
        await asyncio.sleep(moment)
        await top.call(Parent.restart_child, restarted)
        assert [await ref.ask(1) for ref in refs] == [1, 1, 1]
        order = {"a": 0.0, "b": 1.0, "c": 2.0}
        again = moment > order[restarted]  # else it waits for its turn, and is being started again already
        assert restarts(system) == [1 + (again and name == restarted) for name in "abc"]
        assert list(dict.fromkeys(log.of("started")[3:])) == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["stop", "kill and stop", "parent", "system"])
@on_each_loop
async def test_a_stop_meanwhile_wins(end: str) -> None:
    log, hold = Log(), Hold()
    system = System()
    async with system:
        top, (child,) = await family(system, spec(log))
        child.tell(hold)
        await hold.begun.wait()
        await top.call(Parent.restart_child, "child")
        if end == "stop":
            stopping: Any = child.stop()
        elif end == "kill and stop":
            child.kill()
            stopping = child.stop()
        elif end == "parent":
            stopping = top.stop()
        else:
            stopping = asyncio.create_task(system.stop())
            await asyncio.sleep(0)
        hold.go.set()
        await stopping
        await child.terminated()
        assert log.of("built") == ["child"], "it is not started again"


@on_each_loop
async def test_a_stop_between_the_two_incarnations_wins() -> None:
    log = Log()
    async with System() as system:
        top, (child,) = await family(system, spec(log))

        def both(parent: Parent) -> None:
            parent.restart_child(child)
            stops.append(child.stop())

        stops: list[Any] = []
        await top.ask(both)
        assert await stops[0] is True
        await child.terminated()
        assert log.of("built") == ["child"]


@on_each_loop
async def test_asked_for_twice_it_happens_once() -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        top, (child,) = await family(system, spec(log))
        child.tell(hold)
        await hold.begun.wait()

        def twice(parent: Parent) -> None:
            parent.restart_child(child)
            parent.restart_child("child")

        await top.ask(twice)
        hold.go.set()
        await child.ask(1)
        await top.ask(lambda parent: twice(parent))
        await child.ask(1)
        assert restarts(system) == [2]


@virtual_time
async def test_a_child_that_waits_for_its_restart_after_a_crash_goes_on_waiting() -> None:
    log = Log()
    async with System() as system:
        top, (child,) = await family(system, spec(log, backoff=Backoff(initial=10.0, jitter=0.0)))
        child.tell(RuntimeError("boom"))
        await asyncio.sleep(1)
        await top.call(Parent.restart_child, "child")
        assert await child.ask(1) == 1
        assert asyncio.get_running_loop().time() == 10.0
        assert restarts(system) == [1]


@pytest.mark.parametrize("where", ["__init__", "on_start"])
@on_each_loop
async def test_a_failure_to_start_again_counts_as_one(where: str) -> None:
    fails: list[bool] = []

    class Fails(Actor):
        def __init__(self) -> None:
            super().__init__()
            if where == "__init__":
                self.fail()

        def on_start(self) -> None:
            if where == "on_start":
                self.fail()

        def fail(self) -> None:
            if fails and fails.pop():
                raise ValueError("not yet")

        def on_receive(self, message: Any) -> Any:
            return message

    async with System() as system:
        events = Events(system)
        top, (child,) = await family(system, ChildSpec(Fails, name="child"), intensity=2)
        fails.extend([True, True])
        await top.call(Parent.restart_child, "child")
        assert await child.ask(1) == 1, "the supervisor has tried twice more"
        assert events.count("crashed", "top/child") == 2
        fails.extend([True] * 9)
        await top.call(Parent.restart_child, "child")
        await events.until("escalated", "top")
        fails.clear()
        await events.until("restarted", "top")


# -- what is refused ---------------------------------------------------------------------------------------------------


@on_each_loop
async def test_what_is_no_child_is_refused_by_name() -> None:
    other = pykka.ThreadingActor.start()
    try:
        async with System() as system:
            top, (child, gone) = await family(system, spec(Log()), spec(Log(), "gone"))
            await gone.stop()
            stranger = system.supervise(ChildSpec(Echo, name="stranger"))
            below = system.find("top/child/below")
            wrong: list[Any] = ["nobody", "", "top/child", "below", "gone", gone, stranger, below, top, other]
            for value in [*wrong, None, 5, 1.5, b"child", ["child"], Child, Echo(), object()]:
                with pytest.raises(SpecError, match="top has no child"):
                    await top.call(Parent.restart_child, value)
            assert await child.ask(1) == 1
            assert restarts(system) == [0]
    finally:
        other.stop()


@on_each_loop
async def test_a_child_started_without_a_child_spec_is_refused() -> None:
    async with System() as system:
        top = system.spawn(Parent, name="top")
        plain = await top.ask(lambda parent: parent.spawn(Echo, name="plain"))
        unnamed = await top.ask(lambda parent: parent.spawn(Echo))
        for value in ("plain", plain, unnamed):
            with pytest.raises(SpecError, match=r"Echo top/.* was not started from a ChildSpec"):
                await top.call(Parent.restart_child, value)
        assert await plain.ask(1) == 1


@on_each_loop
async def test_an_actor_without_children_has_none_to_start_again() -> None:
    class Lonely(Actor):
        def on_receive(self, message: Any) -> Any:
            self.restart_child(message)

    async with System() as system:
        with pytest.raises(SpecError, match="Lonely-1 has no child 'child'"):
            await system.spawn(Lonely).ask("child")


# -- at the top level --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["name", "ref"])
@on_each_loop
async def test_a_system_starts_a_healthy_actor_of_its_top_level_again(by: str) -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        child = system.supervise(spec(log))
        held = child.ask(hold)
        await hold.begun.wait()
        child.tell(1)
        system.restart_child("child" if by == "name" else child)
        hold.go.set()
        assert await held == "hold"
        assert await child.ask(2) == 2
        assert [line[0] for line in log.lines] == [
            "built",
            "started",
            "saw",
            "stopped",
            "built",
            "started",
            "saw",
            "saw",
        ]
        assert system.tree()[0].restarts == 1
        assert system.dead_letters.count == 0


def test_a_system_is_asked_from_another_thread() -> None:
    log = Log()
    with System.in_thread() as system:
        child = system.supervise(spec(log))
        assert child.ask(1).get(timeout=5) == 1
        system.restart_child(child)
        assert child.ask(2).get(timeout=5) == 2
        with pytest.raises(SpecError, match="has no child 'nobody'"):
            system.restart_child("nobody")
    assert log.of("built") == ["child"] * 2


@on_each_loop
async def test_what_is_no_actor_of_the_top_level_is_refused_and_so_is_a_system_that_does_not_run() -> None:
    system = System("mine")
    with pytest.raises(SystemClosed):
        system.restart_child("child")
    async with system:
        top, (child,) = await family(system, spec(Log()))
        gone = system.supervise(ChildSpec(Echo, name="gone"))
        await gone.stop()
        wrong: list[Any] = ["nobody", "", "child", "top/child", "gone", child, gone, None, 5, Child]
        for value in wrong:
            with pytest.raises(SpecError, match="mine has no child"):
                system.restart_child(value)
        plain = system.spawn(Echo, name="plain")
        for value in ("plain", plain):
            with pytest.raises(SpecError, match="Echo plain was not started from a ChildSpec"):
                system.restart_child(value)
        assert top.is_alive()
    with pytest.raises(SystemClosed):
        system.restart_child(top)


# -- under any schedule, with faults -----------------------------------------------------------------------------------

drawn = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
STEPS = st.lists(
    st.tuples(st.sampled_from(["tell", "tell", "ask", "again", "again", "fail", "wait"]), st.sampled_from("abc")),
    max_size=12,
)


PATHS, NTHS = st.sampled_from(["top/a", "top/b", "top/c"]), st.integers(1, 6)
FAULTS: st.SearchStrategy[list[Fault]] = st.lists(
    st.one_of(
        st.builds(Crash, PATHS, NTHS, st.sampled_from(["before", "after"]), optional=st.just(True)),
        st.builds(Kill, PATHS, NTHS, optional=st.just(True)),
        st.builds(Slow, PATHS, NTHS, st.sampled_from([0.1, 1.0]), optional=st.just(True)),
    ),
    max_size=2,
)


class Worker(Actor):
    """Takes a while for everything, and notices an overlap of two incarnations."""

    def __init__(self, log: Log, name: str) -> None:
        super().__init__()
        self.log = log
        self.own = name

    async def on_start(self) -> None:
        self.log("start", self.own)
        await asyncio.sleep(0.1)

    async def on_stop(self) -> None:
        await asyncio.sleep(0.1)
        self.log("end", self.own)

    async def on_failure(self, *_: Any) -> None:
        await asyncio.sleep(0.1)
        self.log("end", self.own)

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0.1)
        if message == "fail":
            raise ValueError("fail")
        self.log("saw", self.own, message)
        return message


@drawn
@given(
    plans=st.lists(STEPS, min_size=1, max_size=2),
    strategy=st.sampled_from(STRATEGIES),
    faults=FAULTS,
)
def test_whatever_happens_meanwhile_no_message_is_lost_and_every_child_is_up_in_the_end(
    plans: list[list[tuple[str, str]]], strategy: Any, faults: list[Fault]
) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        top, _ = await family(sim.system, strategy=strategy, intensity=99)
        refs = [await top.ask(ChildSpec(Worker, (log, name), name=name)) for name in "abc"]
        told: list[Any] = []
        asks: dict[Any, Any] = {}

        async def steps(who: str, plan: list[tuple[str, str]]) -> None:
            for number, (step, name) in enumerate(plan):
                ref, message = refs["abc".index(name)], (who, number)
                try:
                    match step:
                        case "tell":
                            ref.tell(message)
                            told.append((name, message))
                        case "ask":
                            asks[name, message] = ref.ask(message)
                        case "fail":
                            ref.tell("fail")
                        case "again":
                            await top.call(Parent.restart_child, name)
                        case _:
                            await asyncio.sleep(0.15)
                except (ActorDead, SpecError):  # killed
                    assert any(fact.what == "kill" for fact in sim.trace.of("fault"))

        async with asyncio.TaskGroup() as group:
            for index, plan in enumerate(plans):
                group.create_task(steps("xy"[index], plan), name="xy"[index])
        await asyncio.sleep(120)
        struck = [fact for fact in sim.trace.of("fault") if fact.what in ("kill", "crash")]
        dead = {fact.actor for fact in struck if fact.what == "kill"}
        saw = log.of("saw")
        assert len(saw) == len(set(saw)), "processed twice"
        lost = [(name, message) for name, message in told if (name, message) not in saw and f"top/{name}" not in dead]
        assert len(lost) <= len(struck), f"vanished: {lost}"
        for (name, message), ask in asks.items():
            assert ask.done(), f"{message} to {name} was never answered"
        for name, ref in zip("abc", refs, strict=True):
            assert ref.has_started() or f"top/{name}" in dead, f"{name} is not up"
            if f"top/{name}" not in dead:
                up = 0
                for line in log.lines:
                    if line[1] == name and line[0] != "saw":
                        up += 1 if line[0] == "start" else -1
                        assert up in (0, 1), f"two incarnations of {name} overlap"
        assert top.is_alive()

    simulate(scenario, seeds=6, faults=faults)


@on_each_loop
async def test_a_ref_refuses_to_start_again_what_is_dead_or_has_no_child_spec() -> None:
    log = Log()
    async with System() as system:
        _, (child,) = await family(system, spec(log))
        below = system.find("top/child/below")
        assert below is not None
        with pytest.raises(SpecError, match=r"below.* was not started from a ChildSpec"):
            below.restart()
        await child.stop()
        await child.terminated()
        with pytest.raises(ActorDead, match="not found"):
            child.restart()
        assert log.lines[-1] == ("stopped", "child", [])


@on_each_loop
async def test_a_stop_beats_a_restart_that_its_ref_was_asked_for() -> None:
    log, hold = Log(), Hold()
    async with System() as system:
        _, (child,) = await family(system, spec(log))
        child.tell(hold)
        await hold.begun.wait()
        child.stop()
        child.restart()
        hold.go.set()
        await child.terminated()
        assert restarts(system) == []


async def test_a_ref_is_started_again_from_another_thread() -> None:
    log = Log()
    async with System() as system:
        _, (child,) = await family(system, spec(log))
        await asyncio.to_thread(child.restart)
        assert await child.ask(1) == 1
        assert log.lines.count(("started", "child")) == 2
