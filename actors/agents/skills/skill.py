"""Skills: tools, hooks, handoffs, prompts and routes that belong together and may build on each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....providers.checks import LIST, MAYBE_FUNCTION, NAME, TEXT
from ....tools import Tool, ToolDefinitionError, as_tool
from ....tools.scopes import ALL, Scopes, as_scopes
from ..classfields import SaysFields, fields_of_class
from ..errors import DefinitionError
from ..handoffs.offer import HandoffTool, as_handoffs
from ..handoffs.target import Target
from ..hooks import Hooks, as_hooks
from ..prompts.prompt import Prompt, as_prompt
from ..prompts.spec import PromptSpec
from ..wishes import all_are, define
from .context import SkillContext
from .route import HttpRoute


@fields_of_class
@dataclass(eq=False)
class Skill(SaysFields):
    """What an agent can be taught as one thing.

    A class of one's own may say any of it, and open what its tools need: see `initialize`.

    Args:
        name: unique among an agent's skills.
        instructions: added to the agent's own.
        tools, hooks, handoffs: as an agent's.
        requires: skills that this one builds on, or their names, where the agent is given them; they come before it.
        scope: who may use all of this, as one scope or several, of which one suffices; see `Agent`. Who may not use a
            skill may use none that builds on it.
        description: one sentence for people, and for other agents that look for somebody.
        prompt: a prompt function, called in each step after the agent's own; see `Prompt`.
        plugins: subclasses of `Prompt` whose methods it uses.
        routes: what a server offers for it.
        settings: what it was made with, such as a pydantic model; for its own use, and never shown.

    Raises:
        DefinitionError: a field is of the wrong type, something cannot be a tool, or the scope is none.
    """

    name: str = ""
    instructions: str = ""
    tools: Sequence[Tool | Callable[..., Any]] = ()
    hooks: Hooks = ()
    handoffs: Sequence[Target | str | HandoffTool] = ()
    requires: Sequence[Skill | str] = ()
    scope: Scopes = ALL
    description: str = field(default="", kw_only=True)
    prompt: Callable[[Any], object] | None = field(default=None, kw_only=True)
    plugins: Sequence[type[Prompt]] | type[Prompt] = field(default=(), kw_only=True)
    routes: Sequence[HttpRoute] = field(default=(), kw_only=True)
    settings: Any = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        self.check_class_fields()
        define("a skill", name=(self.name, NAME))
        whose = f"skill {self.name}"
        define(
            whose,
            instructions=(self.instructions, TEXT),
            tools=(self.tools, LIST),
            description=(self.description, TEXT),
            prompt=(self.prompt, MAYBE_FUNCTION),
        )
        for name in ("initialize", "close"):
            method = getattr(self, name)
            if inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
                raise DefinitionError(f"{whose}: {name} yields, and nobody would go on with it; await in it instead")
        self.scope = as_scopes(self.scope, whose, DefinitionError)
        self.hooks = as_hooks(self.hooks, whose)
        self.handoffs = as_handoffs(self.handoffs, whose)
        self.requires = all_are((Skill, str), self.requires, whose, "requires", "Skills, or their names")
        self.routes = all_are(HttpRoute, self.routes, whose, "routes", "what @http makes")
        try:
            self.tools = tuple(as_tool(given) for given in self.tools)
        except ToolDefinitionError as error:
            raise DefinitionError(f"{whose}: {error}") from error
        self.held = False
        """Whether an agency has initialized it, or is at it."""
        self.prompt_spec: PromptSpec | None = None
        if self.prompt is not None:
            self.prompt_spec = as_prompt(self.prompt, self.plugins, whose)
        elif self.plugins:
            raise DefinitionError(f"{whose}: plugins are for a prompt function; give one: prompt=…")

    async def initialize(self, context: SkillContext) -> None:
        """Open what its tools need. Does nothing here; for a class of one's own.

        It is awaited once in each agency that has the skill, with what it requires initialized before: as the agency
        starts, or before the first step of an agent that was given it later. What it raises is a `SkillFailed`.
        """

    async def close(self) -> None:
        """Close what `initialize` has opened. Awaited once, as the agency stops, before what it requires is closed."""

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the skills that it builds on."""
        return tuple(each if isinstance(each, str) else each.name for each in self.requires)

    @property
    def opens(self) -> bool:
        """Whether it has something to initialize, or to close."""
        own = type(self)
        return own.initialize is not Skill.initialize or own.close is not Skill.close


def in_order(skills: Iterable[Skill]) -> list[Skill]:
    """The skills and all that they require, each once, what is required first.

    Raises:
        DefinitionError: two different skills have one name, one that is required by its name is not there, or they
            require each other; with the way that leads there.
    """
    given = list(skills)
    there: dict[str, Skill] = {}
    pending = list(given)
    while pending:
        skill = pending.pop(0)
        skill.check_made()
        if there.setdefault(skill.name, skill) is not skill:
            raise DefinitionError(f"two skills are called {skill.name!r}")
        pending.extend(each for each in skill.requires if isinstance(each, Skill) and there.get(each.name) is not each)
    ordered: dict[str, Skill] = {}

    def add(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            raise DefinitionError(f"skills require each other: {' → '.join((*way, name))}")
        if name not in there:
            raise DefinitionError(
                f"skill {way[-1]} requires {name!r:.80}, which is not there ({' → '.join((*way, name))}): give it to "
                f"the agent, too; there are: {', '.join(there)}"
            )
        if name in ordered:
            return
        for required in there[name].required:
            add(required, (*way, name))
        ordered[name] = there[name]

    for skill in given:
        add(skill.name, ())
    return list(ordered.values())
