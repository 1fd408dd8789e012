"""A process that begins a run on a journal and kills itself (SIGKILL) at a moment: its arguments are the journal's file
and what it leaves behind, one of the names in `MOMENTS`.
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from callboard import Agency, Agent, Limits, Request, tool

from .support import call, function, results, said


class Plan(enum.StrEnum):
    """A value that callers pass along."""

    GOLD = "gold"


class Form(BaseModel):
    """The form of an answer."""

    number: int


def die() -> None:
    """End as a machine does whose power is cut."""
    os.kill(os.getpid(), signal.SIGKILL)


@tool
async def pay() -> str:
    """Ends the process in the middle of its work."""
    die()
    return "paid"


@tool(idempotent=True)
async def look() -> str:
    """Ends the process in the middle of its work, which may be repeated."""
    die()
    return "seen"


@tool
async def note(number: int) -> str:
    """Does its work."""
    return f"noted {number}"


def names(name: str) -> Callable[[Request], Any]:
    """A model that calls a tool."""
    return lambda request: "done" if results(request) else call(name)


async def repaired(request: Request) -> str:
    """A model whose first answer does not fit, and that lives until that is in the journal, but gives no second one."""
    if "form" in said(request):
        with closing(sqlite3.connect(sys.argv[1])) as kept, kept:
            while not kept.execute("SELECT 1 FROM events WHERE type = 'Completed'").fetchone():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        die()
    return "no number"


def many(request: Request) -> Any:
    """A model that calls five tools one after another, and then one that ends the process."""
    number = len(results(request))
    return call("note", f"n{number}", number=number) if number < 5 else call("look")


def raised(agency: Agency, event: Any) -> None:
    """Give a run more when it asks for the first time; at the second time the process ends."""
    if type(event).__name__ != "ApprovalRequested":
        return
    used = json.loads(event.arguments)["used"]
    if used > 2:
        die()
    agency.approve(event, limits=Limits(steps=used + 2))


async def main(journal: Path, what: str) -> None:
    """Begin, and die."""
    model, options = MOMENTS[what]
    agent = Agent("A", "a", tools=[pay, look, note], autonomy="supervised" if what == "approval" else "autonomous")
    async with Agency(agent, model=function(model), journal=journal) as agency:
        if what in ("approval", "spent"):
            agency.subscribe(lambda event: die() if type(event).__name__ == "ApprovalRequested" else None)
        if what == "raised":
            agency.subscribe(
                lambda event: raised(agency, event) if type(event).__name__ == "ApprovalRequested" else None
            )
        if what == "answer":
            agency.subscribe(lambda event: die() if type(event).__name__ == "RunFinished" else None)
        await agency.run("begin", **{"conversation": "c", **options})


MOMENTS: dict[str, tuple[Callable[[Request], Any], dict[str, Any]]] = {
    "effect": (names("pay"), {}),
    "tool": (names("look"), {}),
    "values": (names("look"), {"metadata": {"plan": Plan.GOLD, "many": [Plan.GOLD], "number": 3}}),
    "approval": (names("pay"), {}),
    "form": (repaired, {"output_type": Form}),
    "steps": (many, {}),
    "spent": (many, {"limits": Limits(steps=2, ask=True)}),
    "raised": (many, {"limits": Limits(steps=2, ask=True)}),
    "answer": (lambda request: "done", {"conversation": None}),
}

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
