"""What a person reads of a failure: whose code, who waits, what happened, by which names."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import Deadlock, Simulation, SimulationFailed, simulate

from .gallery import Scenario


def find(scenario: Scenario, **options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        simulate(scenario, **{"seeds": 300, **options})
    return caught.value


# -- whose code --------------------------------------------------------------------------------------------------------


class Failing(Actor):
    def on_receive(self, message: Any) -> Any:
        if message == "alone":
            raise RuntimeError("lost")


async def fails_in_an_actor(sim: Simulation) -> None:
    await sim.system.spawn(Failing).ask("alone")


async def fails_in_a_group(sim: Simulation) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fails_in_an_actor(sim))


async def fails_after_an_error(sim: Simulation) -> None:
    try:
        await sim.system.spawn(Failing).ask("alone")
    except RuntimeError as error:
        raise ValueError("gave up") from error


async def fails_in_the_library(sim: Simulation) -> None:
    sim.system.spawn(Failing, name="a/b")


def modules(error: BaseException | None) -> list[str]:
    """Whose frames an exception's traceback shows."""
    if error is None:
        return []
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return frames + [name for each in (error.__cause__, *inner) for name in modules(each)]


@pytest.mark.parametrize("scenario", [fails_in_an_actor, fails_in_a_group, fails_after_an_error])
def test_a_cause_s_traceback_shows_the_reader_s_code_alone(scenario: Scenario) -> None:
    assert set(modules(find(scenario).__cause__)) == {__name__}


def test_a_cause_raised_in_the_library_shows_the_call_and_where_it_was_raised() -> None:
    names = modules(find(fails_in_the_library).__cause__)
    assert names[0] == __name__
    assert len(names) == 2
    assert names[1].startswith("callboard.actors.core.")


def test_a_failure_s_own_traceback_shows_the_call_of_simulate_alone() -> None:
    failed = find(fails_in_an_actor)
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(failed.__traceback__)]
    assert frames == ["find", "simulate"]


def test_a_failure_that_only_the_simulator_saw_shows_no_code() -> None:
    async def scenario(sim: Simulation) -> None:
        await asyncio.Event().wait()

    failed = find(scenario)
    assert isinstance(failed.__cause__, Deadlock)
    assert modules(failed.__cause__) == []


# -- by which names ----------------------------------------------------------------------------------------------------


class Late(Actor):
    """Its handlers wait."""

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return message


async def two_unnamed(sim: Simulation) -> None:
    late = sim.system.spawn(Late, name="late")
    took: list[Any] = []

    async def work() -> None:
        took.append(await late.ask(len(took)))
        took.append(await late.ask(len(took)))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(work())
        group.create_task(work(), name="named")
        group.create_task(work(), name="named")
    assert took == sorted(took), "out of order"


def test_a_task_has_one_name_in_the_schedule_and_in_the_trace() -> None:
    run = find(two_unnamed).run
    senders = {fact.sender for fact in run.trace.of("ask")}
    assert senders == {"work", "work~2", "named", "named~2"}
    lanes = {hold.lane.partition("#")[0] for hold in run.holds}
    assert lanes <= {*senders, "late", "loop", "client", "sim-leader"}


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_tasks_of_one_name_are_told_apart_in_the_trace(order: str) -> None:
    async def scenario(sim: Simulation) -> None:
        await two_unnamed(sim)

    try:
        run = simulate(scenario, seeds=0, order=order)  # type: ignore[arg-type]
    except SimulationFailed as failed:
        run = failed.run
    assert {fact.sender for fact in run.trace.of("ask")} == {"work", "work~2", "named", "named~2"}


def test_a_waiting_handler_is_named_by_its_actor_and_the_number_of_its_message() -> None:
    steps: list[str] = []

    class Runner(Actor):
        async def on_receive(self, message: Any) -> None:
            steps.append(f"{message} starts")
            await asyncio.sleep(0)
            steps.append(f"{message} ends")

    async def scenario(sim: Simulation) -> None:
        first, second = (sim.system.spawn(Runner, name=name) for name in ("first", "second"))
        await second.ask("a message before")
        steps.clear()
        first.tell("first")
        second.tell("second")
        await sim.idle()
        assert steps != ["first starts", "second starts", "second ends", "first ends"], "overtaken"

    assert "first#1" in {hold.lane for hold in find(scenario).run.holds}


def test_a_task_s_own_name_stays() -> None:
    async def scenario(sim: Simulation) -> None:
        async def named() -> str:
            task = asyncio.current_task()
            assert task is not None
            await sim.system.spawn(Late).ask(1)
            return task.get_name()

        tasks = [asyncio.create_task(named(), name="twin") for _ in range(2)]
        assert await asyncio.gather(*tasks) == ["twin", "twin"]

    simulate(scenario, seeds=20)
