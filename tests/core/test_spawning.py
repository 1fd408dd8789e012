"""How an actor is made: where its constructor runs, what it may do there, and what a failing one comes to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorDead,
    ActorRef,
    Backoff,
    ChildSpec,
    Outcome,
    RestartLimit,
    SpecError,
    StartFailed,
    Supervision,
    System,
    SystemClosed,
    Terminated,
)
from callboard.actors.testing import Crash, Fault, Simulation, Slow, simulate, virtual_time
from callboard.actors.testing.doubles.strategies import fault_plans

from .parallel import WAIT, in_threads
from .support import Echo, Log, on_each_loop

drawn = settings(deadline=None, database=None, max_examples=30)


# -- children made in the constructor ----------------------------------------------------------------------------------


class Keeper(Actor):
    """Hands what it gets on to a child that it has made in its constructor."""

    def __init__(self, log: Log, depth: int = 1, spec: bool = False) -> None:
        super().__init__()
        log("made", depth)
        kind, args = (Keeper, (log, depth - 1, spec)) if depth > 1 else (Child, (log,))
        self.child: ActorRef[Any]
        if spec:
            self.child = self.spawn(ChildSpec(kind, args=args, name="child"))
        else:
            self.child = self.spawn(kind, *args, name="child")

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if message == "child":
            return self.child
        return await self.child.ask(message)


class Child(Actor):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log
        log("made", 0)

    def on_receive(self, message: Any) -> Any:
        self.log("saw", message)
        return message


def made_by_a_function(*args: Any) -> Keeper:
    return Keeper(*args)


MAKERS: list[Callable[..., Keeper]] = [Keeper, made_by_a_function]


@pytest.mark.parametrize("factory", MAKERS)
@pytest.mark.parametrize("how", ["crash", "kill"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("spec", [False, True])
@on_each_loop
async def test_an_actor_that_spawns_in_its_constructor_is_restarted_with_new_children(
    factory: Callable[..., Keeper], how: str, depth: int, spec: bool
) -> None:
    log = Log()
    async with System() as system:
        neighbour = system.spawn(Echo, name="neighbour")
        ref = system.supervise(ChildSpec(factory, args=(log, depth, spec), name="keeper"))
        before: list[ActorRef[Any]] = []
        for incarnation in range(1, 4):
            child = await ref.ask("child")
            assert all(not each.is_alive() for each in before), "a child of the incarnation before is left"
            assert child.is_alive()
            assert child.path == "keeper/child"
            assert await ref.ask(incarnation) == incarnation
            assert len(log.of("made")) == incarnation * (depth + 1)
            before.append(child)
            if incarnation == 3:
                break
            if how == "kill":
                ref.kill()
            else:
                ref.tell(ValueError("crash"))
        assert await neighbour.ask("here") == "here"
        assert [node.name for node in system.tree()] == ["neighbour", "keeper"]
        assert [node.name for node in system.tree()[1].children] == ["child"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
@on_each_loop
async def test_actors_that_spawn_in_their_constructors_are_restarted_with_their_siblings(strategy: Any) -> None:
    log = Log()
    async with System(supervision=Supervision(strategy=strategy)) as system:
        refs = [system.supervise(ChildSpec(Keeper, args=(log,), name=name)) for name in "abc"]
        children = [await ref.ask("child") for ref in refs]
        refs[0].kill()
        for ref, child in zip(refs, children, strict=True):
            assert await ref.ask(1) == 1
            assert not child.is_alive()
        assert len(log.of("made")) == 2 * 3 * 2


@on_each_loop
async def test_what_a_constructor_makes_besides_children_works_on_every_start() -> None:
    log = Log()

    class Maker(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.watch(self.spawn(Echo, name="child"))
            self.schedule(0, "timer")
            self.pipe(asyncio.sleep(0, "job"))
            self.ref.tell("sent")

        def on_receive(self, message: Any) -> None:
            match message:
                case "end":
                    child = self.find_child("child")
                    assert child is not None
                    child.stop()
                case "crash":
                    raise ValueError
                case Terminated(ref=ref):
                    log("saw", ref.name)
                case Outcome(value=value):
                    log("saw", value)
                case _:
                    log("saw", message)
            if len(log.lines) == 4 * incarnation:
                all_seen.set()

    async with System() as system:
        ref = system.supervise(ChildSpec(Maker, name="maker"))
        for incarnation in range(1, 4):
            all_seen = asyncio.Event()
            ref.tell("end")
            await all_seen.wait()
            assert sorted(log.of("saw")) == sorted(["child", "timer", "job", "sent"] * incarnation)
            if incarnation < 3:
                ref.tell("crash")


@pytest.mark.parametrize("restarts", [0, 1, 3])
@on_each_loop
async def test_a_factory_that_fails_again_and_again_ends_in_the_limit_and_leaves_no_child(
    restarts: int,
) -> None:
    made: list[ActorRef[Any]] = []

    class HalfMade(Actor):
        def __init__(self) -> None:
            super().__init__()
            made.append(self.spawn(Echo, name="child"))
            if len(made) > 1:
                raise ValueError("half made")

        def on_receive(self, message: Any) -> None:
            raise message

    async def main() -> None:
        async with System(supervision=Supervision(intensity=restarts)) as system:
            system.supervise(ChildSpec(HalfMade, name="half")).tell(KeyError("crash"))
            await system.wait()

    with pytest.raises(RestartLimit) as caught:
        await main()
    assert len(made) == 1 + restarts
    assert not any(ref.is_alive() for ref in made)
    cause = caught.value.__cause__
    assert isinstance(cause, StartFailed if restarts else KeyError)
    if restarts:
        assert isinstance(cause.__cause__, ValueError)


@pytest.mark.parametrize("spec", [False, True])
@pytest.mark.parametrize("where", ["on the loop", "in a thread"])
@on_each_loop
async def test_a_constructor_that_raises_on_the_first_start_fails_the_spawn_and_leaves_nothing(
    spec: bool, where: str
) -> None:
    error = ValueError("half made")
    made: list[ActorRef[Any]] = []

    class HalfMade(Actor):
        def __init__(self) -> None:
            super().__init__()
            made.append(self.spawn(Echo))
            self.schedule(1000, "never")
            raise error

    async with System() as system:

        async def spawn() -> None:
            what, name = (ChildSpec(HalfMade, name="half"), None) if spec else (HalfMade, "half")
            if where == "on the loop":
                system.spawn(what, name=name)
            else:
                await asyncio.to_thread(system.spawn, what, name=name)  # type: ignore[arg-type]

        with pytest.raises(StartFailed if spec else ValueError) as caught:
            await spawn()
        assert (caught.value.__cause__ if spec else caught.value) is error
        assert system.tree() == ()
        assert system.find("half") is None
        assert not made[0].is_alive()
        assert await system.spawn(Echo, name="half").ask(1) == 1


@pytest.mark.parametrize("spec", [False, True])
@on_each_loop
async def test_an_actor_with_children_made_in_its_constructor_may_crash_as_its_system_stops(spec: bool) -> None:
    async with System(supervision=Supervision(intensity=1)) as system:
        ref = system.supervise(ChildSpec(Keeper, args=(Log(), 2, spec), name="keeper"))
        await ref.ask("child")
        ref.tell(ValueError("crash"))
    assert system.failure is None
    assert not ref.is_alive()


@virtual_time
async def test_children_made_in_the_constructor_end_before_the_wait_for_the_restart() -> None:
    log = Log()
    async with System() as system:
        ref = system.supervise(ChildSpec(Keeper, args=(log,), name="keeper", backoff=Backoff(initial=10.0)))
        child = await ref.ask("child")
        ref.tell(ValueError("crash"))
        await asyncio.sleep(5)
        assert not child.is_alive()
        assert log.of("made") == [1, 0]
        await asyncio.sleep(10)
        assert log.of("made") == [1, 0, 1, 0]
        assert await ref.ask(1) == 1


@drawn
@given(
    numbers=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    backoff=st.sampled_from([0.0, 1.0]),
    faults=fault_plans(["keeper", "keeper/child"], kinds=(Crash, Slow)),
)
def test_nothing_is_lost_across_restarts_of_an_actor_with_children_made_in_its_constructor(
    numbers: list[int], backoff: float, faults: tuple[Fault, ...]
) -> None:
    async def scenario(sim: Simulation) -> None:
        log = Log()
        spec = ChildSpec(Keeper, args=(log, 1, True), name="keeper", backoff=Backoff(initial=backoff))
        ref = sim.system.supervise(spec)
        ends: list[Any] = []
        for number in numbers:
            try:
                ends.append(await ref.ask(number))
            except ActorCrashed as error:
                ends.append(error)
        answered = [end for end in ends if not isinstance(end, BaseException)]
        assert answered == [number for number, end in zip(numbers, ends, strict=True) if number == end]
        assert len(ends) - len(answered) <= len([fault for fault in faults if isinstance(fault, Crash)])
        await asyncio.sleep(60)
        assert ref.is_alive()
        assert sim.system.tree()[0].phase == "running"
        assert [node.phase for node in sim.system.tree()[0].children] == ["running"]

    simulate(scenario, seeds=5, faults=faults)


# -- constructors run on the loop's thread -----------------------------------------------------------------------------


class Here(Actor):
    """Says in which thread it was made and in which it is served."""

    def __init__(self, said: Any = None) -> None:
        super().__init__()
        self.made_in = threading.get_ident()

    def on_receive(self, message: Any) -> Any:
        if message == "spawn":
            return asyncio.to_thread(self.spawn, Here)
        return self.made_in, threading.get_ident()


def made_here(*args: Any) -> Here:
    return Here(*args)


@pytest.mark.parametrize("how", ["class", "spec of a class", "spec of a function", "child"])
@on_each_loop
async def test_a_constructor_runs_on_the_loops_thread_whichever_thread_spawns(how: str) -> None:
    async with System() as system:

        def spawn() -> ActorRef[Any]:
            match how:
                case "class":
                    return system.spawn(Here)
                case "spec of a class":
                    return system.supervise(ChildSpec(Here))
                case _:
                    return system.spawn(ChildSpec(made_here))

        if how == "child":
            ref = await system.spawn(Here).ask("spawn")
        else:
            ref = await asyncio.to_thread(spawn)
        mine = threading.get_ident()
        assert await ref.ask("where") == (mine, mine)


def test_an_actor_started_outside_of_any_system_is_made_on_the_loops_thread_of_the_default_one() -> None:
    ref = Here.start()
    try:
        made_in, served_in = ref.ask("where").get(timeout=WAIT)
        assert made_in == served_in != threading.get_ident()
    finally:
        ref.stop()


@pytest.mark.parametrize("what", ["timer", "timers", "job", "child", "watch", "message"])
@on_each_loop
async def test_a_constructor_may_use_the_loop_whichever_thread_spawns(what: str) -> None:
    asyncio.get_running_loop().set_debug(True)  # it then refuses calls from a foreign thread
    done = asyncio.Event()

    class Uses(Actor):
        def __init__(self) -> None:
            super().__init__()
            asyncio.get_running_loop()
            match what:
                case "timer":
                    self.schedule(0, "timer")
                case "timers":
                    self.schedule_every(0.001, "timer")
                case "job":
                    self.pipe(asyncio.sleep(0, "job"))
                case "child":
                    self.spawn(TellsItsParent, self.ref)
                case "watch":
                    child = self.spawn(Echo)
                    self.watch(child)
                    child.stop(block=False)
                case "message":
                    self.ref.tell("itself")

        def on_receive(self, message: Any) -> None:
            done.set()

    class TellsItsParent(Actor):
        def __init__(self, parent: ActorRef[Any]) -> None:
            super().__init__()
            parent.tell("a child was made")

    async with System() as system:
        ref: ActorRef[Any] = await asyncio.to_thread(system.spawn, Uses)
        await done.wait()
        await ref.stop()


def test_spawn_returns_in_its_thread_when_the_actor_is_built_and_not_before() -> None:
    log = Log()

    class Built(Actor):
        def __init__(self) -> None:
            super().__init__()
            log("built")

    class Spawns(Actor):
        """Keeps the loop's thread until the other thread is about to spawn."""

        def on_receive(self, message: Any) -> Any:
            entered = threading.Event()

            def spawn() -> ActorRef[Any]:
                entered.set()
                ref = self.system.spawn(Built)
                log("returned")
                return ref

            thread = threading.Thread(target=spawn)
            thread.start()
            entered.wait(WAIT)
            log("loop free")
            return thread

    with System.in_thread() as system:
        thread = system.spawn(Spawns).ask(1).get(timeout=WAIT)
        thread.join(WAIT)
        assert not thread.is_alive()
    assert log.lines == ["loop free", "built", "returned"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError("no")])
