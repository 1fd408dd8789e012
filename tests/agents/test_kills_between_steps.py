"""Whatever is decided or counted between two steps is so once, whoever is killed at whichever event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard import AfterTool, Agency, Agent, Limits, RunSoFar, StepPlan, StuckLoop, ToolContext, tool
from callboard.actors.agents.events import RunEvent, ToolSpent
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request

from .support import add, function

WHOM = ["agency/A/c", "agency/A", "agency", "model"]


async def each_kill(make: Callable[[], Agency], whom: str, look: Callable[[Any, list[RunEvent]], None]) -> None:
    """Run once for each event, with an actor killed at it, and look at what came of it."""
    killed = 0
    count, _ = await _run(make(), "nobody", 0, look)
    for at in range(count):
        killed += (await _run(make(), whom, at, look))[1]
    assert killed, f"{whom} was never killed"


async def _run(agency: Agency, whom: str, at: int, look: Callable[[Any, list[RunEvent]], None]) -> tuple[int, bool]:
    seen: list[RunEvent] = []
    killed = False

    def kill(event: RunEvent) -> None:
        nonlocal killed
        seen.append(event)
        if len(seen) == at + 1 and agency.system is not None and (ref := agency.system.find(whom)) is not None:
            killed = True
            ref.kill()

    async with agency:
        agency.subscribe(kill)
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(agency.run("go", conversation="c", run_id="r"), return_exceptions=True)
        assert (await agency.replay("c")).same
    look(outcomes[0], seen)
    return len(seen), killed


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_a_run_is_charged_planned_and_stopped_once(whom: str) -> None:
    offered: list[tuple[int, list[str]]] = []
    bought: list[int] = []

    @tool
    async def buy(context: ToolContext) -> str:
        bought.append(1)
        context.track_usage(0.25, "a thing")
        return "bought"

    @tool(idempotent=True)
    async def submit() -> str:
        return "handed in"

    def plan(run: RunSoFar) -> StepPlan:
        return StepPlan(tools=["buy"] if not run.steps else ["submit"])

    def model(request: Request) -> Any:
        step = sum(message.role == "assistant" for message in request.messages)
        offered.append((step, [spec.name for spec in request.tools]))
        return call(request.tools[0].name, f"c{step}")

    def make() -> Agency:
        offered.clear()
        bought.clear()
        agent = Agent("A", tools=[buy, submit], prepare_step=plan, stop_when=AfterTool("submit"))
        return Agency(agent, model=function(model))

    def look(answer: Any, seen: list[RunEvent]) -> None:
        if isinstance(answer, BaseException):
            raise answer
        assert [step.tool for step in answer.steps] == ["buy", "submit"]
        assert [note.partition("(")[0] for note in answer.notes] == ["stopped by AfterTool"]
        told = sum(isinstance(event, ToolSpent) for event in seen)
        assert told == len(bought)  # a call that was lost as it began was not made, and is not made again
        assert told <= 1
        assert answer.cost == 0.25 * told
        assert {tuple(names) for step, names in offered if step == 0} == {("buy",)}
        assert {tuple(names) for step, names in offered if step == 1} == {("submit",)}
        assert problems(answer.messages) == []

    await each_kill(make, whom, look)


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_a_loop_is_found_at_the_same_call(whom: str) -> None:
    def model(request: Request) -> Any:
        return call("add", f"c{len(request.messages)}", a=1, b=2)

    def look(error: Any, seen: list[RunEvent]) -> None:
        assert isinstance(error, StuckLoop), repr(error)
        assert error.partial is not None
        assert len(error.partial.steps) == 3
        assert problems(error.partial.messages) == []

    pure = tool(name="add", idempotent=True, risk="safe")(add.function)
    agent = Agent("A", tools=[pure], limits=Limits(repeats=3))
    await each_kill(lambda: Agency(agent, model=function(model)), whom, look)
