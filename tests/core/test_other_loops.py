"""Actors reached from other event loops: of another thread, of the same thread, and when their own is closed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pykka
import pytest

from callboard.actors import (
    Actor,
    ActorDead,
    ActorRef,
    AskTimeout,
    ChildSpec,
    MailboxFull,
    System,
    SystemClosed,
    wait,
)

from .parallel import WAIT, in_thread, on_another_loop
from .support import LOOPS, Echo, Log, on_each_loop, run


@pytest.fixture(autouse=True)
def _no_ref_is_left_in_the_directory() -> Iterator[None]:
    """Actors whose loop was closed under them cannot be stopped: nobody else's `ActorRegistry.stop_all` is to try."""
    yield
    for ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)


LIMIT = 5.0
"""Seconds after which a handler that nobody lets go fails, so that a test whose loop is blocked ends."""

each_loop = pytest.mark.parametrize("loop", sorted(LOOPS))


class Held:
    """A message whose handler, on another loop than the test's, waits until the test lets it go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def wait(self) -> str:
        self.loop = asyncio.get_running_loop()
        self.go = asyncio.Event()
        self.begun.set()
        try:
            async with asyncio.timeout(LIMIT):
                await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "let go"

    def let_go(self) -> None:
        self.loop.call_soon_threadsafe(self.go.set)


class There(Actor):
    """Lives on a loop of another thread than the test."""

    mailbox_capacity = 2

    def __init__(self, log: Log | None = None, start: Held | None = None) -> None:
        super().__init__()
        self.log = log or Log()
        self.start_held = start

    async def on_start(self) -> None:
        if self.start_held is not None:
            await self.start_held.wait()

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Held):
            return await message.wait()
        self.log("saw", message)
        if isinstance(message, BaseException):
            raise message
        return message

    def on_stop(self) -> None:
        self.log("stopped")


async def until(event: threading.Event) -> None:
    """Wait for a thread's event without blocking this loop."""
    assert await asyncio.to_thread(event.wait, WAIT)


@contextlib.contextmanager
def elsewhere(loop: str = "asyncio") -> Iterator[System]:
    """A system in another thread, on a loop of the kind."""
    started: list[System] = []
    begun = threading.Event()

    async def serve() -> None:
        async with System("elsewhere") as system:
            started.append(system)
            begun.set()
            await system.wait()

    def work() -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(serve())

    thread = threading.Thread(target=work, name="elsewhere", daemon=True)
    thread.start()
    assert begun.wait(WAIT)
    try:
        yield started[0]
    finally:
        in_thread(started[0].close)  # where no loop runs
        thread.join(WAIT)
        assert not thread.is_alive()


# -- from another thread that runs a loop of its own -------------------------------------------------------------------


@on_each_loop
async def test_stopping_an_actor_of_another_loop_is_awaited_and_blocks_neither_loop() -> None:
    log, held = Log(), Held()
    with elsewhere() as system:
        ref = system.spawn(There, log)
        ref.tell(held)
        ref.tell("before")
        await until(held.begun)
        stopping = asyncio.ensure_future(stop(ref))
        for _ in range(5):
            await asyncio.sleep(0)  # this loop goes on
        assert not stopping.done()
        held.let_go()
        assert await stopping is True
        assert log.lines == [("saw", "before"), "stopped"]
        assert await stop(ref) is False
        assert not ref.is_alive()


async def stop(ref: ActorRef[Any]) -> Any:
    return await ref.stop()


@on_each_loop
async def test_a_stop_of_an_actor_of_another_loop_goes_with_asyncios_functions() -> None:
    with elsewhere() as system:
        refs = [system.spawn(There) for _ in range(4)]
        assert list(await asyncio.gather(refs[0].stop(), refs[1].stop())) == [True, True]
        assert await asyncio.wait_for(refs[2].stop(), WAIT) is True
        assert await asyncio.shield(refs[3].stop()) is True
        assert await refs[3].stop(block=False) is False


def test_a_stop_blocks_in_a_thread_without_a_loop_and_not_in_one_with_a_loop() -> None:
    async def with_a_loop(ref: ActorRef[Any]) -> Any:
        stopping = ref.stop()
        assert not isinstance(stopping, bool)
        return await stopping

    with elsewhere() as system:
        assert system.spawn(There).stop() is True
        assert on_another_loop(with_a_loop(system.spawn(There))) is True