def test_spawn_raises_in_its_thread_what_the_constructor_raised_and_the_loop_goes_on(error: BaseException) -> None:
    made_in = []

    class Refuses(Actor):
        def __init__(self) -> None:
            super().__init__()
            made_in.append(threading.get_ident())
            raise error

    with System.in_thread() as system:
        echo = system.spawn(Echo)
        with pytest.raises(type(error)) as caught:
            system.spawn(Refuses, name="refuses")
        assert caught.value is error
        assert made_in != [threading.get_ident()]
        assert echo.ask(1).get(timeout=WAIT) == 1
        assert system.spawn(Echo, name="refuses").ask(2).get(timeout=WAIT) == 2


def test_a_spawn_from_a_thread_is_refused_there_for_a_name_that_is_taken() -> None:
    built = Log()

    class Built(Actor):
        def __init__(self) -> None:
            super().__init__()
            built(threading.get_ident())

    with System.in_thread() as system:
        loops = {system.spawn(Here).ask("where").get(timeout=WAIT)[1]}
        results = in_threads(8, lambda index: system.spawn(Built, name="one"))
        assert len([each for each in results if isinstance(each, ActorRef)]) == 1
        assert len([each for each in results if isinstance(each, SpecError)]) == 7
        assert set(built.lines) == loops
        assert len(built.lines) == 1


