"""Whatever is decided or counted between two steps is so once, whoever is killed at whichever event."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import AfterTool, Agency, Agent, Limits, RunSoFar, StepPlan, StuckLoop, ToolContext, tool
from callboard.actors.agents.events import RunEvent, ToolSpent
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request

from .support import add, each_kill, function

WHOM = ["agency/A/c", "agency/A", "agency", "model"]


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
    await each_kill(lambda: Agency(agent, model=function(model)), whom, look, ends_in=StuckLoop)