WAYS: dict[str, Callable[[Any], Awaitable[Any]]] = {}


def way(function: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """A way to wait for an ask."""
    WAYS[function.__name__] = function
    return function


@way
async def plainly(ask: Any) -> Any:
    return await ask


@way
async def with_wait_for(ask: Any) -> Any:
    return await asyncio.wait_for(ask, WAIT)


@way
async def with_gather(ask: Any) -> Any:
    return (await asyncio.gather(ask))[0]


@way
async def with_shield(ask: Any) -> Any:
    return await asyncio.shield(ask)


@way
async def with_wait(ask: Any) -> Any:
    done, _ = await asyncio.wait([asyncio.ensure_future(ask)])
    return done.pop().result()


@way
async def with_as_completed(ask: Any) -> Any:
    for each in asyncio.as_completed([ask]):
        return await each


@way
async def with_a_timeout(ask: Any) -> Any:
    async with asyncio.timeout(WAIT):
        return await ask


@way
async def in_a_task_group(ask: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[Any] = group.create_task(wait(ask))
    return task.result()


@way
async def with_a_callback(ask: Any) -> Any:
    called = asyncio.Event()
    ask.add_done_callback(lambda _: called.set())
    await called.wait()
    return ask.result()


@pytest.mark.parametrize("there", sorted(LOOPS))
@pytest.mark.parametrize("how", list(WAYS))
@on_each_loop
async def test_an_ask_to_an_actor_of_another_loop_is_waited_for_in_every_way(how: str, there: str) -> None:
    held = Held()
    with elsewhere(there) as system:
        ref = system.spawn(There)
        assert await WAYS[how](ref.ask("at once")) == "at once"
        waiting = asyncio.ensure_future(WAYS[how](ref.ask(held)))
        await until(held.begun)
        assert not waiting.done()
        held.let_go()
        assert await waiting == "let go"
        done = ref.ask("done")
        assert await done == "done"
        assert await WAYS[how](done) == "done"


@pytest.mark.parametrize("how", [each for each in WAYS if each != "in_a_task_group"])
@on_each_loop
async def test_an_ask_to_an_actor_of_another_loop_fails_there_and_is_told_here(how: str) -> None:
    with elsewhere() as system:
        ref = system.spawn(There)
        with pytest.raises(ValueError, match="bad"):
            await WAYS[how](ref.ask(ValueError("bad")))
        await ref.stop()
        with pytest.raises(ActorDead):
            await WAYS[how](ref.ask("dead"))


@pytest.mark.parametrize("how", ["plainly", "with_wait_for", "with_gather", "with_a_timeout"])
@on_each_loop
async def test_giving_up_an_ask_to_an_actor_of_another_loop_cancels_the_handler_there(how: str) -> None:
    held = Held()
    with elsewhere() as system:
        ref = system.spawn(There)
        ask = ref.ask(held)
        waiting = asyncio.ensure_future(WAYS[how](ask))
        await until(held.begun)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await until(held.cancelled)
        assert await ref.ask("next") == "next"
        assert ask.cancelled()


@on_each_loop
async def test_time_is_up_here_for_an_ask_to_an_actor_of_another_loop_and_the_handler_there_is_cancelled() -> None:
    first, second = Held(), Held()
    with elsewhere() as system:
        ref = system.spawn(There)
        ask = ref.ask(first)
        await until(first.begun)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask, 0.001)
        await until(first.cancelled)
        with pytest.raises(AskTimeout):
            await ref.ask(second, timeout=0.05)
        assert await ref.ask("next") == "next"


@on_each_loop
async def test_a_shielded_ask_to_an_actor_of_another_loop_goes_on_when_its_waiter_is_cancelled() -> None:
    held = Held()
    with elsewhere() as system:
        ask = system.spawn(There).ask(held)
        shielded = asyncio.shield(ask)
        await until(held.begun)
        shielded.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shielded
        held.let_go()
        assert await ask == "let go"


@on_each_loop
async def test_many_asks_to_actors_of_two_other_loops_are_gathered_in_order() -> None:
    with elsewhere() as one, elsewhere("asyncio") as two:
        refs = [system.spawn(Echo) for system in (one, two) for _ in range(3)]
        asks = [refs[number % 6].ask(number) for number in range(300)]
        assert await asyncio.gather(*asks) == list(range(300))


@on_each_loop
async def test_a_put_to_a_full_mailbox_of_another_loop_waits_without_blocking_this_one() -> None:
    log, held = Log(), Held()
    with elsewhere() as system:
        ref = system.spawn(There, log)
        ref.tell(held)
        await until(held.begun)
        await ref.put(0)
        await ref.put(1)
        waiting = [asyncio.ensure_future(ref.put(number)) for number in (2, 3, 4)]
        with pytest.raises(MailboxFull):
            await ref.ask("refused")
        assert not any(each.done() for each in waiting)
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
        held.let_go()
        await asyncio.gather(waiting[0], waiting[2])
        await ref.stop()
        assert log.of("saw") == [0, 1, 2, 4]
        with pytest.raises(ActorDead):
            await ref.put("dead")


@on_each_loop
async def test_a_put_that_waits_for_an_actor_of_another_loop_is_told_that_it_has_stopped() -> None:
    held = Held()
    with elsewhere() as system:
        ref = system.spawn(There)
        ref.tell(held)
        await until(held.begun)
        await ref.put(0)
        stopping = asyncio.ensure_future(stop(ref))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(ref.put(1))
        await asyncio.sleep(0)
        held.let_go()
        with contextlib.suppress(ActorDead):  # or it was let in as the one before it left
            await waiting
        assert await stopping is True


@on_each_loop
async def test_the_start_and_the_end_of_an_actor_of_another_loop_are_waited_for() -> None:
    held = Held()
    with elsewhere() as system:
        ref = system.spawn(There, None, held)
        await until(held.begun)
        starting, ending = asyncio.ensure_future(ref.started()), asyncio.ensure_future(ref.terminated())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not starting.done()
        held.let_go()
        assert await starting is ref
        assert await ref.started() is ref
        assert not ending.done()
        await ref.stop()
        await ending
        await ref.terminated()
        with pytest.raises(ActorDead):
            await ref.started()


@on_each_loop
async def test_waiting_for_an_actor_of_another_loop_that_dies_before_it_has_started_ends() -> None:
    class Fails(Actor):
        async def on_start(self) -> None:
            await held.wait()
            raise ValueError("no start")

    held = Held()
    with elsewhere() as system:
        ref = system.spawn(Fails)
        await until(held.begun)
        starting = asyncio.ensure_future(ref.started())
        await asyncio.sleep(0)
        held.let_go()
        with pytest.raises(ActorDead, match="no start"):
            await starting
        await ref.terminated()


@on_each_loop
async def test_a_handler_works_with_actors_of_another_loop_as_a_task_does() -> None:
    with elsewhere() as system:

        class Here(Actor):
            async def on_receive(self, message: Any) -> Any:
                there = system.spawn(Echo)
                await there.started()
                await there.put("put")
                answers = await asyncio.gather(there.ask(1), asyncio.wait_for(there.ask(2), WAIT))
                stopped = await there.stop()
                await there.terminated()
                return [*answers, stopped]

        async with System() as here:
            ref = here.spawn(Here)
            assert await ref.ask("go") == [1, 2, True]
            assert await ref.ask("again") == [1, 2, True]


# -- in the system's own thread, on another loop -----------------------------------------------------------------------


class TwoLoops:
    """A system on one loop of this thread, and another loop of the same thread."""

    def __init__(self, loop: str) -> None:
        self.log = Log()
        self.first = asyncio.Runner(loop_factory=LOOPS[loop])
        self.second = asyncio.Runner(loop_factory=LOOPS[loop])
        self.system = System()

    async def begin(self) -> ActorRef[Any]:
        await self.system.__aenter__()
        return await self.system.spawn(There, self.log).started()

    def __enter__(self) -> TwoLoops:
        self.ref = self.first.run(self.begin())
        return self

    def __exit__(self, *_: object) -> None:
        self.second.close()
        self.first.run(self.system.stop())
        self.first.close()


async def guarded(made: Awaitable[Any]) -> Any:
    async with asyncio.timeout(WAIT):
        return await made


async def tells(ref: ActorRef[Any], system: System) -> None:
    with pytest.raises(SystemClosed):
        ref.tell("lost")
    with pytest.raises(SystemClosed):
        ref.tell("lost", priority=1)


async def asks(ref: ActorRef[Any], system: System) -> None:
    for ask in (ref.ask("lost"), ref.ask("lost", timeout=1000), ref.ask("lost", timeout=1000, priority=2)):
        assert ask.done()
        with pytest.raises(SystemClosed):
            await guarded(ask)
    results = await guarded(asyncio.gather(ref.ask("lost"), return_exceptions=True))
    assert isinstance(results[0], SystemClosed)


async def puts(ref: ActorRef[Any], system: System) -> None:
    with pytest.raises(SystemClosed):
        await guarded(ref.put("lost"))


async def stops(ref: ActorRef[Any], system: System) -> None:
    async def stop() -> None:
        await ref.stop()

    with pytest.raises(SystemClosed):
        await guarded(stop())


async def spawns(ref: ActorRef[Any], system: System) -> None:
    with pytest.raises(SystemClosed):
        system.spawn(Echo)
    with pytest.raises(SystemClosed):
        system.supervise(ChildSpec(Echo))


USES = [tells, asks, puts, stops, spawns]


@pytest.mark.parametrize("use", USES)
@each_loop
def test_on_another_loop_of_the_systems_own_thread_everything_is_refused_at_once(loop: str, use: Any) -> None:
    with TwoLoops(loop) as two:
        assert two.first.run(guarded(two.ref.ask("before"))) == "before"
        two.second.run(use(two.ref, two.system))
        assert two.first.run(guarded(two.ref.ask("after"))) == "after"
        assert two.log.of("saw") == ["before", "after"]
        assert two.ref.is_alive()
        assert two.first.run(guarded(stop(two.ref))) is True


@pytest.mark.parametrize("use", USES)
@each_loop
def test_when_the_systems_loop_is_closed_everything_is_refused_at_once_on_the_next(loop: str, use: Any) -> None:
    async def begin() -> tuple[System, ActorRef[Any]]:
        system = System()
        await system.__aenter__()  # and never left: the loop is closed under it
        return system, await system.spawn(There).started()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        system, ref = runner.run(begin())
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(use(ref, system))
    on_another_loop(use(ref, system), loop)


@pytest.mark.parametrize("where", ["here", "in a thread"])
@each_loop
def test_when_the_systems_loop_is_closed_synchronous_code_is_refused_at_once(loop: str, where: str) -> None:
    async def begin() -> tuple[System, ActorRef[Any]]:
        system = System()
        await system.__aenter__()
        return system, await system.spawn(There).started()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        system, ref = runner.run(begin())

    def use() -> None:
        with pytest.raises(SystemClosed):
            ref.tell("lost")
        ask = ref.ask("lost")
        assert ask.done()
        with pytest.raises(SystemClosed):
            ask.get(timeout=WAIT)
        with pytest.raises(SystemClosed):
            ref.stop(timeout=WAIT)
        with pytest.raises(SystemClosed):
            system.spawn(Echo)

    if where == "here":
        use()
    else:
        in_thread(use)


@each_loop
def test_what_synchronous_code_sends_while_no_loop_runs_waits_for_the_systems_own(loop: str) -> None:
    with TwoLoops(loop) as two:
        two.ref.tell(1)
        ask = two.ref.ask(2)
        assert not ask.done()
        assert two.log.of("saw") == []
        assert two.first.run(guarded(ask)) == 2
        assert two.log.of("saw") == [1, 2]


@each_loop
def test_an_actor_on_the_second_loop_that_uses_one_of_the_first_is_refused_too(loop: str) -> None:
    with TwoLoops(loop) as two:

        class Here(Actor):
            async def on_receive(self, message: Any) -> Any:
                with pytest.raises(SystemClosed):
                    two.ref.tell("lost")
                return await two.ref.ask("lost")

        async def use() -> None:
            async with System() as system:
                with pytest.raises(SystemClosed):
                    await system.spawn(Here).ask("go")

        two.second.run(guarded(use()))
        assert two.first.run(guarded(two.ref.ask("after"))) == "after"
        assert two.log.of("saw") == ["after"]


@each_loop
def test_a_system_of_each_loop_is_used_one_after_another(loop: str) -> None:
    async def main() -> Any:
        async with System() as system:
            return await system.spawn(Echo).ask(1, timeout=WAIT)

    assert [run(main(), loop) for _ in range(3)] == [1, 1, 1]
