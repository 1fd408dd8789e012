"""What one call of a prompt function defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ....providers.messages import Message, ToolSpec
from ....tools.function_tool import Alike, FunctionTool
from ....tools.tool import Tool
from ..errors import PromptError
from .effects import Effect
from .references import KNOWN, Marks, Reference, check_name, reference
from .state.cells import Cells
from .subagents import SubAgent, SubAgents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..context import RequestContext


class Parts:
    """Collects what a prompt function defines in one step.

    Args:
        name: the function's, for errors.
        file, line: where it stands.
        cells: the state it reads.
        before: the state to read in place of what is committed; None for that.
        request: the request context of the run.

    Attributes:
        systems, variables: parts of the system prompt, by name.
        messages: what stands before the conversation.
        tools, agents: what the model may call, by name.
        likes: for each of the tools one that it is like, where that is known and says all that the model is told of it.
        functions: the agents that programs of the model may call.
        effects: what runs after the function.
        notes: what is told of the step in the answer.
        last: the parts of the step before: what stays the same is taken over.
    """

    __slots__ = (
        "agents",
        "before",
        "cells",
        "effects",
        "file",
        "functions",
        "keys",
        "last",
        "likes",
        "line",
        "marks",
        "messages",
        "name",
        "notes",
        "request",
        "seen",
        "systems",
        "tools",
        "variables",
    )

    def __init__(
        self,
        name: str,
        file: str,
        line: int,
        cells: Cells,
        before: Mapping[str, Any] | None,
        request: RequestContext,
    ) -> None:
        self.name = name
        self.file = file
        self.line = line
        self.cells = cells
        self.before = before
        self.request = request
        self.systems: dict[str, Reference] = {}
        self.variables: dict[str, Reference] = {}
        self.messages: list[Message] = []
        self.tools: dict[str, Tool | Alike] = {}
        self.likes: list[FunctionTool | None] = []
        self.agents: dict[str, SubAgent | SubAgents] = {}
        self.functions: list[SubAgent] = []
        self.effects: list[Effect] = []
        self.notes: list[str] = []
        self.marks = Marks()
        self.last: Mapping[str, Reference] = cells.parts
        self.seen: dict[str, int] = {}
        self.keys: set[str] = set()

    def add(self, parts: dict[str, Reference], name: str, value: str) -> Reference:
        """Add a part of the system prompt.

        Raises:
            PromptError: it is no name, or there is one of that name already.
        """
        if type(name) is not str or name not in KNOWN:
            check_name(name, self.name)
        if name in self.systems or name in self.variables:
            raise self.twice("part", name)
        made = self.last.get(name)
        if made is not None and made.value == value:
            made.marks = self.marks
        else:
            made = reference(name, value, self.marks)
        parts[name] = made
        return made

    def offer(self, made: Tool | Alike | SubAgent | SubAgents) -> None:
        """Add what the model may call.

        Raises:
            PromptError: there is something of that name already.
        """
        name = made.name
        if name in self.tools or name in self.agents:
            raise self.twice("tool or sub-agent", name)
        if isinstance(made, Alike):
            self.tools[name] = made
            self.likes.append(made.like)
        elif isinstance(made, Tool):
            self.tools[name] = made
            self.likes.append(None)
        else:
            self.agents[name] = made

    def check(self, tools: tuple[ToolSpec, ...]) -> None:
        """Look at the names beside those that the agent itself offers.

        Raises:
            PromptError: one is there twice.
        """
        for spec in tools:
            if spec.name in self.tools or spec.name in self.agents:
                raise PromptError(
                    f"{self.name} makes the tool or sub-agent {spec.name!r}, and the agent itself offers one of that "
                    "name: give one of them another name"
                )

    def twice(self, what: str, name: str) -> PromptError:
        """The error of something that was made twice."""
        return PromptError(f"{self.name} makes the {what} {name!r} twice in one step: give one of them another name")
