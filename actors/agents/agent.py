"""What an agent is: a plain description. Agencies make actors of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...tools import Tool, tool
from ..core.refs.ref import ActorRef
from .context import RequestContext
from .errors import DefinitionError
from .handoffs.offer import HandoffTool
from .handoffs.target import Target
from .hooks import Hook
from .skills.skill import Skill, in_order
from .turns.rules import Limits, check_limits

Autonomy: TypeAlias = Literal["manual", "supervised", "autonomous"]
Instructions: TypeAlias = "str | Callable[[RequestContext], str]"

# URL-safe, and also what every vendor takes in a tool's name, because handoffs are named after their target.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")


@dataclass(eq=False)
class Agent:
    """An agent: a name, instructions, and what it may use.

    Args:
        name: 1 to 48 letters, digits, ``_`` and ``-``.
        instructions: the system message, or a function of the request context that returns it.
        model: a model's name, empty for the provider's default, or an actor that answers `Request`.
        tools: tools, or functions with type hints, which are made tools.
        handoffs: agents (or their names) it may delegate to, and what `handoff` returns. The model reaches plain
            agents by one tool, ``SendMessage(target_agent, message, context)``; what `handoff` returns is its own tool.
        description: one sentence for the agents that may hand off to it.
        limits: what one run may use.
        autonomy: which tool calls wait for a person: all (``manual``), risky ones (``supervised``), none
            (``autonomous``).
        output_type: the type the final answer must fit; the answer's ``value`` then has it.
        settings: fields of `Request` to set: ``temperature``, ``max_tokens``, ``reasoning_effort``…; and ``batch``:
            whether its requests may wait to go out together with others, where the pool batches (not streams).
        hooks: functions that see and may change what a run does; see `hooks`.
        skills: tools, hooks, handoffs and prompts that belong together.

    Raises:
        DefinitionError: the name, a setting or the autonomy is wrong, or two tools have one name.
    """

    name: str
    instructions: Instructions = ""
    model: str | ActorRef[Any] = field(default="", kw_only=True)
    tools: Sequence[Tool | Callable[..., Any]] = field(default=(), kw_only=True)
    handoffs: Sequence[Agent | str | HandoffTool] = field(default=(), kw_only=True)
    description: str = field(default="", kw_only=True)
    limits: Limits = field(default_factory=Limits, kw_only=True)
    autonomy: Autonomy = field(default="autonomous", kw_only=True)
    output_type: Any = field(default=None, kw_only=True)
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    hooks: Sequence[Hook] = field(default=(), kw_only=True)
    skills: Sequence[Skill] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DefinitionError(f"agent name {self.name!r}: use 1 to 48 letters, digits, '_' and '-'")
        if self.autonomy not in ("manual", "supervised", "autonomous"):
            raise DefinitionError(
                f"agent {self.name}: autonomy is {self.autonomy!r}; use manual, supervised or autonomous"
            )
        check_limits(self.limits)
        self.tools = as_tools(self.tools, self.name)
        self.handoffs = tuple(self.handoffs)
        self.all_skills = in_order(self.skills)
        from_skills = (tool for skill in self.all_skills for tool in skill.tools)
        self.all_tools = as_tools((*self.tools, *from_skills), self.name)
        unknown = set(self.settings) - SETTINGS
        if unknown:
            raise DefinitionError(
                f"agent {self.name}: no setting is called {', '.join(sorted(unknown))}; "
                f"there are {', '.join(sorted(SETTINGS))}"
            )

    @property
    def all_handoffs(self) -> tuple[Target | str | HandoffTool, ...]:
        """Its own handoffs and those of its skills."""
        return (*self.handoffs, *(item for skill in self.all_skills for item in skill.handoffs))

    @property
    def all_hooks(self) -> tuple[Hook, ...]:
        """Its own hooks and those of its skills."""
        return (*self.hooks, *(item for skill in self.all_skills for item in skill.hooks))


SETTINGS = frozenset(
    {
        "tool_choice",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "reasoning_effort",
        "thinking_tokens",
        "parallel_tool_calls",
        "user",
        "headers",
        "extra",
        "batch",
    }
)


def as_tools(given: Iterable[Tool | Callable[..., Any]], agent: str) -> tuple[Tool, ...]:
    """Tools as they are, functions made tools.

    Raises:
        DefinitionError: something cannot be a tool, or two have one name.
    """
    made: dict[str, Tool] = {}
    for item in given:
        if not isinstance(item, Tool):
            if not callable(item):
                raise DefinitionError(f"agent {agent}: {item!r} is neither a tool nor a function")
            item = tool(item)
        if item.name in made:
            raise DefinitionError(f"agent {agent}: two tools are called {item.name!r}; rename one with @tool(name=…)")
        made[item.name] = item
    return tuple(made.values())
