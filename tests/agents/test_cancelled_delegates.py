"""Who is cancelled takes along those who work for it, also where a crash comes at the same moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, handoff
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import tool

from .support import function, until


class Team:
    """A planner that delegates or transfers to a developer, whose model answers when it is let."""

    def __init__(self, kind: Any) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.done: list[str] = []

        @tool(name="work", idempotent=True)
        async def work() -> str:
            self.done.append("work")
            return "done"

        developer = Agent("Developer", "dev", tools=[work])
        planner = Agent(
            "Planner", "plan", handoffs=[handoff(developer, kind=kind)] if kind == "transfer" else [developer]
        )

        async def model(request: Request) -> Any:
            if request.messages[0].text == "plan" and kind == "transfer":
                return call("transfer_to_Developer", "h1", message="over to you")
            if request.messages[0].text == "plan":
                return call("SendMessage", "h1", target_agent="Developer", message="work")
            if request.messages[-1].text == "done":
                return "all done"
            self.asked.set()
            await self.go.wait()
            return call("work", "w1")

        self.agency = Agency(planner, developer, model=function(model))

    async def never_worked(self) -> None:
        """Let the model answer, and see that nothing comes of it."""
        self.go.set()
        for _ in range(200):
            await asyncio.sleep(0)
        assert self.done == [], "a tool ran for a run that had been cancelled"


def working(agency: Agency) -> list[str]:
    """The conversations of the developer that are there for one run alone."""
    assert agency.system is not None
    agents = [agent for top in agency.system.tree() if top.name == "agency" for agent in top.children]
    return [each.name for agent in agents if agent.name == "Developer" for each in agent.children if "." in each.name]


@pytest.mark.parametrize("whom", ["agency/Planner/c", "agency/Planner", "agency"])
@pytest.mark.parametrize("kind", ["delegate", "transfer", "forward"])
async def test_a_delegate_does_nothing_more_for_a_run_that_is_cancelled_as_its_agent_is_killed(
    kind: str, whom: str
) -> None:
    for passes in range(12):
        team = Team("transfer" if kind == "forward" else kind)
        async with team.agency as agency:
            assert agency.system is not None
            if kind == "forward":  # the turn after a transfer goes to the new owner
                team.go.set()
                await agency.run("before", conversation="c")
                team.go.clear()
                team.done.clear()
                team.asked.clear()
            run = asyncio.ensure_future(agency.run("go", conversation="c"))
            await team.asked.wait()
            run.cancel()
            for _ in range(passes):
                await asyncio.sleep(0)
            victim = agency.system.find(whom)
            assert victim is not None
            victim.kill()
            await asyncio.wait({run})
            assert run.cancelled()
            await team.never_worked()
            if kind != "forward":  # otherwise the conversation is the developer's, who goes on having it
                await until(lambda: not working(agency))
