"""A tool that cannot be described to a model is refused before anybody runs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from callboard import Agency, Agent, ToolContext, tool
from callboard.tools import Tool, ToolDefinitionError

from .support import add


@tool
def unknown(x: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
    return str(x)


@tool
def without_schema(x: threading.Lock) -> str:
    return str(x)


@tool
def late(x: int, context: ToolContext[Any]) -> int:
    return x


@pytest.mark.parametrize(
    ("made", "told"),
    [(unknown, "name 'Nowhere' is not defined"), (without_schema, "no schema"), (late, "make it the first parameter")],
)
@pytest.mark.parametrize("defer", [False, True])
def test_it_is_refused_as_its_agent_is_taken_in(made: Tool, told: str, defer: bool) -> None:
    agent = Agent("A", tools=[add, made], defer_tools=defer)
    with pytest.raises(ToolDefinitionError, match=told):
        Agency(agent)
    with pytest.raises(ToolDefinitionError, match=told):
        Agency(Agent("Lead", handoffs=[agent]))
