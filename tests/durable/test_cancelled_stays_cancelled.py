"""What was cancelled stays cancelled: no later incarnation, run or process carries it out."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, ChildSpec, Request, tool
from callboard.actors.agents.errors import AgentError
from callboard.testing import Crash, FunctionModel, Simulation, simulate

from .support import call, echo, function, kill, outcome, passes, results, said, until


class Watched:
    """A model that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: Request) -> str:
        self.asked.append(said(request))
        return echo(request)


async def cancelled_after(agency: Agency, number: int, conversation: str | None = "c") -> asyncio.Future[Answer]:
    """Begin a run, and cancel it after so many passes of the loop."""
    run = asyncio.ensure_future(agency.run("cancelled", conversation=conversation))
    await passes(number)
    run.cancel()
    await asyncio.wait([run])
    return run


@pytest.mark.parametrize("number", range(8))
async def test_a_cancelled_run_is_not_carried_out_by_the_next_run_of_its_conversation(number: int) -> None:
    model = Watched()
    async with Agency(Agent("A"), model=function(model)) as agency:
        run = await cancelled_after(agency, number)
        assert run.cancelled() or "cancelled" in model.asked, "it ended, and the model was never asked"
        before = len(model.asked)
        answer = await outcome(agency.run("kept", conversation="c"))
        await passes(50)
    assert model.asked[before:] == ["kept"], f"cancelled after {number} passes, it was carried out later"
    assert answer.text == "to kept"


@pytest.mark.parametrize("whom", ["agency/A", "agency"])
@pytest.mark.parametrize("number", range(1, 6))
async def test_a_cancelled_run_is_not_carried_out_by_the_next_incarnation(number: int, whom: str) -> None:
    model = Watched()
    async with Agency(Agent("A"), model=function(model)) as agency:
        await cancelled_after(agency, number)
        before = len(model.asked)
        assert kill(agency, whom)
        await passes(100)
        assert model.asked[before:] == [], f"cancelled after {number} passes, it was carried out after a crash"


@pytest.mark.parametrize("number", range(1, 6))
async def test_a_cancelled_run_is_not_carried_out_by_the_next_process(tmp_path: Path, number: int) -> None:
    model = Watched()
    async with Agency(Agent("A"), model=function(model), journal=tmp_path / "j.db") as agency:
        await cancelled_after(agency, number, "c")
        await cancelled_after(agency, number, None)
    before = len(model.asked)
    async with Agency(Agent("A"), model=function(model), journal=tmp_path / "j.db") as agency:
        left = [await outcome(run) for run in agency.resumed.values()]
        await passes(50)
    assert model.asked[before:] == [], f"cancelled after {number} passes, it was carried out by the next process"
    assert left == [], "what was cancelled was given to the next process to go on with"


async def test_a_run_cancelled_while_it_waits_behind_another_is_never_begun(tmp_path: Path) -> None:
    model, go = Watched(), asyncio.Event()

    async def slow(request: Request) -> str:
        answer = model(request)
        await go.wait()
        return answer

    async with Agency(Agent("A"), model=function(slow), journal=tmp_path / "j.db") as agency:
        first = asyncio.ensure_future(agency.run("first", conversation="c"))
        assert await until(lambda: model.asked)
        for number in range(4):
            await cancelled_after(agency, number)
        go.set()
        assert (await outcome(first)).text == "to first"
        assert (await outcome(agency.run("last", conversation="c"))).text == "to last"
    assert model.asked == ["first", "last"]


async def test_a_crash_in_the_run_after_a_cancelled_one_repeats_none_of_its_tools() -> None:
    effects: list[str] = []
    killed = False

    @tool
    async def charge(what: str) -> str:
        effects.append(what)
        return "charged"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("charge", what=said(request))

    async with Agency(Agent("A", tools=[charge]), model=function(model)) as agency:

        def look(event: Any) -> None:
            nonlocal killed
            if type(event).__name__ == "ToolFinished" and not killed:
                killed = kill(agency, "agency/A/c")

        await cancelled_after(agency, 1)
        before = list(effects)
        agency.subscribe(look)
        answer = await outcome(agency.run("kept", conversation="c"))
        await passes(50)
    assert killed
    assert answer.text == "done"
    assert effects == [*before, "kept"], f"the tools of a cancelled run were run: {effects}"


async def test_leaving_a_stream_before_it_is_taken_up_begins_nothing_later() -> None:
    model = Watched()
    async with Agency(Agent("A"), model=function(model)) as agency:
        for number in range(5):
            stream = agency.run_streaming("cancelled", conversation="c")
            first = asyncio.ensure_future(anext(stream))
            await passes(number)
            first.cancel()
            await asyncio.wait([first])
            await stream.aclose()
            before = len(model.asked)
            await outcome(agency.run("kept", conversation="c"))
            assert model.asked[before:] == ["kept"], f"left after {number} passes, it was carried out later"


async def cancelled_at_any_pass(sim: Simulation) -> None:
    done: list[str] = []
    gone: set[str] = set()
    late: list[str] = []

    async def model(request: Request) -> Any:
        question = said(request)
        (late if question in gone else done).append(question)
        await asyncio.sleep(0.1)
        return "done" if results(request) else call("work", what=question)

    @tool(idempotent=True)
    async def work(what: str) -> str:
        (late if what in gone else done).append(what)
        await asyncio.sleep(0.1)
        return what

    spec = ChildSpec(FunctionModel, (model,), name="model")
    async with Agency(Agent("A", "a", tools=[work]), model=spec, system=sim.system) as agency:
        for number in (0, 1, 2, 3, 5, 8, 13):
            question = f"cancelled {number}"
            run = asyncio.ensure_future(agency.run(question, conversation="one"))
            await passes(number)
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError, AgentError):
                await run
            await sim.idle()  # what had been sent to stop it has been taken up
            gone.add(question)
            answer = await agency.run(f"kept {number}", conversation="one")
            assert answer.text == "done"
            assert done[-1] == f"kept {number}"
            assert not late, f"carried out after they had been cancelled: {late}"
        await agency.release("one")


@pytest.mark.parametrize("actor", ["agency/A", "agency/A/one"])
def test_cancelled_at_any_pass_of_the_loop_under_any_crash_a_run_stays_cancelled(actor: str) -> None:
    simulate(cancelled_at_any_pass, seeds=10, faults=[Crash(actor)])
