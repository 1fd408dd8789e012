"""What two processes serve in tests: an agency of a cluster, whose nodes find each other in a folder.

By the environment: ``NODE``, ``DOORS`` (a folder), ``JOURNAL`` (an address in PostgreSQL).
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from callboard import Agent, Caller, ChildSpec, Cluster, Request, ToolCall, tool
from callboard.testing import FunctionModel
from tests.cluster.doors import Doors

NODE = os.environ.get("NODE", "")


@tool(approval="never")
async def hold() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def answer(request: Request) -> str | ToolCall:
    """Call what the question names, and say which node has answered."""
    last = request.messages[-1]
    if last.role == "tool":
        return f"{last.content} on {NODE}"
    said = str(last.content)
    if said in ("hold", "pay"):
        return ToolCall("", said, '{"amount": 5}' if said == "pay" else "{}")
    return f"answered on {NODE}"


def who(request: Any) -> Caller | None:
    """Whoever says their name."""
    name = request.headers.get("authorization")
    return Caller(name, scopes=frozenset({"metrics"})) if name else None


if NODE:
    cluster = Cluster(None, transport=Doors(Path(os.environ["DOORS"])), journal=os.environ["JOURNAL"], node=NODE)
    agency = cluster.agency(Agent("Clerk", "c", tools=[hold, pay]), model=ChildSpec(FunctionModel, (answer,)))
