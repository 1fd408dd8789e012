"""What the examples of the page about agents take for granted."""

from __future__ import annotations

import asyncio as asyncio
import json as json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict as asdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette as Starlette
from starlette.responses import JSONResponse as JSONResponse
from starlette.routing import Route as Route

from callboard import Agency, Agent, tool

Path("llm.yaml").write_text("providers: {offline: {}}\n", encoding="utf-8")


@tool(risk="safe")
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool(risk="safe")
def look_up(word: str) -> str:
    """Look it up."""
    return word


price, submit, order = look_up, tool(name="submit")(look_up.function), tool(name="order")(look_up.function)
front = agent = Agent("Clerk")
librarian = Agent("Librarian")
agency = Agency(Agent("Clerk"))


@dataclass
class Copy:
    id: str = "emma-1"
    shelf: str = "A 7"


class Library:
    async def borrow(self, title: str, for_whom: str) -> Copy:
        return Copy()


@asynccontextmanager
async def around() -> AsyncIterator[dict[str, Any]]:
    async with Agency(Agent("Clerk", "You are brief.")) as made:
        for number in range(4):
            await made.run(f"Hello {number}", conversation="ada-17", user="ada")
        await made.run("Hello", conversation="ada-18", user="ada")
        yield {"agency": made}
