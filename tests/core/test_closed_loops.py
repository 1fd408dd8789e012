"""Systems whose loop was closed under them while they had work to do: whoever sends is told, and nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pykka
import pytest

from callboard.actors import Actor, ActorRef, System, SystemClosed, Terminated

from .parallel import WAIT, in_thread, on_another_loop
from .support import LOOPS, Echo

LIMIT = 5.0
"""Seconds after which a send that waits is given up. Nothing is timed by it."""

each_loop = pytest.mark.parametrize("loop", sorted(LOOPS))


@pytest.fixture(autouse=True)
def _no_ref_is_left_in_the_directory() -> Iterator[None]:
    """Actors whose loop was closed under them cannot be stopped: nobody else's `ActorRegistry.stop_all` is to try."""
    yield
    for ref in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(ref)
    gc.collect()  # what asyncio says of tasks that were left on a closed loop, it says here and in no other test


class Busy(Actor):
    """Always has something to do."""

    def on_receive(self, message: Any) -> None:
        self.ref.tell(message)


class Sleeps(Actor):
    async def on_receive(self, message: Any) -> None:
        await asyncio.Event().wait()


PENDING = ["nothing", "a message", "many messages", "a message that is never done", "a handler at work", "an ask"]


async def left_behind(pending: str) -> ActorRef[Any]:
    """An actor of a system that is not stopped; something else waits there, or is at work, as its loop ends."""
    system = System("left").start()
    ref = system.spawn(Echo, name="echo")
    assert await ref.ask("alive") == "alive"
    match pending:
        case "a message":
            ref.tell("pending")
        case "many messages":
            for number in range(3000):
                ref.tell(number)
        case "a message that is never done":
            system.spawn(Busy).tell("on and on")
            for _ in range(5):
                await asyncio.sleep(0)
        case "a handler at work":
            system.spawn(Sleeps).tell("sleep")
            await asyncio.sleep(0)
        case "an ask":
            ref.ask("pending").add_done_callback(lambda _: None)
    return ref


def closed_under(pending: str, loop: str) -> ActorRef[Any]:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        ref: ActorRef[Any] = runner.run(left_behind(pending))
    return ref


async def refused(send: Callable[[], Any]) -> None:
    """A send raises or ends in `SystemClosed`, and does not wait."""
    with pytest.raises(SystemClosed):
        async with asyncio.timeout(LIMIT):
            await send()


WAYS: dict[str, Callable[[ActorRef[Any]], Any]] = {
    "put": lambda ref: ref.put("late"),
    "put with a priority": lambda ref: ref.put("late", priority=1),
    "ask": lambda ref: ref.ask("late"),
    "ask with a timeout": lambda ref: ref.ask("late", timeout=WAIT),
    "ask with a priority": lambda ref: ref.ask("late", priority=1),
    "wait_for": lambda ref: asyncio.wait_for(ref.ask("late"), WAIT),
    "wait_for with a timeout": lambda ref: asyncio.wait_for(ref.ask("late", timeout=WAIT), WAIT),
    "gather": lambda ref: asyncio.gather(ref.ask("late"), ref.ask("late")),
    "shield": lambda ref: asyncio.shield(ref.ask("late")),
    "map": lambda ref: ref.ask("late").map(str),
}


async def refused_on_this_loop(ref: ActorRef[Any]) -> None:
    for send in WAYS.values():
        await refused(partial(send, ref))


each_pending = pytest.mark.parametrize("pending", PENDING)


@each_pending
@each_loop
def test_after_its_loop_was_closed_a_system_refuses_what_its_own_thread_sends(loop: str, pending: str) -> None:
    ref = closed_under(pending, loop)
    for _ in range(2):
        with pytest.raises(SystemClosed):
            ref.tell("late")
        with pytest.raises(SystemClosed):
            ref.tell("late", priority=1)
        with pytest.raises(SystemClosed):
            ref.ask("late").get(timeout=WAIT)
        with pytest.raises(SystemClosed):
            ref.proxy().on_stop().get(timeout=WAIT)


