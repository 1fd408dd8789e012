"""What the example of the page about evaluations takes for granted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from callboard import Agency, Agent, Case, Expected, evaluate, tool


@tool(risk="safe")
def price(of: str) -> int:
    """What it costs."""
    return 3


@asynccontextmanager
async def around() -> AsyncIterator[dict[str, Any]]:
    async with Agency(Agent("Shop", tools=[price])) as agency:
        found = await evaluate(agency, [Case("price", "What does tea cost?", Expected(contains="3"))])
        found.save("yesterday.json")
        yield {"agency": agency}
