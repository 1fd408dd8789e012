"""Which tools a server offers by themselves, beside its agents. Needs no package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ....tools.errors import ToolDefinitionError
from ....tools.registry import ToolRegistry
from ....tools.scopes import EVERYBODY
from ...agents.errors import DefinitionError

ASK: Final = "ask_"
"""How the name of a tool begins that asks an agent."""


def published(tools: Iterable[Any]) -> ToolRegistry:
    """The tools that are offered.

    Nobody looks at what a client calls: a tool that could do harm needs a scope, which says who may.

    Raises:
        DefinitionError: something is no tool; a risky one is for everybody, or waits for a person; or one has the name
            of an agent's.
    """
    try:
        registry = ToolRegistry(tools)
    except ToolDefinitionError as error:
        raise DefinitionError(f"mcp_tools: {error}") from error
    for tool in registry:
        if tool.name.startswith(ASK):
            raise DefinitionError(f"mcp_tools: {tool.name!r} is called as if it asked an agent: give it another name")
        if tool.risk == "risky" and tool.scope == EVERYBODY:
            raise DefinitionError(
                f"mcp_tools: {tool.name!r} is risky, and everybody may call it: give it a scope, or risk='safe' if it "
                "is, or have an agent use it"
            )
        if tool.price is not None:
            raise DefinitionError(f"mcp_tools: {tool.name!r} has a price, which is taken in runs: have an agent use it")
        if "autonomous" in tool.approval:
            raise DefinitionError(f"mcp_tools: {tool.name!r} always waits for a person: have an agent use it")
    return registry
