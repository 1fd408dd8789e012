"""Nodes of one cluster in one process, over a network in memory and one journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from callboard import Agent, ChildSpec, Delta, MemoryJournal, Message, RateLimited, Request, ToolCall, handoff, tool
from callboard.actors.cluster.agency import ClusterAgency
from callboard.actors.cluster.cluster import Cluster
from callboard.actors.cluster.network import Network
from callboard.actors.cluster.placement import Candidate, place
from callboard.testing import FunctionModel


class Dictating(FunctionModel):
    """Says half of what it says, and the rest once it may."""

    def __init__(self, function: Any, held: asyncio.Event) -> None:
        super().__init__(function)
        self._held = held

    async def _stream(self, request: Request) -> AsyncIterator[Delta]:
        deltas = [delta async for delta in super()._stream(request)]
        for number, delta in enumerate(deltas):
            if request.messages[-1].text == "dictate" and number == 1:
                await self._held.wait()
            yield delta


class Stage:
    """Nodes of one cluster, and where their tools were called."""

    def __init__(self) -> None:
        self.network = Network()
        self.journal = MemoryJournal()
        self.nodes: dict[str, ClusterAgency] = {}
        self.called: list[str] = []
        self.held = asyncio.Event()
        self.holding = asyncio.Event()

    def agency(self, name: str) -> ClusterAgency:
        """A node's agency."""

        @tool
        def where() -> str:
            """Where this runs."""
            self.called.append(name)
            return name

        @tool
        async def hold() -> str:
            """Wait."""
            self.called.append(name)
            self.holding.set()
            await self.held.wait()
            return name

        async def answer(request: Request) -> str | ToolCall:
            """Call the tool that the question names, and answer with what it returned; or wait, and say where."""
            last: Message = request.messages[-1]
            if last.role == "tool":
                return f"it was {last.content}"
            text = str(last.content)
            if any(spec.name == "transfer_to_Clerk" for spec in request.tools):
                return ToolCall("", "transfer_to_Clerk", '{"message": "yours"}')
            if text == "too much":
                raise RateLimited("the vendor is asked too much", retry_after=7.0)
            if text == "think":
                self.holding.set()
                await self.held.wait()
                return f"thought on {name}"
            return ToolCall("", text, "{}") if text in ("where", "hold") else f"you said {text}"

        cluster = Cluster(None, transport=self.network.transport(), journal=self.journal.as_worker(), node=name)
        clerk = Agent("Clerk", tools=[where, hold])
        front = Agent("Front", handoffs=[handoff(clerk, kind="transfer")])
        made = cluster.agency(clerk, front, model=ChildSpec(Dictating, (answer, self.held)))
        self.nodes[name] = made
        return made

    def conversation_on(self, name: str, begins: str = "c") -> str:
        """The id of a conversation that is placed on a node."""
        agency = self.nodes[name]
        alive = [Candidate(node.id) for node in agency.nodes]
        me = agency.journal.worker
        return next(id for number in range(1000) if place(id := f"{begins}{number}", alive) == me)


@asynccontextmanager
async def stage(*names: str) -> AsyncIterator[Stage]:
    """Nodes that know each other."""
    made = Stage()
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(made.agency(name))
        for agency in made.nodes.values():
            assert agency._members is not None
            await agency._members.look()
        yield made
        made.held.set()
