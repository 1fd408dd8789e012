"""The team that carries the plans out, its tools, and the person who approves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Protocol

from callboard import Agency, Agent, CallboardError, Limits, handoff, tool

from .plans import CLOSER, FRONT, HELPER


class Effects(Protocol):
    """Where tools leave a line as they begin and as they end."""

    def began(self, tool: str, key: str) -> None: ...

    def ended(self, tool: str, key: str) -> None: ...


def team(effects: Effects, rng: random.Random, *, model: str = "", seconds: float = 15.0) -> list[Agent]:
    """The agents: Front is asked, delegates to Helper and transfers to Closer.

    Args:
        effects: told of every tool call.
        rng: how long tools take, up to 8 ms.
        model: the model's name.
        seconds: the limit of each run.
    """

    async def effect(name: str, key: str) -> str:
        effects.began(name, key)
        await asyncio.sleep(rng.random() * 0.008)
        effects.ended(name, key)
        return f"{name} {key}"

    @tool(risk="safe")
    async def work(key: str) -> str:
        """Do something that must not be done twice."""
        return await effect("work", key)

    @tool(risk="safe", idempotent=True)
    async def look(key: str) -> str:
        """Look something up."""
        return await effect("look", key)

    @tool
    async def sign(key: str) -> str:
        """Do something that a person has to approve."""
        return await effect("sign", key.rstrip("+-?"))

    def agent(name: str, *handoffs: object) -> Agent:
        limits = Limits(steps=25, seconds=seconds)
        return Agent(
            name,
            name,
            model=model,
            tools=[work, look, sign],
            handoffs=handoffs,  # type: ignore[arg-type]
            limits=limits,
            autonomy="supervised",
        )

    helper = agent(HELPER)
    closer = agent(CLOSER, handoff(helper))
    return [agent(FRONT, handoff(helper), handoff(closer, kind="transfer")), helper, closer]


class Person:
    """Decides about what waits for approval, as its key says: looks at the list again and again, as people do.

    Args:
        agency: whose.
        rng: how long it thinks, up to 30 ms from one look to the next.
    """

    def __init__(self, agency: Agency, rng: random.Random) -> None:
        self._agency = agency
        self._rng = rng
        self.decided: Counter[str] = Counter()
        """``approved``, ``denied``, and the errors that a decision met."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._rng.random() * 0.03)
            for request in self._agency.approvals:
                wish = next((mark for mark in "+-?" if f'{mark}"' in request.arguments), "?")
                try:
                    if wish == "+":
                        self._agency.approve(request)
                        self.decided["approved"] += 1
                    elif wish == "-":
                        self._agency.deny(request, "not this time")
                        self.decided["denied"] += 1
                except CallboardError as error:  # it is asked again as long as it waits
                    self.decided[type(error).__name__] += 1