@pytest.mark.parametrize("round_", range(3))
def test_spawns_from_threads_while_the_system_stops_end_and_leave_no_actor(round_: int) -> None:
    system = System.in_thread()
    loops_thread = system.spawn(Here).ask("where").get(timeout=WAIT)[1]
    made, enough = Log(), threading.Event()

    class Made(Actor):
        def __init__(self) -> None:
            super().__init__()
            made(threading.get_ident())
            if len(made.lines) >= 20 * round_:
                enough.set()

    def work(index: int) -> list[ActorRef[Any]]:
        refs: list[ActorRef[Any]] = []
        if index == 0:
            assert round_ == 0 or enough.wait(WAIT)
            system.close()
            return refs
        while True:
            try:
                refs.append(system.spawn(Made))
            except (SystemClosed, ActorDead):
                return refs

    results = in_threads(5, work)
    refs = [ref for result in results for ref in result]
    assert set(made.lines) <= {loops_thread}
    assert len(refs) <= len(made.lines)
    assert not any(ref.is_alive() for ref in refs)


def test_the_urns_of_actors_are_the_same_in_every_run_of_a_simulation_and_no_two_of_a_run_are_alike() -> None:
    runs: list[tuple[str, ...]] = []

    async def scenario(sim: Simulation) -> None:
        runs.append(tuple(sim.system.spawn(Echo).actor_urn for _ in range(3)))

    for _ in range(3):  # each of one schedule: there is no other
        simulate(scenario, seeds=3)
    assert len(runs) == 3
    assert len(set(runs)) == 1
    assert len(set(runs[0])) == 3


@on_each_loop
async def test_two_actors_have_different_urns_though_their_systems_have_the_same_seed() -> None:
    urns = []
    for _ in range(2):
        async with System(seed=7) as system:
            urns += [system.spawn(Echo).actor_urn for _ in range(3)]
    assert len(set(urns)) == 6


class TellsItself(Actor):
    """Sends itself messages as it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []
        for number in range(3):
            self.ref.tell(number)

    def on_receive(self, message: Any) -> Any:
        self.got.append(message)
        return list(self.got)


@on_each_loop
async def test_a_constructor_may_send_its_own_actor_messages_however_it_is_started() -> None:
    class WithAStart(TellsItself):
        def on_start(self) -> None:
            pass

    async with System() as system:
        for kind in (TellsItself, WithAStart):
            named = f"named-{kind.__name__}"
            for ref in (system.spawn(kind), system.spawn(kind, name=named), system.supervise(ChildSpec(kind))):
                assert await ref.ask("last") == [0, 1, 2, "last"]
