"""Ready-made agents: a role, and instructions from markdown files with a variant for each family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...tools import Tool, ToolRegistry
from .agent import Agent
from .errors import DefinitionError

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "claude": ("claude",),
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "gemini": ("gemini",),
    "llama": ("llama",),
    "mistral": ("mistral", "mixtral", "codestral"),
    "qwen": ("qwen", "qwq"),
    "deepseek": ("deepseek",),
}
"""Families of models, and how the names of their models begin."""

DEFAULT = (
    "You are {role}, an agent in a team. Do what you are asked, with the tools you have, and answer with the result."
)
"""What a role without any instruction file is told."""

_DESCRIPTIONS = {
    "developer": "Reads and changes files and reports what it found or did.",
    "planner": "Splits a request into tasks, hands them out, and puts the answers together.",
}


def family_of(model: str) -> str:
    """The family of a model's name (``anthropic:claude-…`` → ``claude``), or empty if it is none of `FAMILIES`."""
    name = model.replace("/", ":").rpartition(":")[2].lower()
    return next((family for family, starts in FAMILIES.items() if name.startswith(starts)), "")


def instructions_for(role: str, model: str = "", folder: str | Path | None = None) -> str:
    """A role's instructions: the first there is of ``role.family.md`` and ``role.md`` in ``folder``, the same two
    among those that come with the library, and `DEFAULT`.

    Args:
        role: for example ``developer``.
        model: the model's name, which decides the family.
        folder: where to look first.
    """
    family = family_of(model)
    names = [f"{role}.{family}.md", f"{role}.md"] if family else [f"{role}.md"]
    for place in (*([Path(folder)] if folder is not None else []), files(__package__) / "instructions"):
        for name in names:
            path = place / name
            if path.is_file():
                return path.read_text(encoding="utf-8").strip()
    return DEFAULT.format(role=role)


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
