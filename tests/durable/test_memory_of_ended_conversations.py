"""Conversations that were killed, or stopped with their agent, leave memory at once: not at their run's time limit."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from callboard import Actor, Agency, Agent, Limits, Request, hook, tool
from callboard.testing import virtual_time

from .support import call, function, kill, outcome, passes, results, until

NAME = "remembering"
POINTS = ["connection", "model", "streamed", "tool", "approval", "delegate", "finalize"]
WHOM = ["conversation", f"{NAME}/A", NAME, "nobody"]


def remembered() -> list[str]:
    """The conversations of the agency here that are in memory, dead or alive."""
    gc.collect()
    found = [str(thing) for thing in gc.get_objects() if isinstance(thing, Actor)]
    return [name for name in found if name.startswith(f"Conversation {NAME}/")]


class Team:
    """An agent whose runs come to stand at one point, again in each incarnation.

    Args:
        point: which one.

    Attributes:
        stuck: how often one has come there.
    """

    def __init__(self, point: str) -> None:
        self.point = point
        self.stuck = 0

    async def reach(self, point: str) -> None:
        """Stay here for ever, if this is the point."""
        if point == self.point:
            self.stuck += 1
            await asyncio.Event().wait()

    def agency(self) -> Agency:
        """The team: A, which hands work to B where the point is there."""

        @hook("connection")
        async def connection(context: Any) -> None:
            await self.reach("connection")

        @hook("finalize")
        async def finalize(context: Any) -> None:
            await self.reach("finalize")

        @tool(idempotent=True)
        async def work() -> str:
            await self.reach("tool")
            return "worked"

        async def model(request: Request) -> Any:
            await self.reach("delegate" if request.messages[0].text == "b" else "model")
            await self.reach("streamed")
            if results(request):
                return "done"
            return (
                call("SendMessage", "h", target_agent="B", message="do") if self.point == "delegate" else call("work")
            )

        b = Agent("B", "b")
        a = Agent(
            "A",
            "a",
            tools=[work],
            handoffs=[b],
            autonomy="supervised" if self.point == "approval" else "autonomous",
            hooks=[one for one in (connection, finalize) if one.event == self.point],
            limits=Limits(seconds=20),
        )
        made = Agency(a, b, name=NAME, model=function(model), approvals_expire=25.0)
        made.subscribe(self._look)
        return made

    def _look(self, event: Any) -> None:
        self.stuck += type(event).__name__ == "ApprovalRequested"

    async def run(self, agency: Agency) -> None:
        """Ask A."""
        if self.point == "streamed":
            async for _ in agency.run_streaming("go", conversation="c"):
                pass
        else:
            await agency.run("go", conversation="c")


@pytest.mark.parametrize("whom", WHOM)
@pytest.mark.parametrize("point", POINTS)
async def test_nothing_of_a_conversation_is_in_memory_once_its_agency_has_stopped(point: str, whom: str) -> None:
    team = Team(point)
    async with team.agency() as agency:
        run = asyncio.ensure_future(team.run(agency))
        assert await until(lambda: team.stuck)
        if whom != "nobody":
            assert kill(agency, f"{NAME}/A/c" if whom == "conversation" else whom)
    error = await outcome(run)
    await passes(10)
    assert remembered() == [], f"whoever keeps {error!r} keeps its conversation, or a clock does"


@pytest.mark.parametrize("whom", WHOM[:-1])
@pytest.mark.parametrize("point", POINTS)
async def test_of_a_conversation_that_was_killed_only_the_next_incarnation_is_in_memory(point: str, whom: str) -> None:
    team = Team(point)
    gone_on = 0

    def look(event: Any) -> None:
        nonlocal gone_on
        gone_on += type(event).__name__ == "Resumed"

    async with team.agency() as agency:
        run = asyncio.ensure_future(team.run(agency))
        assert await until(lambda: team.stuck)
        agency.subscribe(look)
        assert kill(agency, f"{NAME}/A/c" if whom == "conversation" else whom)
        assert await until(lambda: gone_on or (point == "connection" and team.stuck == 2))
        await passes(20)
        assert len(remembered()) == (2 if point == "delegate" else 1), remembered()
    await outcome(run)


async def test_an_approval_that_was_answered_after_a_crash_leaves_only_the_conversation_at_work() -> None:
    team = Team("approval")
    async with team.agency() as agency:
        run = asyncio.ensure_future(team.run(agency))
        assert await until(lambda: team.stuck)
        assert kill(agency, f"{NAME}/A/c")
        assert await until(lambda: team.stuck == 2)
        agency.approve(agency.approvals[0])
        await outcome(run)
        await passes(20)
        assert len(remembered()) == 1, "the approval's expiry still holds the incarnation that asked for it"


@virtual_time
async def test_a_caller_that_keeps_its_cancellation_does_not_keep_the_conversation() -> None:
    team = Team("finalize")  # a cancelled caller waits for its run's end, which does not come here
    async with team.agency() as agency:
        run = asyncio.ensure_future(team.run(agency))
        assert await until(lambda: team.stuck)
        run.cancel()
        with pytest.raises(asyncio.CancelledError) as kept:
            await run
    await passes(10)
    assert remembered() == [], f"{kept.value!r} holds it by its traceback"
