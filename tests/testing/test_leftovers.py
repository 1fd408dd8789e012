"""What nobody waited for, looked at or ended does not go unnoticed; and what is abandoned acts no more."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from callboard import Actor
from callboard.actors.testing.errors import SimulationError
from callboard.actors.testing.loop.loop import SimulationLoop
from callboard.providers.messages import Message, Request
from callboard.testing import (
    FunctionModel,
    Latency,
    Simulation,
    SimulationFailed,
    Timing,
    UnhandledFailure,
    run_virtual,
    simulate,
    virtual_time,
)


class Fails(Actor):
    def on_receive(self, message: object) -> object:
        raise LookupError("no such page")


async def work() -> None:
    await asyncio.sleep(1)


# -- what nobody waited for --------------------------------------------------------------------------------------------


def test_a_coroutine_that_was_never_awaited_fails_the_run_by_its_name_and_place() -> None:
    async def scenario() -> None:
        work()  # type: ignore[unused-coroutine]

    with pytest.raises(SimulationFailed, match=r"never awaited: work \(.*test_leftovers.py:\d+\)"):
        simulate(scenario, seeds=3)


def test_a_coroutine_that_was_closed_was_not_forgotten() -> None:
    async def scenario() -> None:
        work().close()

    simulate(scenario, seeds=3)


@pytest.mark.filterwarnings("error")
def test_after_a_run_python_warns_of_such_coroutines_as_ever() -> None:
    simulate(work, seeds=1)
    with pytest.warns(RuntimeWarning, match="'work' was never awaited"):
        work()  # type: ignore[unused-coroutine]


def test_an_ask_that_failed_and_that_nobody_looked_at_fails_the_run() -> None:
    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Fails, name="pages").ask("index")
        await asyncio.sleep(1)

    with pytest.raises(SimulationFailed, match=r"an ask of pages failed, and nobody looked: LookupError"):
        simulate(scenario, seeds=3)


def test_a_failed_ask_that_somebody_looks_at_later_is_noticed() -> None:
    async def scenario(sim: Simulation) -> None:
        ask = sim.system.spawn(Fails, name="pages").ask("index")
        await asyncio.sleep(1)
        with pytest.raises(LookupError):
            await ask

    simulate(scenario, seeds=3)


def test_a_failed_ask_whose_exception_is_read_is_noticed() -> None:
    async def scenario(sim: Simulation) -> None:
        ask = sim.system.spawn(Fails, name="pages").ask("index")
        await asyncio.wait([ask])  # type: ignore[type-var]  # it is as good as one of asyncio's
        assert isinstance(ask.exception(), LookupError)

    simulate(scenario, seeds=3)


async def fails() -> None:
    raise LookupError("no such page")


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_task_that_failed_and_that_nobody_looked_at_fails_the_run_by_its_name(kept: bool, order: Any) -> None:
    async def scenario() -> None:
        background = {asyncio.create_task(fails(), name="indexing")}
        if not kept:
            background.clear()
        await asyncio.sleep(1)

    with pytest.raises(SimulationFailed, match="task indexing failed, and nobody looked: LookupError") as failed:
        simulate(scenario, seeds=3, order=order)
    assert 'in fails: raise LookupError("no such page")' in str(failed.value), "the report says where"
    assert isinstance(failed.value.run.error, UnhandledFailure)
    assert isinstance(failed.value.run.error.__cause__, LookupError)


def test_a_task_of_an_actor_that_failed_and_that_nobody_looked_at_fails_the_run() -> None:
    class Takes(Actor):
        def __init__(self) -> None:
            super().__init__()
            self.background: set[Any] = set()

        def on_receive(self, message: object) -> None:
            task = asyncio.create_task(fails(), name="work")
            self.background.add(task)
            task.add_done_callback(self.background.discard)

    async def scenario(sim: Simulation) -> None:
        await sim.system.spawn(Takes, name="takes").ask("order")
        await asyncio.sleep(1)

    with pytest.raises(SimulationFailed, match="task work failed, and nobody looked: LookupError"):
        simulate(scenario, seeds=3)


def divide() -> float:
    return 1 / 0


def test_a_function_in_a_thread_that_failed_and_that_nobody_looked_at_fails_the_run() -> None:
    async def scenario() -> None:
        future = asyncio.get_running_loop().run_in_executor(None, divide)
        await asyncio.sleep(1)
        assert future.done()

    with pytest.raises(SimulationFailed, match="thread divide failed, and nobody looked: ZeroDivisionError"):
        simulate(scenario, seeds=3)
    with pytest.raises(SimulationFailed, match="thread divide failed, and nobody looked: ZeroDivisionError"):
        simulate(scenario, seeds=3, order="asyncio")


def test_a_task_that_failed_and_whose_exception_somebody_takes_is_noticed() -> None:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(fails())

    async def scenario() -> None:
        awaited, read, told, gathered, shielded = (asyncio.create_task(fails()) for _ in range(5))
        told.add_done_callback(lambda task: task.exception())
        with pytest.raises(LookupError):
            await asyncio.shield(shielded)
        with pytest.raises(LookupError):
            await awaited
        assert isinstance((await asyncio.gather(gathered, return_exceptions=True))[0], LookupError)
        assert isinstance(read.exception(), LookupError)
        with pytest.raises(ExceptionGroup):
            await grouped()
        with pytest.raises(LookupError):
            await asyncio.gather(fails(), fails())
        asyncio.create_task(asyncio.sleep(5)).cancel()
        await asyncio.sleep(1)

    simulate(scenario, seeds=30)


@pytest.mark.parametrize("waits", [True, False])
def test_a_hook_of_an_actor_s_end_that_failed_fails_the_run(waits: bool) -> None:
    class Closes(Actor):
        def on_receive(self, message: object) -> None:
            if message == "fail":
                raise ValueError(message)

    class Stops(Closes):
        async def on_stop(self) -> None:
            if waits:
                await asyncio.sleep(1)
            raise LookupError("no such page")

    class Crashes(Closes):
        def on_failure(self, *_: Any) -> None:
            raise LookupError("no such page")

    async def scenario(sim: Simulation, kind: type[Actor], message: str) -> None:
        sim.system.spawn(kind, name="pages").tell(message)
        await asyncio.sleep(1)

    with pytest.raises(SimulationFailed, match="on_stop of pages failed, and nobody looked: LookupError"):
        simulate(lambda sim: scenario(sim, Stops, "stop"), seeds=3)
    with pytest.raises(SimulationFailed, match="on_failure of pages failed, and nobody looked: LookupError"):
        simulate(lambda sim: scenario(sim, Crashes, "fail"), seeds=3)
    simulate(lambda sim: scenario(sim, Closes, "fail"), seeds=3)


def test_a_model_that_is_killed_before_it_answers_leaves_no_coroutine_behind() -> None:
    async def answer(request: Request) -> str:
        return "hello"

    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        model = sim.system.spawn(FunctionModel, answer, name="model")
        asks = [model.ask(Request((Message("user", "hi"),))) for _ in range(3)]
        await asyncio.sleep(0)
        model.kill()
        await asyncio.gather(*asks, return_exceptions=True)

    simulate(scenario, seeds=30, timing=Timing(provider=Latency(0.5, 1.0)))


# -- on the virtual clock of an ordinary test --------------------------------------------------------------------------


def test_a_task_that_failed_and_that_nobody_looked_at_fails_a_test_on_the_virtual_clock() -> None:
    kept: list[Any] = []

    async def main() -> None:
        kept.append(asyncio.create_task(fails(), name="indexing"))
        await asyncio.sleep(1)

    with pytest.raises(UnhandledFailure, match="task indexing failed, and nobody looked: LookupError") as caught:
        run_virtual(main())
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_function_in_a_thread_that_failed_and_that_nobody_looked_at_fails_a_test_on_the_virtual_clock() -> None:
    @virtual_time
    async def test() -> None:
        future = asyncio.get_running_loop().run_in_executor(None, divide)
        await asyncio.sleep(1)
        assert future.done()

    with pytest.raises(UnhandledFailure, match="divide failed, and nobody looked: ZeroDivisionError"):
        test()


def test_a_coroutine_that_was_never_awaited_fails_a_test_on_the_virtual_clock() -> None:
    @virtual_time
    async def test() -> None:
        work()  # type: ignore[unused-coroutine]

    with pytest.raises(UnhandledFailure, match=r"never awaited: work \(.*test_leftovers.py:\d+\)"):
        test()


def test_what_a_test_on_the_virtual_clock_looks_at_or_leaves_running_is_no_failure() -> None:
    @virtual_time
    async def test() -> str:
        failing = asyncio.create_task(fails())
        await asyncio.sleep(1)
        assert isinstance(failing.exception(), LookupError)
        asyncio.create_task(work())  # noqa: RUF006
        work().close()
        return "done"

    assert test() == "done"


def test_what_fails_as_it_is_ended_with_a_test_on_the_virtual_clock_fails_it() -> None:
    async def closes_badly() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            raise LookupError("the connection is gone")

    @virtual_time
    async def test() -> None:
        asyncio.create_task(closes_badly(), name="pool")  # noqa: RUF006
        await asyncio.sleep(1)

    with pytest.raises(UnhandledFailure, match="task pool failed, and nobody looked: LookupError"):
        test()


def test_a_time_limit_that_strikes_in_a_callback_of_a_test_on_the_virtual_clock_is_raised() -> None:
    class TimeIsUp(BaseException):
        """What the handler of a signal raises, wherever the loop is."""

    def wakes() -> None:
        raise TimeIsUp

    @virtual_time
    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(wakes)
        await loop.create_future()

    with pytest.raises(TimeIsUp):
        test()


# -- task factories ----------------------------------------------------------------------------------------------------


def test_a_task_factory_of_ones_own_is_refused_by_its_name() -> None:
    def my_factory(loop: Any, coro: Any, **_: Any) -> Any:
        return asyncio.Task(coro, loop=loop)

    async def scenario() -> None:
        asyncio.get_running_loop().set_task_factory(my_factory)

    with pytest.raises(
        SimulationFailed, match=r"task factory .*my_factory makes tasks that a simulation cannot number"
    ):
        simulate(scenario, seeds=1)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_start_as_they_are_made() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        seen: list[str] = []

        async def worker(name: str) -> None:
            seen.append(name)
            await asyncio.sleep(1)
            seen.append(f"{name} slept")

        tasks = [asyncio.create_task(worker(name)) for name in "ab"]
        assert seen == ["a", "b"]
        await asyncio.gather(*tasks)
        loop.set_task_factory(None)
        late = asyncio.create_task(worker("c"))
        assert "c" not in seen
        await late
        return sorted(seen)

    loop = SimulationLoop()
    try:
        assert loop.run_until_complete(main()) == ["a", "a slept", "b", "b slept", "c", "c slept"]
    finally:
        loop.abandon()


# -- what is abandoned -------------------------------------------------------------------------------------------------


def abandoned(*coroutines: Any) -> SimulationLoop:
    """A loop that was left while these coroutines were waiting."""
    loop = SimulationLoop()
    for coro in coroutines:
        loop.create_task(coro)
    loop.run_until_complete(asyncio.sleep(1))
    loop.abandon()
    return loop


def test_what_a_coroutine_raises_as_it_is_closed_reaches_nobody_and_the_others_are_closed_too() -> None:
    closed: list[int] = []

    async def raises(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            closed.append(number)
            raise (KeyboardInterrupt, LookupError, SystemExit)[number]

    loop = abandoned(*map(raises, range(3)))
    assert closed == [0, 1, 2]
    assert loop.is_closed()
    assert not loop.unhandled


def test_a_coroutine_that_waits_again_as_it_is_closed_is_left() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except GeneratorExit:
                continue

    assert abandoned(stubborn()).is_closed()


def test_what_is_abandoned_acts_no_more() -> None:
    acted: list[str] = []
    refused: list[str] = []

    async def late(name: str) -> None:
        acted.append(name)

    async def acts() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            the_loop.call_soon(acted.append, "soon")
            the_loop.call_later(0, acted.append, "later")
            event.set()
            try:
                the_loop.create_task(late("task"))
            except SimulationError as error:
                refused.append(str(error))

    async def waits() -> None:
        await event.wait()
        acted.append("woken")

    event = asyncio.Event()
    the_loop = SimulationLoop()
    the_loop.create_task(waits())
    the_loop.create_task(acts())
    the_loop.run_until_complete(asyncio.sleep(1))
    the_loop.abandon()
    assert not acted
    assert refused == ["the simulation is over: no new task can start"]
    assert the_loop.is_closed()
    assert not the_loop.pending_timers()
    assert not the_loop.unfinished()


def test_a_failing_run_whose_tasks_raise_as_they_are_closed_is_reported_for_its_own_failure() -> None:
    async def raises() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise LookupError("while it is closed")

    async def scenario() -> None:
        task = asyncio.create_task(raises())
        await asyncio.sleep(0)
        assert task is None, "the failure itself"

    with pytest.raises(SimulationFailed, match="the failure itself"):
        simulate(scenario, seeds=1)
