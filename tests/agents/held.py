"""An agency whose tool waits until it is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from callboard import Agency, Agent, handoff
from callboard.actors.agents.hooks import Hook
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Message, Request
from callboard.tools import tool

from .support import function

TRANSFER = "You transfer."


def said(messages: Sequence[Message]) -> list[str]:
    """What users said."""
    return [message.text for message in messages if message.role == "user"]


class Held:
    """A question that says to hold on is answered only once ``go`` is set: by way of a tool.

    Args:
        open: whether nothing is held.
        name: the agent's.

    Attributes:
        begun: set once the tool has begun.
        go: lets it return.
        asked: completions made.
        heard: what users said, as each completion saw it.
    """

    def __init__(self, *, open: bool = False, name: str = "A") -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.asked = 0
        self.heard: list[list[str]] = []
        self._name = name
        if open:
            self.go.set()

    def agency(self, journal: Any, hooks: Sequence[Hook] = (), **options: Any) -> Agency:
        """A new agency of the agent, which is idempotent in what it does."""

        agent = Agent(self._name, "You hold on.", tools=[self._tool()], hooks=hooks)
        return Agency(agent, model=function(self._model), journal=journal, **options)

    def transferring(self, journal: Any) -> Agency:
        """A new agency of two: whatever A is asked it transfers to B, who holds on."""
        b = Agent("B", "b", tools=[self._tool()])
        a = Agent("A", TRANSFER, handoffs=[handoff(b, kind="transfer")])
        return Agency(a, b, model=function(self._model), journal=journal)

    def _tool(self) -> Any:
        @tool(risk="safe", idempotent=True)
        async def hold() -> str:
            """Wait until it is let go."""
            self.begun.set()
            await self.go.wait()
            return "held"

        return hold

    def _model(self, request: Request) -> Any:
        self.asked += 1
        texts = said(request.messages)
        self.heard.append(texts)
        if request.messages[0].text == TRANSFER:
            return call("transfer_to_B", "t", message="yours")
        if request.messages[-1].role == "user" and request.messages[-1].text.startswith("hold on"):
            return call("hold")
        return f"heard {', '.join(texts)}"
