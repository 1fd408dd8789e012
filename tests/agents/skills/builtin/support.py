"""What the tests of built-in skills share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from callboard import Agency, Agent, Caller, Skill, ToolContext, ToolResult
from callboard.tools import Tool
from tests.agents.support import function

ADA = Caller("ada")


@asynccontextmanager
async def at_work(*skills: Skill) -> AsyncIterator[Agency]:
    """An agency of one agent that has the skills."""
    async with Agency(Agent("A", skills=skills), model=function(lambda request: "ok")) as agency:
        yield agency


async def used(skill: Skill, name: str, /, caller: Caller = ADA, call_id: str = "c1", **arguments: Any) -> ToolResult:
    """What a tool of a skill answers."""
    found = next(each for each in skill.tools if isinstance(each, Tool) and each.name == name)
    context = ToolContext(call_id, name, caller=caller, run="r1", agent="A", conversation="t1")
    return await found.run(arguments, context=context)
