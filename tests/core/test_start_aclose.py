"""A system that is started and closed by calls, where no block can stand around it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import pytest

from callboard.actors import (
    ActorDead,
    ChildSpec,
    RestartLimit,
    SpecError,
    Supervision,
    System,
    SystemClosed,
    current_system,
)
from callboard.actors.testing import Simulation, simulate, virtual_time
from tests.ids import shown

from .support import Echo, Gate, Hold, Log, on_each_loop, run


@on_each_loop
async def test_a_system_may_be_started_and_closed_by_calls() -> None:
    system = System("by hand")
    assert system.start() is system
    assert system.loop is asyncio.get_running_loop()
    ref = system.spawn(Echo)
    assert await ref.ask(1) == 1
    assert not system.closed
    await system.aclose()
    assert system.closed
    assert not ref.is_alive()
    with pytest.raises(SystemClosed):
        system.spawn(Echo)


@on_each_loop
async def test_only_its_own_handlers_find_it_as_the_current_system() -> None:
    class Looks(Echo):
        def on_receive(self, message: Any) -> Any:
            return current_system()

    system = System().start()
    with pytest.raises(SystemClosed, match="no system runs here"):
        current_system()
    with pytest.raises(SystemClosed, match="no system runs here"):
        Echo.start()
    assert await system.spawn(Looks).ask(1) is system
    await system.aclose()


@on_each_loop
async def test_aclosing_may_stand_around_it() -> None:
    async with contextlib.aclosing(System().start()) as system:
        assert await system.spawn(Echo).ask(1) == 1
    assert system.closed


@on_each_loop
async def test_closing_it_stops_its_actors_as_stop_does() -> None:
    log, hold = Log(), Hold()
    system = System().start()
    ref = system.spawn(Gate, log)
    held, queued = ref.ask(hold), ref.ask("queued")
    await hold.begun.wait()
    closing = asyncio.create_task(system.aclose())
    await asyncio.sleep(0)
    hold.go.set()
    await closing
    assert await held == "hold"
    with pytest.raises(ActorDead):
        await queued


@virtual_time
async def test_what_does_not_stop_in_time_is_killed() -> None:
    hold = Hold()
    system = System().start()
    ref = system.spawn(ChildSpec(Gate, name="ref", shutdown=1000.0))
    ref.tell(hold)
    await hold.begun.wait()
    await system.aclose(timeout=2.0)
    assert asyncio.get_running_loop().time() <= 2.0
    assert system.closed
    assert not ref.is_alive()


# -- twice, and wrong --------------------------------------------------------------------------------------------------


@on_each_loop
async def test_it_is_started_once() -> None:
    system = System("once").start()
    with pytest.raises(SystemClosed, match="once running> has been started already"):
        system.start()
    with pytest.raises(SystemClosed, match="started already"):
        async with system:
            pass  # pragma: no cover
    assert await system.spawn(Echo).ask(1) == 1, "it goes on undisturbed"
    await system.aclose()
    with pytest.raises(SystemClosed, match="once closed> has been started already"):
        system.start()


@on_each_loop
async def test_it_is_not_started_inside_of_its_own_block() -> None:
    async with System() as system:
        with pytest.raises(SystemClosed, match="started already"):
            system.start()


def test_without_an_event_loop_it_does_not_start_and_may_be_started_later() -> None:
    system = System()
    with pytest.raises(SystemClosed, match=r"no event loop runs here.*System\.in_thread\(\)"):
        system.start()

    async def main() -> None:
        assert await system.start().spawn(Echo).ask(1) == 1
        await system.aclose()

    run(main())


def test_a_system_on_a_thread_of_its_own_is_started_already() -> None:
    with System.in_thread() as system:
        with pytest.raises(SystemClosed, match="no event loop runs here"):
            system.start()

        async def main() -> None:
            with pytest.raises(SystemClosed, match="started already"):
                system.start()
            with pytest.raises(SystemClosed, match="another event loop"):
                await system.aclose()

        run(main())
        assert system.spawn(Echo).ask(1).get(timeout=10) == 1


@on_each_loop
async def test_closing_it_again_does_nothing_more() -> None:
    system = System().start()
    await asyncio.gather(system.aclose(), system.aclose())
    await system.aclose()
    assert system.closed


@on_each_loop
async def test_closing_one_that_was_never_started_ends_it() -> None:
    system = System()
    await system.aclose()
    assert system.closed
    with pytest.raises(SystemClosed):
        system.start()


@on_each_loop
async def test_it_cannot_be_closed_from_another_loop_and_is_not_disturbed() -> None:
    system = System().start()

    def elsewhere() -> None:
        with pytest.raises(SystemClosed, match=r"another event loop.*close\(\)"):
            asyncio.run(system.aclose())

    await asyncio.to_thread(elsewhere)
    assert await system.spawn(Echo).ask(1) == 1
    await system.aclose()


WRONG: list[Any] = [None, -1, math.nan, "5", True, [5], object()]


@pytest.mark.parametrize("timeout", WRONG, ids=shown)
@on_each_loop
async def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout: Any) -> None:
    system = System().start()
    with pytest.raises(SpecError, match="timeout"):
        await system.aclose(timeout)
    assert not system.closing
    await system.aclose()


# -- what it raises ----------------------------------------------------------------------------------------------------


async def failed(events_before: list[str]) -> System:
    """A system whose top level has given its child up."""
    system = System(supervision=Supervision("one_for_one", 1, 5.0)).start()
    system.subscribe(lambda event: events_before.append(event.kind))
    ref = system.supervise(ChildSpec(Gate, name="ref"))
    for _ in range(2):
        ref.tell(RuntimeError("boom"))
    await system.wait()
    return system


@on_each_loop
async def test_closing_it_raises_why_it_had_stopped_of_itself_each_time() -> None:
    system = await failed([])
    assert system.closed
    for _ in range(2):
        with pytest.raises(RestartLimit, match="more than 1 restarts") as caught:
            await system.aclose()
        assert caught.value is system.failure


@on_each_loop
async def test_a_system_that_fails_disturbs_no_task_of_those_who_started_it() -> None:
    kinds: list[str] = []
    system = await failed(kinds)
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0, "only the body of a block is interrupted"
    assert "escalated" in kinds
    assert kinds[-1] == "system_stopped"
    with pytest.raises(RestartLimit):
        await system.aclose()


@on_each_loop
async def test_cancelling_the_closing_kills_what_is_left_and_goes_on_to_the_caller() -> None:
    hold = Hold()
    system = System().start()
    ref = system.spawn(Gate)
    ref.tell(hold)
    await hold.begun.wait()
    closing = asyncio.create_task(system.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert system.closed
    assert not ref.is_alive()


def test_whenever_it_is_closed_every_ask_has_ended_and_nothing_is_left() -> None:
    async def scenario(sim: Simulation) -> None:
        system = System("inner").start()
        refs = [system.spawn(Gate) for _ in range(3)]
        asks = [ref.ask(number) for number in range(3) for ref in refs]

        async def closes() -> None:
            await system.aclose()

        async with asyncio.TaskGroup() as group:
            for name in ("one", "two"):
                group.create_task(closes(), name=name)
        assert system.closed
        for ask in asks:
            assert isinstance(ask.exception(), ActorDead) or ask.result() in range(3)

    simulate(scenario, seeds=60)
