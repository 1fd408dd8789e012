"""A task that a handler has taken hold of and that is cancelled after the handler has ended harms nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorRef, ChildSpec, System
from callboard.actors.testing import Simulation, simulate

from .support import Echo, Events, Hold, on_each_loop, run


class Captures(Actor):
    """Hands out the task that its handler runs in, which ends in the way the message says; waits for a `Hold`."""

    def __init__(self, other: ActorRef[Any] | None = None) -> None:
        super().__init__()
        self.other = other
        self.captured: list[asyncio.Task[Any]] = []

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Hold):
            message.begun.set()
            await message.go.wait()
            return message.name
        if message == "cancel":  # those that the messages before have captured, in the middle of this one
            cancel(self.captured)
            await asyncio.sleep(0)
            cancel(self.captured)
            return "not cancelled"
        if isinstance(message, list):
            cancel(message)
            await asyncio.sleep(0)
            return "not cancelled"
        task = asyncio.current_task()
        assert task is not None
        await self.wait(message)
        assert asyncio.current_task() is task
        self.captured.append(task)
        return task

    async def wait(self, how: str) -> None:
        match how:
            case "at once":
                return
            case "suspends":
                await asyncio.sleep(0)
            case "iterates":  # the loop has made passes meanwhile
                for _ in range(3):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.001)
            case "asks":  # an actor that answers without a pass of the loop
                assert self.other is not None
                assert await self.other.ask(1) == 1
            case "times out":
                try:
                    async with asyncio.timeout(0):
                        await asyncio.Event().wait()
                except TimeoutError:
                    return
            case "groups":
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(0))
            case _:
                raise AssertionError(how)


HOW = ["at once", "suspends", "iterates", "asks", "times out", "groups"]


def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("again", [1, 3])
@on_each_loop
async def test_it_does_not_cancel_another_actors_handler(how: str, again: int) -> None:
    async with System() as system:
        events = Events(system)
        echo = system.spawn(Echo)
        first, second = system.spawn(Captures, echo), system.spawn(Captures, echo)
        for _ in range(again):
            task = await first.ask(how)
            hold = Hold()
            held = second.ask(hold)  # it may well be given the task that the other one had
            await hold.begun.wait()
            task.cancel()
            await asyncio.sleep(0)
            hold.go.set()
            assert await held == "hold"
            assert await first.ask(how) is not None
        assert events.of("crashed") == []


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_the_next_message_of_the_same_actor(how: str) -> None:
    async with System() as system:
        events = Events(system)
        ref = system.spawn(Captures, system.spawn(Echo))
        task, hold = await ref.ask(how), Hold()
        held = ref.ask(hold)
        await hold.begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        hold.go.set()
        assert await held == "hold"
        assert events.of("crashed") == []


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_the_handler_of_the_same_actor_that_cancels_it(how: str) -> None:
    async with System() as system:
        ref = system.spawn(Captures, system.spawn(Echo))
        await ref.ask(how)
        await ref.ask(how)
        for _ in range(3):
            assert await ref.ask("cancel") == "not cancelled"


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_the_handler_of_another_actor_that_cancels_it(how: str) -> None:
    async with System() as system:
        echo = system.spawn(Echo)
        first, second = system.spawn(Captures, echo), system.spawn(Captures, echo)
        task = await first.ask(how)
        for _ in range(3):
            assert await second.ask([task]) == "not cancelled"


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_what_is_told_and_runs_without_an_asker(how: str) -> None:
    async with System() as system:
        events = Events(system)
        echo = system.spawn(Echo)
        first = system.spawn(Captures, echo)
        second = system.supervise(ChildSpec(Captures, args=(echo,), name="second"))
        task, hold = await first.ask(how), Hold()
        second.tell(hold)
        await hold.begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        hold.go.set()
        assert await second.ask([]) == "not cancelled"
        assert events.of("crashed") == []


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_the_asker_or_the_tasks_of_the_loop(how: str) -> None:
    async with System() as system:
        echo = system.spawn(Echo)
        refs = [system.spawn(Captures, echo) for _ in range(3)]
        tasks = [await ref.ask(how) for ref in refs]
        assert asyncio.current_task() not in tasks
        other = asyncio.create_task(asyncio.sleep(0, "other"))
        cancel(tasks)
        assert await other == "other"
        assert await echo.ask("the asker goes on") == "the asker goes on"
        assert await asyncio.gather(*[ref.ask([]) for ref in refs]) == ["not cancelled"] * 3


@pytest.mark.parametrize("how", HOW)
@on_each_loop
async def test_it_does_not_cancel_hooks_jobs_or_deferred_answers(how: str) -> None:
    ended: list[str] = []

    class Busy(Captures):
        async def on_start(self) -> None:
            await go.wait()
            ended.append("started")

        async def on_stop(self) -> None:
            await asyncio.sleep(0)
            ended.append("stopped")

        async def on_receive(self, message: Any) -> Any:
            if message == "defer":
                return self.reply_with(self.deferred())
            return await super().on_receive(message)

        async def deferred(self) -> str:
            await go.wait()
            return "deferred"

    go = asyncio.Event()
    async with System() as system:
        echo = system.spawn(Echo)
        first = system.spawn(Captures, echo)
        go.set()
        second = await system.spawn(Busy, echo).started()
        go.clear()
        third = system.spawn(Busy, echo)
        deferred = second.ask("defer")
        task = await first.ask(how)
        await echo.ask(1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        go.set()
        await third.started()
        assert await deferred == "deferred"
        stopping = second.stop()
        task.cancel()
        assert await stopping is True
    assert ended == ["started", "started", "stopped", "stopped"]


@on_each_loop
async def test_cancelling_it_while_the_handler_is_at_work_ends_that_handler_only() -> None:
    tasks: list[asyncio.Task[Any]] = []

    class Takes(Captures):
        async def on_receive(self, message: Any) -> Any:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            return await super().on_receive(message)

    async with System() as system:
        ref, other = system.supervise(ChildSpec(Takes, name="takes")), system.spawn(Captures)
        events = Events(system)
        hold, kept = Hold("mine"), Hold("other's")
        held, others = ref.ask(hold), other.ask(kept)
        await hold.begun.wait()
        await kept.begun.wait()
        tasks[0].cancel()
        with pytest.raises(Exception, match="crashed"):
            await held
        kept.go.set()
        assert await others == "other's"
        assert await ref.ask([]) == "not cancelled"
        assert events.of("crashed") == [("crashed", "takes")]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("capture"), st.integers(0, 2), st.sampled_from(HOW)),
        st.tuples(st.just("hold"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("let go"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("cancel"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("cancel in a handler"), st.integers(0, 2), st.just("")),
    ),
    max_size=12,
)


async def play(system: System, steps: list[tuple[str, int, str]]) -> None:
    """Capture tasks, keep handlers at work and cancel what was captured; every ask is answered."""
    echo = system.spawn(Echo, name="echo")
    refs = [system.spawn(Captures, echo, name=f"actor{number}") for number in range(3)]
    holds: list[list[Hold]] = [[], [], []]
    waiting: list[Any] = []
    captured: list[asyncio.Task[Any]] = []
    for what, who, how in steps:
        busy = bool(holds[who])
        match what:
            case "capture" if not busy:
                captured.append(await refs[who].ask(how))
            case "hold":
                hold = Hold(f"hold{who}")
                waiting.append((hold.name, refs[who].ask(hold)))
                holds[who].append(hold)
                await asyncio.sleep(0)  # it begins, as a rule
                await asyncio.sleep(0)
            case "let go" if busy:
                for hold in holds[who]:
                    hold.go.set()
                holds[who].clear()
            case "cancel":
                cancel(captured)
            case "cancel in a handler":
                waiting.append(("not cancelled", refs[who].ask(list(captured))))
    for each in holds:
        for hold in each:
            hold.go.set()
    for expected, ask in waiting:
        assert await ask == expected


drawn = settings(deadline=None, database=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@drawn
@given(steps=STEPS)
def test_whatever_is_captured_and_cancelled_every_ask_is_answered(steps: list[tuple[str, int, str]]) -> None:
    async def main() -> None:
        async with System() as system:
            await play(system, steps)

    run(main())


@drawn
@given(steps=STEPS)
def test_whatever_is_captured_and_cancelled_every_ask_is_answered_under_any_schedule(
    steps: list[tuple[str, int, str]],
) -> None:
    async def scenario(sim: Simulation) -> None:
        await play(sim.system, steps)

    simulate(scenario, seeds=5)
