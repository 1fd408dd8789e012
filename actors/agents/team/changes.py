"""An agent with one thing more, or less: each function makes another agent, and the one it is given stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ....tools import Tool
from ...core.refs.ref import ActorRef
from ..agent import Agent
from ..errors import DefinitionError
from ..handoffs.offer import HandoffTool
from ..handoffs.target import Target
from ..hooks import Hook, HookSource, only
from ..skills.skill import Skill


def with_tool(agent: Agent, tool: Tool | Callable[..., Any]) -> Agent:
    """Raises `DefinitionError` as `Agent`."""
    return _other(agent, tools=(*agent.tools, tool))


def without_tool(agent: Agent, name: str) -> Agent:
    """Raises `DefinitionError`: it has no such tool, or has it from a skill."""
    kept = [tool for tool in agent.tools if _name(tool) != name]
    return _other(agent, tools=_fewer(agent, "tool", name, kept, agent.tools, agent.all_tools))


def with_model(agent: Agent, model: str | ActorRef[Any]) -> Agent:
    """Raises `DefinitionError` as `Agent`."""
    return _other(agent, model=model)


def with_hook(agent: Agent, hook: Hook | HookSource) -> Agent:
    """Raises `DefinitionError` as `Agent`."""
    return _other(agent, hooks=(*agent.hooks, hook))


def without_hook(agent: Agent, hook: Hook | HookSource | str) -> Agent:
    """Raises `DefinitionError`: it has no such hook, or has it from a skill."""
    gone = hook.hooks if isinstance(hook, HookSource) else (hook,)
    kept = [one for one in only(agent.hooks) if one not in gone and one.name != hook]
    return _other(agent, hooks=_fewer(agent, "hook", _name(hook), kept, agent.hooks, agent.all_hooks))


def with_handoff(agent: Agent, target: Target | str | HandoffTool) -> Agent:
    """Raises `DefinitionError`: it hands off to that one already, or as `Agent`."""
    name = _name(target)
    if any(_name(one) == name for one in agent.handoffs):
        raise DefinitionError(f"agent {agent.name} has the handoff {name!r} already")
    return _other(agent, handoffs=(*agent.handoffs, target))


def without_handoff(agent: Agent, target: Target | str | HandoffTool) -> Agent:
    """Raises `DefinitionError`: it has no such handoff, or has it from a skill."""
    name = _name(target)
    kept = [one for one in agent.handoffs if _name(one) != name]
    return _other(agent, handoffs=_fewer(agent, "handoff", name, kept, agent.handoffs, agent.all_handoffs))


def with_skill(agent: Agent, skill: Skill) -> Agent:
    """Raises `DefinitionError`: it has the skill already, or as `Agent`."""
    if any(one is skill for one in agent.skills):
        raise DefinitionError(f"agent {agent.name} has the skill {skill.name!r} already")
    return _other(agent, skills=(*agent.skills, skill))


def without_skill(agent: Agent, skill: Skill | str) -> Agent:
    """Raises `DefinitionError`: it has no such skill, or has it because another one requires it."""
    name = _name(skill)
    kept = [one for one in agent.skills if one.name != name]
    return _other(agent, skills=_fewer(agent, "skill", name, kept, agent.skills, agent.all_skills))


def _other(agent: Agent, **changed: Any) -> Agent:
    """A copy with other fields, looked at as a new one is."""
    other = copy.copy(agent)
    for name, value in changed.items():
        setattr(other, name, value)
    other.__post_init__()
    return other


def _fewer(agent: Agent, what: str, name: str, kept: list[Any], own: Iterable[Any], every: Iterable[Any]) -> list[Any]:
    own = list(own)
    if len(kept) < len(own):
        return kept
    if any(_name(one) == name for one in every):
        why = "another one requires it" if what == "skill" else "it belongs to a skill; remove that"
        raise DefinitionError(f"agent {agent.name} has the {what} {name!r} because {why}")
    there = ", ".join(map(_name, own)) or "none"
    raise DefinitionError(f"agent {agent.name} has no {what} called {name!r:.80}; there are: {there}")


def _name(item: Any) -> str:
    return item if isinstance(item, str) else str(getattr(item, "name", item))
