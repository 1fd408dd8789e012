"""Ready-made agents: a role with its instructions, and agents from plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....tools import Tool, ToolRegistry
from ..agent import Agent
from ..errors import DefinitionError
from ..prompts.instructions import instructions_for

_DESCRIPTIONS = {
    "developer": "Reads and changes files and reports what it found or did.",
    "planner": "Splits a request into tasks, hands them out, and puts the answers together.",
}


def create_agent(
    role: str, *, name: str = "", model: str = "", folder: str | Path | None = None, **options: Any
) -> Agent:
    """An agent for a role.

    Args:
        role: chooses the instructions; see `instructions_for`.
        name: of the agent; by default the role with a capital.
        model: its model's name.
        folder: of instruction files that go before those of the library.
        options: any further field of `Agent`.

    Raises:
        DefinitionError: as `Agent`.
    """
    options.setdefault("description", _DESCRIPTIONS.get(role, ""))
    return Agent(name or role.capitalize(), instructions_for(role, model, folder), model=model, **options)


def create_developer_agent(**options: Any) -> Agent:
    """A developer. The options are those of `create_agent`."""
    return create_agent("developer", **options)


def create_planner_agent(**options: Any) -> Agent:
    """A planner. The options are those of `create_agent`."""
    return create_agent("planner", **options)


def agent_from_dict(
    data: Mapping[str, Any], *, tools: Mapping[str, Tool | Callable[..., Any]] | ToolRegistry | None = None
) -> Agent:
    """An agent from plain data: the fields of `Agent`, with tools and handoffs by name.

    Args:
        data: at least ``name``; ``role`` takes the instructions from a file where there are none.
        tools: what tool names stand for.

    Raises:
        DefinitionError: a field or a tool is unknown, with those there are.
    """
    fields = {"name", "instructions", "model", "tools", "handoffs", "description", "autonomy", "settings", "role"}
    unknown = set(data) - fields
    if unknown:
        raise DefinitionError(f"an agent has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(fields))}")
    if "name" not in data:
        raise DefinitionError("an agent needs a name")
    options = {key: value for key, value in data.items() if key not in ("name", "role", "tools")}
    options["tools"] = _named(data.get("tools", ()), tools or {}, str(data["name"]))
    if "role" in data and not data.get("instructions"):
        options["instructions"] = instructions_for(str(data["role"]), str(data.get("model", "")))
    return Agent(data["name"], **options)


def _named(
    names: Sequence[str], tools: Mapping[str, Tool | Callable[..., Any]] | ToolRegistry, agent: str
) -> list[Tool | Callable[..., Any]]:
    known: Mapping[str, Tool | Callable[..., Any]] = (
        {item.name: item for item in tools} if isinstance(tools, ToolRegistry) else tools
    )
    missing = [name for name in names if name not in known]
    if missing:
        there = ", ".join(known) or "none"
        raise DefinitionError(f"agent {agent}: no tool is called {', '.join(map(repr, missing))}; there are: {there}")
    return [known[name] for name in names]
