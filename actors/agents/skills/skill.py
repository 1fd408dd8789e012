"""Skills: tools, hooks, handoffs and a piece of prompt that belong together and may build on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ....providers.checks import LIST, NAME, TEXT
from ....tools import Tool, ToolDefinitionError, as_tool
from ....tools.scopes import ALL, Scopes, as_scopes
from ..errors import DefinitionError
from ..handoffs.offer import HandoffTool, as_handoffs
from ..handoffs.target import Target
from ..hooks import Hook, as_hooks
from ..wishes import all_are, define


@dataclass(frozen=True, slots=True)
class Skill:
    """What an agent can be taught as one thing.

    Args:
        name: unique among an agent's skills.
        instructions: added to the agent's own.
        tools, hooks, handoffs: as an agent's.
        requires: skills that this one builds on; they are added before it.
        scope: who may use all of this, as one scope or several, of which one suffices; see `Agent`. Who may not use a
            skill may use none that builds on it.

    Raises:
        DefinitionError: a field is of the wrong type, something cannot be a tool, or the scope is none.
    """

    name: str
    instructions: str = ""
    tools: Sequence[Tool | Callable[..., Any]] = ()
    hooks: Sequence[Hook] = ()
    handoffs: Sequence[Target | str | HandoffTool] = ()
    requires: Sequence[Skill] = ()
    scope: Scopes = ALL

    def __post_init__(self) -> None:
        define("a skill", name=(self.name, NAME))
        whose = f"skill {self.name}"
        define(whose, instructions=(self.instructions, TEXT), tools=(self.tools, LIST))
        object.__setattr__(self, "scope", as_scopes(self.scope, whose, DefinitionError))
        object.__setattr__(self, "hooks", as_hooks(self.hooks, whose))
        object.__setattr__(self, "handoffs", as_handoffs(self.handoffs, whose))
        object.__setattr__(self, "requires", all_are(Skill, self.requires, whose, "requires", "Skills"))
        try:
            object.__setattr__(self, "tools", tuple(as_tool(given) for given in self.tools))
        except ToolDefinitionError as error:
            raise DefinitionError(f"skill {self.name}: {error}") from error


def in_order(skills: Iterable[Skill]) -> list[Skill]:
    """The skills and all that they require, each once, what is required first.

    Raises:
        DefinitionError: two different skills have one name, or they require each other.
    """
    ordered: dict[str, Skill] = {}

    def add(skill: Skill, way: tuple[str, ...]) -> None:
        if skill.name in way:
            raise DefinitionError(f"skills require each other: {' → '.join((*way, skill.name))}")
        known = ordered.get(skill.name)
        if known is not None:
            if known is not skill:
                raise DefinitionError(f"two skills are called {skill.name!r}")
            return
        for required in skill.requires:
            add(required, (*way, skill.name))
        ordered[skill.name] = skill

    for skill in skills:
        add(skill, ())
    return list(ordered.values())
