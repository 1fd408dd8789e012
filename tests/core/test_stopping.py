"""Stopping: a stop wins over everything, waits for nothing that could last, and leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pykka
import pytest

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    AskTimeout,
    Backoff,
    ChildSpec,
    Supervisor,
    System,
    SystemClosed,
    Terminated,
)
from callboard.actors.testing import run_virtual, virtual_time

from .support import Echo, Events, Gate, Hold, Log, on_each_loop, run


class Named(Actor):
    def __init__(self, log: Log, name: str) -> None:
        super().__init__()
        self.log = log
        self.label = name

    def on_start(self) -> None:
        self.log("start", self.label)

    async def on_stop(self) -> None:
        await asyncio.sleep(0)
        self.log("stop", self.label)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


@on_each_loop
async def test_a_system_with_an_actor_killed_while_it_is_ready_stops() -> None:
    """A dead actor in the ready queue once made a new leader after the system had stopped, which never ended."""
    for _ in range(20):
        system = System()
        async with system:
            refs = [system.spawn(Echo) for _ in range(3)]
            for ref in refs:
                ref.tell(1)
            for ref in refs:
                ref.kill()


@on_each_loop
async def test_an_actor_that_died_with_a_turn_due_as_the_system_closed_holds_nothing_up() -> None:
    class Farewell(Actor):
        def __init__(self, other: ActorRef[Echo]) -> None:
            super().__init__()
            self.other = other

        def on_stop(self) -> None:
            self.other.tell("a turn is due, and will never come")

    system = System()
    async with system:
        system.spawn(Farewell, system.spawn(Echo))
    assert system.dead_letters.count == 1


@on_each_loop
async def test_a_stop_of_the_system_lets_the_message_at_work_end_and_refuses_the_rest() -> None:
    system = System()
    async with system:
        ref, hold = system.spawn(Gate), Hold()
        first, asks = ref.ask(hold), [ref.ask(number) for number in range(10)]
        ref.tell("told")
        await hold.begun.wait()
        stopping = asyncio.create_task(system.stop())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not ref.is_alive()
        hold.go.set()
        await stopping
    assert first.result() == "hold"
    for ask in asks:
        assert isinstance(ask.exception(), ActorDead)
    assert system.dead_letters.count == 11


@on_each_loop
async def test_top_level_actors_stop_in_reverse_order_of_their_start() -> None:
    log = Log()
    async with System() as system:
        refs = [system.spawn(Named, log, name) for name in "abc"]
        for ref in refs:
            await ref.started()
    assert log.of("stop") == ["c", "b", "a"]


@pytest.mark.parametrize("graceful", [True, False])
@on_each_loop
async def test_children_stop_in_reverse_before_their_parent(graceful: bool) -> None:
    log = Log()

    class Parent(Named):
        def on_start(self) -> None:
            for name in "xyz":
                self.spawn(Named, log, name)

    async with System() as system:
        parent = await system.spawn(Parent, log, "parent").started()
        if graceful:
            await parent.stop()
    assert log.of("stop") == ["z", "y", "x", "parent"]


@virtual_time
async def test_a_stop_beats_a_pending_restart_at_once() -> None:
    log = Log()
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Named, (log, "a"), name="a", backoff=Backoff(initial=20.0)))
        ref.tell(ValueError("crash"))
        ref.tell("queued")
        await events.until("crashed", "a")
        before = asyncio.get_running_loop().time()
        assert await ref.stop() is True
        assert asyncio.get_running_loop().time() == before
        assert not ref.is_alive()
        assert log.of("start") == ["a"], "it was restarted only to be stopped"
        assert system.dead_letters.count == 1
        assert await ref.stop() is False


@virtual_time
async def test_a_stop_that_stands_in_the_mailbox_beats_the_restart_too() -> None:
    log = Log()
    async with System() as system:
        ref = system.supervise(ChildSpec(Named, (log, "a"), name="a", backoff=Backoff(initial=20.0)))
        await ref.started()
        ref.tell(ValueError("crash"))
        assert await ref.stop() is True
        assert asyncio.get_running_loop().time() == 0
        assert log.of("start") == ["a"]


@on_each_loop
async def test_messages_before_a_stop_are_processed_where_the_restart_need_not_wait() -> None:
    log = Log()
    async with System() as system:
        ref = system.supervise(ChildSpec(Gate, (log,), name="a"))
        for message in (1, ValueError("crash"), 2, 3):
            ref.tell(message)
        await ref.stop()
        assert [line for line in log.of("saw") if isinstance(line, int)] == [1, 2, 3]
        assert not ref.is_alive()


class Collect(Actor):
    """An actor that watches another and keeps what it is told."""

    def __init__(self, got: list[Any]) -> None:
        super().__init__()
        self.got = got

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Terminated):
            self.got.append(message)
        elif message is not None:
            self.watch(message)
        return len(self.got)


@on_each_loop
async def test_stopping_twice_at_once_tells_both_and_the_watcher_once() -> None:
    async with System() as system:
        got: list[Any] = []
        watcher, ref = system.spawn(Collect, got), system.spawn(Echo)
        await watcher.ask(ref)
        assert all(await asyncio.gather(ref.stop(), ref.stop()))
        assert await watcher.ask(None) == 1


@on_each_loop
async def test_a_stop_is_not_taken_back_by_who_does_not_wait_for_it_any_longer() -> None:
    async with System() as system:
        hold = Hold()
        ref = system.spawn(Gate)
        ref.tell(hold)
        await hold.begun.wait()
        stopping = ref.stop()
        stopping.cancel()
        hold.go.set()
        await ref.terminated()


@virtual_time
async def test_a_hanging_handler_is_cancelled_when_its_shutdown_time_is_over() -> None:
    log = Log()
    system = System()
    async with system:
        hold = Hold()
        ref: ActorRef[Gate] = system.spawn(ChildSpec(Gate, (log,), name="a", shutdown=3.0))
        ask = ref.ask(hold)
        await hold.begun.wait()
        await system.stop()
        assert asyncio.get_running_loop().time() == 3.0
        assert log.of("cancelled") == ["hold"]
        assert isinstance(ask.exception(), ActorDead)


class Deaf(Actor):
    """Swallows every cancellation."""

    async def on_receive(self, message: Any) -> None:
        message.begun.set()
        while True:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                continue


@virtual_time
async def test_a_handler_that_swallows_cancellation_is_killed_within_a_second_more() -> None:
    system = System()
    async with system:
        hold = Hold()
        ask = system.supervise(ChildSpec(Deaf, name="deaf", shutdown=3.0)).ask(hold)
        await hold.begun.wait()
        await system.stop()
        assert asyncio.get_running_loop().time() == 4.0
        assert isinstance(ask.exception(), ActorDead)


@virtual_time
async def test_a_handler_that_ignores_its_asker_giving_up_is_closed_in_its_own_context_and_the_actor_lives(
    caplog: Any,
) -> None:
    made: list[int] = []

    class Counted(Deaf):
        shutdown_timeout = 3.0

        def __init__(self) -> None:
            super().__init__()
            made.append(1)

        async def on_receive(self, message: Any) -> Any:
            return await super().on_receive(message) if isinstance(message, Hold) else message

    async with System() as system:
        ref = system.supervise(ChildSpec(Counted, name="a", shutdown=3.0))
        with pytest.raises(AskTimeout):
            await ref.ask(Hold(), timeout=2)
        assert await ref.ask("alive") == "alive"
        assert asyncio.get_running_loop().time() == 5.0
        assert made == [1]
    assert "closing a coroutine raised" not in caplog.text


@virtual_time
async def test_what_has_not_stopped_in_the_systems_time_is_killed_without_its_hooks() -> None:
    log = Log()
    system = System()
    async with system:
        supervised = [ChildSpec(Named, (log, name), name=name) for name in "ab"]
        system.supervise(Supervisor.spec(supervised, name="top"))
        hold = Hold()
        system.supervise(ChildSpec(Deaf, name="deaf", shutdown=1000.0)).tell(hold)
        await hold.begun.wait()
        await system.stop(timeout=2.0)
        assert asyncio.get_running_loop().time() == 2.0
    assert log.of("stop") == []


@virtual_time
async def test_a_handler_that_has_to_be_killed_with_its_actor_is_the_end_of_it_and_no_failure(caplog: Any) -> None:
    log = Log()

    class Stops(Deaf):
        def on_stop(self) -> None:
            log("stop")

        def on_failure(self, *error: Any) -> None:
            log("failure")

    system = System()
    async with system:
        events, hold = Events(system), Hold()
        system.supervise(ChildSpec(Stops, name="deaf", shutdown=1000.0)).tell(hold)
        await hold.begun.wait()
        await system.stop(timeout=2.0)
    assert log.lines == []
    assert [event.detail for event in events.all if event.kind == "stopped" and event.actor == "deaf"] == [
        "killed: it did not stop in time"
    ]
    assert "Unhandled exception" not in caplog.text


def test_a_handler_that_waits_for_a_task_that_swallows_cancellation_cannot_hang_the_stop() -> None:
    let_go: list[bool] = []
    left: list[asyncio.Task[None]] = []

    async def deaf(hold: Hold) -> None:
        hold.begun.set()
        while True:
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                if let_go:
                    raise

    class Delegates(Actor):
        shutdown_timeout = 0.0

        async def on_receive(self, message: Hold) -> None:
            left.append(asyncio.create_task(deaf(message)))
            await left[0]

    async def main() -> None:
        system = System()
        async with system:
            hold = Hold()
            ask = system.spawn(Delegates).ask(hold)
            await hold.begun.wait()
            await system.stop()
            assert isinstance(ask.exception(), ActorDead)
        assert not left[0].done(), "the task is the program's own and was not the actor's to end"
        let_go.append(True)
        left[0].cancel()
        await asyncio.wait(left)

    run_virtual(main())


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
@on_each_loop
async def test_what_the_last_hook_begins_ends_with_the_actor(hook: str) -> None:
    class Begins(Actor):
        def on_receive(self, message: Any) -> None:
            raise ValueError(message)

    def begin(self: Any, *_: Any) -> None:
        self.schedule(1000.0, "never")
        self.pipe(asyncio.Event().wait())

    setattr(Begins, hook, begin)
    system = System()
    async with system:
        ref = system.spawn(Begins)
        if hook == "on_failure":
            ref.tell("crash")
            await ref.terminated()
    assert system.dead_letters.count == 0


@pytest.mark.parametrize("how", ["class", "function"])
@on_each_loop
async def test_what_a_constructor_began_ends_where_it_raises(how: str) -> None:
    class Broken(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.schedule(1000.0, "never")
            self.pipe(asyncio.Event().wait())
            self.spawn(Echo, name="orphan")
            raise ValueError("broken")

    async with System() as system:
        with pytest.raises(Exception, match="broken"):
            system.spawn(Broken if how == "class" else ChildSpec(lambda: Broken(), name="broken"))
        assert system.find("broken") is None


@on_each_loop
async def test_nothing_can_be_begun_for_an_actor_that_is_dead() -> None:
    class Leaks(Actor):
        def on_receive(self, message: Any) -> Any:
            return self

    async with System() as system:
        ref = system.spawn(Leaks)
        actor = await ref.ask(0)
        await ref.stop()
        with pytest.raises(ActorDead):
            actor.schedule(1.0, "tick")
        with pytest.raises(ActorDead):
            actor.pipe(asyncio.sleep(0))
        with pytest.raises(ActorDead):
            actor.spawn(Echo)


@on_each_loop
async def test_a_stop_inside_a_handler_ends_the_actor_after_the_messages_before() -> None:
    log = Log()

    class Quits(Actor):
        def on_receive(self, message: Any) -> Any:
            log("saw", message)
            if message == 0:
                self.stop()
            return message

    async with System() as system:
        ref = system.spawn(Quits)
        asks = [ref.ask(number) for number in range(3)]
        assert [await ask for ask in asks] == [0, 1, 2]
        await ref.terminated()
        assert log.of("saw") == [0, 1, 2]


@pytest.mark.parametrize("kind", ["sync", "async"])
@on_each_loop
async def test_a_stop_from_on_start_ends_the_actor_once_it_has_started(kind: str) -> None:
    log = Log()

    class Sync(Actor):
        def on_start(self) -> Any:
            log("started")
            self.ref.tell("first")
            self.stop()

        def on_stop(self) -> None:
            log("stopped")

        def on_receive(self, message: Any) -> None:
            log("saw", message)

    class Async(Sync):
        async def on_start(self) -> None:
            await asyncio.sleep(0)
            super().on_start()

    async with System() as system:
        ref = system.spawn(Sync if kind == "sync" else Async)
        await ref.terminated()
        assert log.lines == ["started", ("saw", "first"), "stopped"]


@virtual_time
async def test_a_handler_that_stops_its_own_system_is_itself_stopped() -> None:
    class Ends(Actor):
        shutdown_timeout = 2.0

        async def on_receive(self, message: Any) -> None:
            await self.system.stop()

    system = System()
    async with system:
        ask = system.spawn(Ends).ask("now")
        await system.wait()
        assert isinstance(ask.exception(), ActorDead)
    assert asyncio.get_running_loop().time() == 2.0


@virtual_time
async def test_a_stop_of_the_system_that_is_cancelled_kills_and_still_leaves_nothing() -> None:
    system = System()
    async with system:
        hold = Hold()
        ask = system.spawn(Deaf).ask(hold)
        await hold.begun.wait()
        stopping = asyncio.create_task(system.stop())
        for _ in range(3):
            await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert isinstance(ask.exception(), ActorDead)
        assert asyncio.get_running_loop().time() == 0


@on_each_loop
async def test_a_stopped_system_takes_no_actors_and_stops_again_without_effect() -> None:
    system = System()
    async with system:
        ref = system.spawn(Echo)
        await asyncio.gather(system.stop(), system.stop())
        await system.stop()
    with pytest.raises(SystemClosed):
        system.spawn(Echo)
    with pytest.raises(ActorDead):
        ref.tell(1)
    with pytest.raises(ActorDead):
        await ref.ask(1)
    with pytest.raises(SystemClosed):
        async with system:
            pass


def test_a_system_is_stopped_on_its_own_loop_only() -> None:
    async def main() -> None:
        system = System()
        async with system:

            async def elsewhere() -> None:
                with pytest.raises(SystemClosed):
                    await system.stop()

            await asyncio.to_thread(asyncio.run, elsewhere())
            assert await system.spawn(Echo).ask(1) == 1
        with pytest.raises(SystemClosed):
            System().spawn(Echo)

    with asyncio.Runner() as runner:
        runner.run(main())


def test_a_loop_that_ends_without_the_system_being_stopped_is_not_held_up() -> None:
    async def main() -> None:
        system = System()
        await system.__aenter__()
        ref = system.spawn(Echo)
        assert await ref.ask(1) == 1
        registry: Any = pykka.ActorRegistry
        registry.unregister(ref)

    with asyncio.Runner() as runner:
        runner.run(asyncio.wait_for(main(), 10))
    gc.collect()


@on_each_loop
async def test_a_failure_nobody_is_told_of_is_logged_while_the_actor_stops(caplog: Any) -> None:
    hold = Hold()

    class Fails(Actor):
        async def on_receive(self, message: Hold) -> None:
            message.begun.set()
            await message.go.wait()
            raise ValueError("lost?")

    with caplog.at_level(logging.ERROR, "callboard"):
        async with System() as system:
            system.spawn(Fails).tell(hold)
            await hold.begun.wait()
            stopping = asyncio.create_task(system.stop())
            await asyncio.sleep(0)
            hold.go.set()
            await stopping
    assert "lost?" in caplog.text


def test_a_hook_runs_in_no_context_of_who_stops_it() -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    class Sets(Actor):
        def on_failure(self, *_: Any) -> None:
            seen.append(variable.get())
            variable.set("from the hook")

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Sets)
            variable.set("mine")
            ref.kill()
            assert variable.get() == "mine"
        assert seen == ["clean"]

    run(main())


@pytest.mark.parametrize("late", [True, False])
@on_each_loop
async def test_a_watcher_is_told_why_the_actor_ended_also_when_it_asks_too_late(late: bool) -> None:
    async with System() as system:
        got: list[Any] = []
        watcher, stopped, crashed = system.spawn(Collect, got), system.spawn(Gate), system.spawn(Gate)
        for ref in () if late else (stopped, crashed):
            await watcher.ask(ref)
        crashed.tell(ValueError("broken"))
        await crashed.terminated()
        await stopped.stop()
        for ref in (stopped, crashed) if late else ():
            await watcher.ask(ref)
        await watcher.ask(None)
        reasons = {each.ref: each.reason for each in got}
        assert reasons[stopped] == "stopped"
        assert "broken" in reasons[crashed]
        assert len(got) == 2
