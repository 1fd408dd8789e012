"""A graceful stop takes nothing from anybody that ``kill -9`` would have kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Request, tool
from callboard.actors.agents.errors import AgencyClosed, UnknownAgent
from callboard.testing import virtual_time

from .support import call, function, left_behind, outcome, passes, results, until


class Team:
    """A planner that delegates to a worker with a tool; the first process's model, tool or person may never answer."""

    def __init__(self, stuck_at: str) -> None:
        self.stuck_at = stuck_at
        self.stuck = asyncio.Event()
        self.asked: list[str] = []

    async def reach(self, point: str) -> None:
        """Stay here for ever, if this is where the process stays."""
        if point == self.stuck_at:
            self.stuck.set()
            await asyncio.Event().wait()

    def agency(self, journal: Path | None) -> Agency:
        """The team, as each process makes it."""

        @tool(idempotent=True)
        async def work() -> str:
            await self.reach("tool")
            return "worked"

        async def model(request: Request) -> Any:
            who, done = request.messages[0].text.partition("\n")[0], results(request)
            self.asked.append(f"{who} {len(done)}")
            await self.reach(f"{who} {len(done)}")
            if done:
                return f"{who}: {done[-1]}"
            return call("SendMessage", "h", target_agent="W", message="work") if who == "p" else call("work", "w")

        worker = Agent("W", "w", tools=[work], autonomy="supervised" if self.stuck_at == "approval" else "autonomous")
        planner = Agent("P", "p", handoffs=[worker])
        made = Agency(planner, worker, model=function(model), journal=journal)
        if self.stuck_at == "approval":
            made.subscribe(lambda event: self.stuck.set() if type(event).__name__ == "ApprovalRequested" else None)
        return made


POINTS = ["p 0", "w 0", "tool", "w 1", "p 1", "approval"]


@pytest.mark.parametrize("conversation", ["c", None], ids=["kept", "once"])
@pytest.mark.parametrize("point", POINTS)
async def test_the_next_agency_on_the_file_goes_on_with_what_was_under_way(
    tmp_path: Path, point: str, conversation: str | None
) -> None:
    team = Team(point)
    async with team.agency(tmp_path / "j.db") as agency:
        run = asyncio.ensure_future(agency.run("go", conversation=conversation))
        async with asyncio.timeout(5):
            await team.stuck.wait()
    assert isinstance(await outcome(run), AgencyClosed)
    before = list(team.asked)
    team.stuck_at = "approval" if point == "approval" else ""
    async with team.agency(tmp_path / "j.db") as agency:
        assert len(agency.resumed) == 1, "a graceful stop threw away what a kill would have kept"
        (resumed,) = agency.resumed.values()
        if point == "approval":
            assert await until(lambda: agency.approvals)
            agency.approve(agency.approvals[0])
        answer = await outcome(resumed)
        assert isinstance(answer, Answer), repr(answer)
        assert answer.text == "p: w: worked"
    assert [asked for asked in set(team.asked) if team.asked.count(asked) > 1] in ([], [before[-1]])
    async with team.agency(tmp_path / "j.db") as agency:
        assert agency.resumed == {}


async def test_what_ends_within_the_drain_is_answered_as_ever(tmp_path: Path) -> None:
    go, asked = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        await go.wait()
        return "in time"

    async with Agency(Agent("A"), model=function(model), journal=tmp_path / "j.db") as agency:
        run = asyncio.ensure_future(agency.run("go", conversation="c"))
        await asked.wait()
        stopping = asyncio.ensure_future(agency.stop(drain=5))
        await passes(5)
        with pytest.raises(AgencyClosed):
            await agency.run("too late")
        go.set()
        assert (await outcome(run)).text == "in time"
        await stopping
    async with Agency(Agent("A"), model=function(model), journal=tmp_path / "j.db") as agency:
        assert agency.resumed == {}


