"""A team whose model does what it is told, on journals of every kind that needs no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from callboard import Agency, Agent, MemoryJournal, Request, Retention, ToolCall, handoff, tool
from tests.agents.support import add, function
from tests.durable.support import call, results, said

JOURNALS = ["memory", "sqlite"]

ACTS = ["hi", "sum", "sum twice", "erase", "ask", "bill", "weigh"]
"""What the team can be told: answer, one call, two calls, one that a person approves, delegate, transfer, and a tool of
the caller's own."""


def journal_of(kind: str, folder: Path) -> Any:
    """A journal to give to one agency."""
    return MemoryJournal() if kind == "memory" else folder / "journal.db"


def obedient(request: Request) -> Any:
    """A model that does what the user said last, if it has the tools for it."""
    words, offered = said(request), {spec.name for spec in request.tools}
    if results(request):
        return f"done: {' and '.join(results(request))}"
    wanted: dict[str, Sequence[ToolCall]] = {
        "sum": [call("add", "s1", a=1, b=2)],
        "sum twice": [call("add", "s1", a=1, b=2), call("add", "s2", a=3, b=4)],
        "erase": [call("erase", "e1", path="notes")],
        "ask": [call("SendMessage", "a1", target_agent="Expert", message="hi")],
        "bill": [call("to_billing", "b1", message="take over")],
        "weigh": [call("weigh", "w1", what="tea")],
    }
    calls = [one for one in wanted.get(words, []) if one.name in offered]
    return calls or f"to {words}"


class Counted:
    """A model that counts what is bought of it."""

    def __init__(self, model: Callable[[Request], Any] = obedient) -> None:
        self.model = model
        self.bought = 0

    def __call__(self, request: Request) -> Any:
        self.bought += 1
        return self.model(request)


erased: list[str] = []


@tool
async def erase(path: str) -> str:
    """Erase a file."""
    erased.append(path)
    return f"{path} is gone"


def team(
    journal: Any = None,
    model: Callable[[Request], Any] = obedient,
    *,
    retention: Retention | None = None,
    **options: Any,
) -> Agency:
    """Front, which has tools, asks Expert and transfers to Billing; ``options`` are Front's."""
    expert, billing = Agent("Expert", "You know."), Agent("Billing", "You bill.")
    given: dict[str, Any] = {
        "instructions": "You answer.",
        "tools": [add, erase],
        "autonomy": "supervised",
        "handoffs": [handoff(billing, name="to_billing", kind="transfer")],
        **options,
    }
    front = Agent("Front", **given)
    agents = (front, expert, billing)
    return Agency(*agents, flows=[(front, expert)], model=function(model), journal=journal, retention=retention)


async def tell(agency: Agency, words: str, conversation: str | None, **options: Any) -> Any:
    """Run, approving whatever is asked."""
    run = asyncio.ensure_future(agency.run(words, conversation=conversation, **options))
    while not run.done():
        for waiting in agency.approvals:
            agency.approve(waiting)
        await asyncio.sleep(0)
    return run.result()


class Hold:
    """A tool that begins, and goes on when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

        @tool(risk="safe", name="add")
        async def hold(a: int, b: int) -> int:
            """Add, in its own time."""
            self.begun.set()
            await self.go.wait()
            return a + b

        self.tool = hold
