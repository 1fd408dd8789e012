"""Whoever gives up waiting ends a run that nobody else waits for, and no other; also from another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors.agents.errors import AgencyClosed, RunCancelled
from callboard.testing import Simulation, simulate
from tests.durable.support import eventually, function, passes

from .held import Held
from .test_runs_of_other_processes import postgres, shared, started, worker

__all__ = ["postgres", "shared"]

ASKED: Any = {"conversation": "c", "run_id": "r1"}


async def read(agency: Agency) -> None:
    async for _ in agency.run_streaming("hold on", **ASKED):
        pass


def wait_for_it(agency: Agency, how: str) -> asyncio.Task[Any]:
    """Somebody who waits for the run."""
    return asyncio.ensure_future(agency.run("hold on", **ASKED) if how == "run" else read(agency))


async def is_seen(agency: Agency) -> None:
    """Until somebody waits here who knows that the run is under way."""

    def accepted() -> bool:
        entry = agency._runtime.register.get("r1")
        return entry is not None and entry.accepted and entry.waiters > 0

    await eventually(accepted, "waiting for a run of elsewhere")


async def give_up(waiter: asyncio.Task[Any]) -> None:
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


@pytest.mark.parametrize("how", ["run", "run_streaming"])
async def test_giving_up_here_leaves_a_background_run_of_another_process_alone(shared: str, how: str) -> None:
    async with worker(shared) as other, Held(open=True).agency(shared) as agency:
        await started(other)
        waiter = wait_for_it(agency, how)
        await is_seen(agency)
        await give_up(waiter)
        await agency.steer("c", "still there?")  # what was said before it has been taken by then
        other.tell("go")
        assert await other.says() == "ANSWER r1 heard hold on, still there?"
        assert (await agency.run("hold on", **ASKED)).text == "heard hold on, still there?"


@pytest.mark.parametrize("how", ["run", "run_streaming"])
@pytest.mark.parametrize("begun_by", ["start_run", "run"])
async def test_giving_up_leaves_a_run_to_those_who_wait_for_it_elsewhere(
    begun_by: str, how: str, tmp_path: Path
) -> None:
    there, here = Held(), Held(open=True)
    async with there.agency(tmp_path / "j.db") as other, here.agency(tmp_path / "j.db") as agency:
        if begun_by == "run":
            task = asyncio.ensure_future(other.run("hold on", **ASKED))
        else:
            task = asyncio.ensure_future((await other.start_run("hold on", **ASKED)).answer())
        await there.begun.wait()
        waiter = wait_for_it(agency, how)
        await is_seen(agency)
        await give_up(waiter)
        await agency.steer("c", "still there?")
        there.go.set()
        assert (await task).text == "heard hold on, still there?"
        assert here.asked == 0


async def test_one_of_two_who_wait_here_may_give_up(tmp_path: Path) -> None:
    there, here = Held(), Held(open=True)
    async with there.agency(tmp_path / "j.db") as other, here.agency(tmp_path / "j.db") as agency:
        await other.start_run("hold on", **ASKED)
        first = wait_for_it(agency, "run")
        await is_seen(agency)
        second = wait_for_it(agency, "run")
        await eventually(lambda: agency._runtime.register.open()[0].waiters == 2, "a second one who waits")
        await give_up(first)
        third = wait_for_it(agency, "run")
        await give_up(second)
        there.go.set()
        assert (await third).text == "heard hold on"


async def test_whoever_asks_again_as_the_last_one_gives_up_gets_the_answer(tmp_path: Path) -> None:
    there, here = Held(), Held(open=True)
    async with there.agency(tmp_path / "j.db") as other, here.agency(tmp_path / "j.db") as agency:
        await other.start_run("hold on", **ASKED)
        first = wait_for_it(agency, "run")
        await is_seen(agency)
        first.cancel()
        second = wait_for_it(agency, "run")
        await asyncio.wait([first])
        there.go.set()
        assert (await second).text == "heard hold on"


def test_giving_up_at_the_moment_of_the_answer_takes_no_time() -> None:
    async def scenario(sim: Simulation) -> None:
        async with Agency(Agent("A"), model=function(lambda _: "answer"), system=sim.system) as agency:
            for number in range(20):
                run = asyncio.ensure_future(agency.run("go", conversation="c"))
                await passes(number)
                began = sim.now
                run.cancel()
                await asyncio.wait([run])
                assert sim.now == began, f"cancelled after {number} passes of the loop, it went on waiting"
            await sim.idle()  # what was sent to begin the last ones has been taken up

    simulate(scenario, seeds=10)


async def test_a_cancel_that_is_asked_for_ends_it_everywhere(tmp_path: Path) -> None:
    there, here = Held(), Held(open=True)
    async with there.agency(tmp_path / "j.db") as other, here.agency(tmp_path / "j.db") as agency:
        background = await other.start_run("hold on", **ASKED)
        waiter = wait_for_it(agency, "run")
        await is_seen(agency)
        await (await agency.handle("r1")).cancel("enough")
        for waiting in (background.answer(), waiter):
            with pytest.raises(RunCancelled, match="enough"):
                await waiting


@asynccontextmanager
async def restarted(where: str, begun_by: str, journal: Path) -> AsyncIterator[tuple[Held, Agency, asyncio.Task[Any]]]:
    """The model and the agency that go on with a run which a process has left behind, and somebody who waits for it
    here, in that agency, or elsewhere, in one beside it."""
    await interrupted(journal, begun_by)
    there, here = Held(), Held(open=True)
    async with there.agency(journal) as other:
        await there.begun.wait()  # before it has the run, whoever comes may take it up
        async with here.agency(journal) as third:
            agency = other if where == "here" else third
            waiter = wait_for_it(agency, "run")
            await is_seen(agency)
            yield there, other, waiter


async def interrupted(journal: Path, begun_by: str) -> None:
    """A run that a process leaves behind."""
    held = Held()
    async with held.agency(journal) as agency:
        if begun_by == "run":
            waiter = wait_for_it(agency, "run")
        else:
            await agency.start_run("hold on", **ASKED)
        await held.begun.wait()
    if begun_by == "run":
        with pytest.raises(AgencyClosed):
            await waiter


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_background_run_is_one_after_a_restart_too(where: str, tmp_path: Path) -> None:
    async with restarted(where, "start_run", tmp_path / "j.db") as (there, agency, waiter):
        await give_up(waiter)
        await agency.steer("c", "still there?")
        there.go.set()
        assert (await agency.resumed["r1"]).text == "heard hold on, still there?"


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_run_that_nobody_else_waits_for_ends_when_its_waiter_gives_up(where: str, tmp_path: Path) -> None:
    async with restarted(where, "run", tmp_path / "j.db") as (_, agency, waiter):
        await give_up(waiter)
        with pytest.raises(RunCancelled, match="its caller was cancelled"):
            await agency.resumed["r1"]
