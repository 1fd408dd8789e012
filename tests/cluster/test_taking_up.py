"""What a dead node had is gone on with by the node where it lives then."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from callboard import Agent, ChildSpec, Cluster, MemoryJournal, Request
from callboard.actors.cluster.agency import ClusterAgency
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.placement import Candidate, place
from callboard.testing import FunctionModel, run_virtual


class Place:
    """Nodes that say who they are, once they are not held."""

    def __init__(self) -> None:
        self.network = Network()
        self.journal = MemoryJournal()
        self.held = {"dying"}

    def node(self, name: str, *agents: str, **options: Any) -> ClusterAgency:
        """An agency of a node."""

        async def answer(request: Request) -> str:
            if name in self.held:
                await asyncio.Event().wait()
            return f"by {name}"

        cluster = Cluster(
            None, journal=self.journal.as_worker(), node=name, **{"transport": self.network.transport(), **options}
        )
        return cluster.agency(*[Agent(agent) for agent in agents], model=ChildSpec(FunctionModel, (answer,)))

    def kill(self, agency: ClusterAgency) -> None:
        """Nobody hears of a node any more, and its lease has run out."""
        if agency.journal.worker in self.network._nodes:
            self.network.pause(agency.journal.worker)
        agency.journal.abandon()  # type: ignore[attr-defined]


async def answers(agency: ClusterAgency, agent: str, conversations: list[str]) -> list[Any]:
    """What was answered in conversations; an error where there is one."""
    read = [await agency.conversation(id, agent=agent) for id in conversations]
    return [one.runs[0].error or one.runs[0].answer for one in read]


@pytest.mark.parametrize("alone", [False, True])
def test_each_conversation_is_gone_on_with_where_it_lives_or_by_whoever_is_there(alone: bool) -> None:
    async def scenario() -> None:
        made, options = Place(), {"transport": None} if alone else {}
        async with AsyncExitStack() as stack:
            dying = await stack.enter_async_context(made.node("dying", "Clerk", **options))
            conversations = [f"c{number}" for number in range(12)]
            for id in conversations:
                await dying.start_run("go", conversation=id, agent="Clerk")
            await asyncio.sleep(1.0)
            nodes = [await stack.enter_async_context(made.node(name, "Clerk", **options)) for name in ("one", "two")]
            if not alone:
                await asyncio.sleep(3.0)
            made.kill(dying)
            await asyncio.sleep(10.0)
            said = await answers(nodes[0], "Clerk", conversations)
            if alone:
                assert set(said) <= {"by one", "by two"}
            else:
                names = {nodes[0].journal.worker: "by one", nodes[1].journal.worker: "by two"}
                assert said == [names[str(place(id, [Candidate(id) for id in names]))] for id in conversations]

    run_virtual(scenario())


def test_what_no_node_has_the_agent_for_waits_for_one_that_has_it() -> None:
    async def scenario() -> None:
        made = Place()
        async with AsyncExitStack() as stack:
            dying = await stack.enter_async_context(made.node("dying", "Clerk", "Planner"))
            await stack.enter_async_context(made.node("one", "Clerk"))
            conversations = [f"c{number}" for number in range(6)]
            for id in conversations:
                await dying.start_run("go", conversation=id, agent="Planner")
            await asyncio.sleep(3.0)
            made.kill(dying)
            await asyncio.sleep(30.0)
            two = await stack.enter_async_context(made.node("two", "Clerk", "Planner"))
            await asyncio.sleep(10.0)
            assert await answers(two, "Planner", conversations) == ["by two"] * 6

    run_virtual(scenario())