async def test_without_a_file_what_is_under_way_ends_for_good() -> None:
    team = Team("tool")
    async with team.agency(None) as agency:
        run = asyncio.ensure_future(agency.run("go"))
        await team.stuck.wait()
    assert isinstance(await outcome(run), AgencyClosed)


def waiting_for_a_person() -> tuple[Agency, Callable[[], bool]]:
    """An agency, and whether a call of it waits for a person."""

    @tool
    async def pay() -> str:
        return "paid"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("pay")

    agency = Agency(Agent("A", tools=[pay], autonomy="supervised"), model=function(model))
    return agency, lambda: bool(agency.approvals)


@pytest.mark.parametrize("drain", [0.0, 30.0])
def test_an_approval_that_nobody_answers_holds_a_stop_no_longer_than_the_drain(drain: float) -> None:
    @virtual_time
    async def stops() -> None:
        agency, waits = waiting_for_a_person()
        await agency.start()
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(waits)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(10 * (drain + 1)):
            await agency.stop(drain=drain)
        assert loop.time() - begun <= drain + 1
        assert isinstance(await outcome(run), AgencyClosed)

    stops()


def test_an_approval_that_came_back_after_a_crash_holds_a_stop_no_longer_than_the_drain() -> None:
    @virtual_time
    async def stops() -> None:
        agency, waits = waiting_for_a_person()
        await agency.start()
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(waits)
        assert agency.system is not None
        ref = agency.system.find("agency/A/c")
        assert ref is not None
        ref.kill()
        await passes(20)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(300):
            await agency.stop(drain=30)
        assert loop.time() - begun <= 31
        assert isinstance(await outcome(run), AgencyClosed)

    stops()


async def test_a_cancelled_run_whose_delegate_waited_for_a_person_holds_no_stop(tmp_path: Path) -> None:
    team = Team("approval")
    agency = team.agency(tmp_path / "j.db")
    await agency.start()
    run = asyncio.ensure_future(agency.run("go", conversation="c"))
    async with asyncio.timeout(5):
        await team.stuck.wait()
    run.cancel()
    await asyncio.wait([run])
    stopping = asyncio.ensure_future(agency.stop(drain=600))
    try:
        assert await outcome(stopping, "a stop that has nothing to wait for") is None
    finally:
        await agency.stop()


async def test_stopping_with_an_open_run_of_an_agent_that_has_gone_ends_it_by_name(tmp_path: Path) -> None:
    left_behind(tmp_path / "j.db", "tool")
    agency = Agency(Agent("Renamed"), model=function(lambda request: "fine"), journal=tmp_path / "j.db")
    async with agency:
        (resumed,) = agency.resumed.values()
    assert isinstance(await outcome(resumed), UnknownAgent | AgencyClosed)
    async with Agency(Agent("Renamed"), model=function(lambda request: "fine"), journal=tmp_path / "j.db") as agency:
        assert (await outcome(agency.run("?"))).text == "fine"


@pytest.mark.parametrize("moment", ["before it is taken up", "at the model"])
async def test_in_memory_whoever_waits_is_told_that_the_agency_stopped(moment: str) -> None:
    asked = 0

    async def stuck(request: Request) -> str:
        nonlocal asked
        asked += 1
        return await asyncio.Event().wait() and ""

    agency = Agency(Agent("A", "a"), model=function(stuck))
    await agency.start()

    async def streamed() -> None:
        async for _ in agency.run_streaming("stream it", conversation="s"):
            pass

    handle = await agency.start_run("in the background", conversation="b")
    waiting = [
        asyncio.ensure_future(one)
        for one in (agency.run("ask", conversation="r"), streamed(), handle.answer(), agency.run("once"))
    ]
    if moment == "at the model":
        await until(lambda: asked == 4)
    else:
        await asyncio.sleep(0)
    await agency.stop()
    outcomes = [await outcome(one) for one in waiting]
    assert [type(one) for one in outcomes] == [AgencyClosed] * 4, outcomes
