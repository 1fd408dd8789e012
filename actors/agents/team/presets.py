"""Ready-made agents: a role with its instructions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..agent import Agent
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