@each_pending
@each_loop
def test_after_its_loop_was_closed_a_system_refuses_what_another_loop_of_its_thread_sends(
    loop: str, pending: str
) -> None:
    ref = closed_under(pending, loop)

    async def main() -> None:
        with pytest.raises(SystemClosed):
            ref.tell("late")
        await refused_on_this_loop(ref)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@each_pending
@each_loop
def test_after_its_loop_was_closed_a_system_refuses_what_other_threads_send(loop: str, pending: str) -> None:
    ref = closed_under(pending, loop)

    def work() -> None:
        with pytest.raises(SystemClosed):
            ref.tell("late")
        with pytest.raises(SystemClosed):
            ref.ask("late").get(timeout=WAIT)
        with pytest.raises(SystemClosed):
            ref.ask("late", block=True, timeout=WAIT)

    in_thread(work)
    on_another_loop(refused_on_this_loop(ref), loop)


@pytest.mark.parametrize("way", WAYS)
@each_pending
@each_loop
def test_another_loop_of_the_thread_is_refused_while_the_systems_own_stands_still(
    loop: str, pending: str, way: str
) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as its_own:
        ref = its_own.run(left_behind(pending))
        with asyncio.Runner(loop_factory=LOOPS[loop]) as another:
            another.run(refused(lambda: WAYS[way](ref)))
        assert its_own.run(answered(ref)) == "later", "on its own loop it is served as ever"


async def answered(ref: ActorRef[Any]) -> Any:
    return await ref.ask("later", timeout=WAIT)


# -- watchers ----------------------------------------------------------------------------------------------------------


class Watches(Actor):
    """Watches the refs it is sent, and says of whom it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case ActorRef():
                self.watch(message)
            case Terminated():
                self.told.append(message.ref.name)
        return list(self.told)


class Parent(Actor):
    def on_receive(self, message: str) -> ActorRef[Any]:
        return self.spawn(Echo, name=message)


def watched_from_a_closed_loop(ref: ActorRef[Any], loop: str) -> None:
    async def main() -> None:
        system = System("gone").start()
        for _ in range(2):
            await system.spawn(Watches).ask(ref)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


async def soon(awaitable: Any) -> Any:
    return await asyncio.wait_for(awaitable, WAIT)


@pytest.mark.parametrize("how", ["stop", "kill", "parent", "system"])
@each_loop
def test_a_watcher_whose_loop_was_closed_does_not_harm_the_death_of_whom_it_watched(loop: str, how: str) -> None:
    with System.in_thread("lives") as system:
        healthy, parent = system.spawn(Watches), system.spawn(Parent)
        ref = parent.ask("watched").get(timeout=WAIT)
        watched_from_a_closed_loop(ref, loop)
        healthy.ask(ref).get(timeout=WAIT)
        dies = asyncio.run_coroutine_threadsafe(soon(ref.terminated()), system.loop)
        match how:
            case "stop":
                assert in_thread(lambda: ref.stop(timeout=WAIT)) is True
            case "kill":
                ref.kill()
            case "parent":
                assert in_thread(lambda: parent.stop(timeout=WAIT)) is True
                assert not parent.is_alive()
            case "system":
                in_thread(system.close)
                assert system.closed
        if how == "system":
            with contextlib.suppress(asyncio.CancelledError):  # what was run on its loop ends with it
                dies.result(WAIT)
        else:
            dies.result(WAIT)
            assert healthy.ask("whom").get(timeout=WAIT) == ["watched"]
            assert system.spawn(Echo).ask("alive").get(timeout=WAIT) == "alive"
        assert not ref.is_alive()


@each_loop
def test_a_name_that_a_dead_actor_had_is_free_although_a_watcher_of_it_is_gone(loop: str) -> None:
    with System.in_thread("lives") as system:
        parent = system.spawn(Parent)
        for _ in range(3):
            ref = parent.ask("watched").get(timeout=WAIT)
            watched_from_a_closed_loop(ref, loop)
            assert in_thread(partial(ref.stop, timeout=WAIT)) is True
