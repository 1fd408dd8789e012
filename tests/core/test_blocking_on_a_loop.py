"""Calls that would block the thread of an event loop: refused before anything is sent, or given up by name."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future as ThreadFuture
from typing import Any

import pytest

from callboard.actors import Actor, ActorDead, BlockingCall, System
from callboard.actors.core import spawning

from .parallel import WAIT, on_another_loop
from .support import Echo, Gate, Hold, Log, on_each_loop

# -- a blocking ask or stop on the system's own thread -----------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"timeout": 1.0}, {"priority": 1}])
@on_each_loop
async def test_a_blocking_ask_on_the_loops_own_thread_is_refused_before_anything_is_sent(
    options: dict[str, Any],
) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Gate, log)
        with pytest.raises(BlockingCall):
            ref.ask("never sent", block=True, **options)
        assert await ref.ask("sent") == "sent"
    assert log.lines == [("saw", "sent")]


@pytest.mark.parametrize("timeout", [None, 1.0])
@on_each_loop
async def test_a_blocking_stop_on_the_loops_own_thread_is_refused_before_anything_is_sent(
    timeout: float | None,
) -> None:
    async with System() as system:
        ref, hold = system.spawn(Gate), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        with pytest.raises(BlockingCall):
            ref.stop(block=True, timeout=timeout)
        assert ref.is_alive()
        hold.go.set()
        assert await ref.ask("alive") == "alive"
        with pytest.raises(BlockingCall):
            ref.stop(block=True, timeout=timeout)
        assert await ref.ask("still alive") == "still alive"
        assert await ref.stop() is True


@on_each_loop
async def test_a_handler_that_would_block_its_own_loop_is_refused_before_anything_is_sent() -> None:
    log = Log()

    class Blocks(Actor):
        def on_receive(self, message: str) -> Any:
            return self.ref.stop(block=True) if message == "stop" else other.ask("never sent", block=True)

    async with System() as system:
        other = system.spawn(Gate, log)
        ref = system.spawn(Blocks)
        for message in ("stop", "ask"):
            with pytest.raises(BlockingCall):
                await ref.ask(message)
        assert ref.is_alive()
        assert await other.ask("sent") == "sent"
    assert log.lines == [("saw", "sent")]


@on_each_loop
async def test_other_threads_may_block_meanwhile() -> None:
    async with System() as system:
        ref = system.spawn(Echo)
        assert await asyncio.to_thread(ref.ask, "asked", block=True, timeout=WAIT) == "asked"
        assert await asyncio.to_thread(ref.stop, block=True, timeout=WAIT) is True


# -- systems that spawn into each other --------------------------------------------------------------------------------


class Spawns(Actor):
    """Spawns into another system from its handler, when the other side is there too."""

    def __init__(self, meet: threading.Barrier) -> None:
        super().__init__()
        self.meet = meet

    def on_receive(self, other: System) -> Any:
        self.meet.wait(WAIT)
        try:
            return other.spawn(Echo)
        except BlockingCall as error:
            return error


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "LOOP_WAITS", 0.05)


@pytest.mark.usefixtures("impatient")
def test_two_systems_whose_handlers_spawn_into_each_other_at_once_do_not_wait_for_ever() -> None:
    with System.in_thread("one") as one, System.in_thread("two") as two:
        meet = threading.Barrier(2)
        first, second = one.spawn(Spawns, meet), two.spawn(Spawns, meet)
        results = [ask.get(timeout=WAIT) for ask in (first.ask(two), second.ask(one))]
        refused = [result for result in results if isinstance(result, BlockingCall)]
        assert refused, "one of them at least is told"
        assert all("asyncio.to_thread" in str(error) for error in refused)
        for result in results:
            if not isinstance(result, BlockingCall):
                assert result.ask("alive").get(timeout=WAIT) == "alive"
        for system in (one, two):
            assert system.spawn(Echo).ask("alive").get(timeout=WAIT) == "alive"
            spawned = system.run(names(system), WAIT)
            theirs = [result for result in results if not isinstance(result, BlockingCall)]
            assert len(spawned) <= 2 + len(theirs), "what was given up is not left behind"


async def names(system: System) -> list[str]:
    return [node.name for node in system.tree()]


@pytest.mark.usefixtures("impatient")
def test_a_spawn_into_a_system_that_is_busy_for_too_long_is_given_up_and_leaves_no_actor() -> None:
    begun, go = threading.Event(), threading.Event()
    made: ThreadFuture[None] = ThreadFuture()

    class Busy(Actor):
        def on_receive(self, message: Any) -> Any:
            begun.set()
            return go.wait(WAIT)

    class Made(Echo):
        def __init__(self) -> None:
            super().__init__()
            made.set_result(None)

    async def here(system: System) -> None:
        try:
            with pytest.raises(BlockingCall, match=r"asyncio\.to_thread"):
                system.spawn(Made, name="made")
        finally:
            go.set()

    with System.in_thread("busy") as system:
        busy = system.spawn(Busy)
        busy.tell("go")
        assert begun.wait(WAIT)
        on_another_loop(here(system))
        assert system.spawn(Echo).ask("alive").get(timeout=WAIT) == "alive"
        assert system.find("made") is None
        assert not made.done(), "nor is it built later"
        assert system.spawn(Made, name="made").ask("the name is free").get(timeout=WAIT) == "the name is free"


@pytest.mark.usefixtures("impatient")
def test_a_spawn_by_a_thread_without_a_loop_waits_as_long_as_it_takes() -> None:
    begun, go = threading.Event(), threading.Event()

    class Busy(Actor):
        def on_receive(self, message: Any) -> Any:
            begun.set()
            return go.wait(WAIT)

    with System.in_thread("busy") as system:
        system.spawn(Busy).tell("go")
        assert begun.wait(WAIT)
        timer = threading.Timer(0.2, go.set)  # longer than a loop would wait
        timer.start()
        ref = system.spawn(Echo)
        timer.join(WAIT)
        assert ref.ask("built").get(timeout=WAIT) == "built"
        ref.stop(timeout=WAIT)
        with pytest.raises(ActorDead):
            ref.ask("dead").get(timeout=WAIT)
