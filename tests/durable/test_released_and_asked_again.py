"""What is asked for behind a release begins anew; what nobody expects harms one run at most."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Answer,
    ChildSpec,
    DefinitionError,
    LimitReached,
    Limits,
    MemoryJournal,
    RunCancelled,
    UnknownApproval,
    tool,
)
from callboard.testing import FunctionModel, Simulation, simulate

from .support import echo, function, kill, outcome, results, said, until


async def released_meanwhile(sim: Simulation) -> None:
    model = ChildSpec(FunctionModel, (echo,), name="model")
    async with Agency(Agent("A"), model=model, journal=MemoryJournal(), system=sim.system) as agency:
        await agency.run("0", conversation="c")
        before = asyncio.ensure_future(agency.run("1", conversation="c", run_id="k1"))
        release = asyncio.ensure_future(agency.release("c"))
        behind = asyncio.ensure_future(agency.run("2", conversation="c", run_id="k2", limits=Limits(seconds=5)))
        ended = await asyncio.wait_for(asyncio.gather(before, release, behind, return_exceptions=True), 60)
        assert isinstance(ended[0], Answer | RunCancelled)
        assert ended[1] is None
        assert isinstance(ended[2], Answer | RunCancelled)
        assert (await agency.run("3", conversation="c")).text == "to 3"


def test_every_run_ends_that_is_asked_for_while_its_conversation_is_released() -> None:
    simulate(released_meanwhile, seeds=40)


@pytest.mark.parametrize("passes", range(0, 12, 2))
async def test_a_run_asked_for_behind_a_release_has_a_conversation_of_its_own(tmp_path: Path, passes: int) -> None:
    async with Agency(Agent("A"), model=function(echo), journal=tmp_path / "j.db") as agency:
        await agency.run("first", conversation="c")
        release = asyncio.ensure_future(agency.release("c"))
        for _ in range(passes):
            await asyncio.sleep(0)
        answer = await outcome(agency.run("second", conversation="c"))
        await release
        assert isinstance(answer, Answer), repr(answer)
        assert answer.text == "to second"


async def test_a_conversation_that_is_not_there_may_be_released_and_begun_at_once(tmp_path: Path) -> None:
    async with Agency(Agent("A"), model=function(echo), journal=tmp_path / "j.db") as agency:
        release = asyncio.ensure_future(agency.release("c"))
        await asyncio.sleep(0)
        answer = await outcome(agency.run("second", conversation="c"))
        await release
        assert isinstance(answer, Answer), repr(answer)


@pytest.mark.parametrize("error", [SystemExit("enough"), asyncio.CancelledError(), BaseException("odd")], ids=repr)
async def test_what_a_subscriber_raises_is_no_affair_of_the_run(error: BaseException) -> None:
    def look(event: object) -> None:
        raise error

    async with Agency(Agent("A"), model=function(echo)) as agency:
        agency.subscribe(look)
        assert (await agency.run("?", conversation="c")).text == "to ?"


async def test_an_approval_can_be_given_in_the_moment_in_which_its_conversation_is_restarted() -> None:
    @tool
    async def work() -> str:
        return "worked"

    def model(request: Any) -> Any:
        from callboard.actors.testing.doubles.models import call

        return "done" if results(request) else call("work")

    agent = Agent("A", "a", tools=[work], autonomy="manual")
    async with Agency(agent, model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        (approval,) = agency.approvals
        assert kill(agency, "agency/A/c")
        agency.approve(approval)
        with pytest.raises(UnknownApproval):
            agency.approve(approval)
        assert (await outcome(run)).text == "done"
        assert agency.approvals == ()


@pytest.mark.parametrize("limits", [Limits(steps=0), Limits(tokens=0)], ids=repr)
async def test_a_run_that_may_use_nothing_buys_nothing(limits: Limits) -> None:
    asked: list[object] = []

    def model(request: Any) -> str:
        asked.append(request)
        return "x"

    async with Agency(Agent("A"), model=function(model)) as agency:
        with pytest.raises(LimitReached):
            await agency.run("?", limits=limits)
    assert asked == []


async def test_an_agent_is_an_agent_or_a_name() -> None:
    async with Agency(Agent("A"), model=function(echo)) as agency:
        with pytest.raises(DefinitionError, match="an agent is an Agent or its name, not 5"):
            await agency.run("?", agent=5)  # type: ignore[call-overload]


async def test_a_run_id_of_another_conversation_disturbs_nobody_at_work(tmp_path: Path) -> None:
    path, go = tmp_path / "j.db", asyncio.Event()
    asked: list[str] = []

    async def model(request: Any) -> str:
        asked.append(said(request))
        if said(request) == "slow":
            await go.wait()
        return echo(request)

    async with Agency(Agent("A"), model=function(model), journal=path) as agency:
        await agency.run("taken", conversation="c1", run_id="q1")
    async with Agency(Agent("A"), model=function(model), journal=path) as agency:
        slow = asyncio.ensure_future(agency.run("slow", conversation="victim"))
        assert await until(lambda: "slow" in asked)
        for _ in range(6):
            with pytest.raises(DefinitionError, match="q1"):
                await agency.run("hello", conversation="victim", run_id="q1")
        go.set()
        assert (await outcome(slow)).text == "to slow"
    assert asked == ["taken", "slow"]
