"""What one call of a prompt function defines."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ....providers.messages import Message, ToolSpec
from ....tools.function_tool import Alike, FunctionTool
from ....tools.tool import Tool
from ..errors import PromptError
from .effects import Effect, Looked, looked_at
from .references import KNOWN, Marks, Reference, check_name, reference, shown
from .state.cells import Cells
from .subagents import SubAgent, SubAgents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..context import RequestContext


class Last(NamedTuple):
    """What a render leaves for the next one of the conversation, which takes over what stays the same.

    Args:
        named: the parts of the system prompt, by name.
        told: those that the model was shown, in order.
        text: what they made.
        looked: what was found out about the effects, in order.
        place: where the prompt function stands: where an effect does is counted from there.
    """

    named: Mapping[str, Reference]
    told: Sequence[Reference]
    text: str
    looked: tuple[Looked, ...]
    place: tuple[str, int]


_NOTHING: Final = Last({}, (), "", (), ("", 0))


class Parts:
    """Collects what a prompt function defines in one step.

    Args:
        name: the function's, for errors.
        file, line: where it stands.
        cells: the state it reads.
        before: the state to read in place of what is committed; None for that.
        request: the request context of the run.

    Attributes:
        named: parts of the system prompt, by name.
        systems, variables: the same, in order.
        messages: what stands before the conversation.
        tools, agents: what the model may call, by name.
        likes: for each of the tools one that it is like, where that is known and says all that the model is told of it.
        functions: the agents that programs of the model may call.
        effects: what runs after the function in this step.
        looked: what was found out about all effects, in order; the last step's as long as they are the same.
        count: how many effects there are.
        depending: the identities of those with dependencies.
        notes: what is told of the step in the answer.
        last: what the step before has left.
        is_new: whether a part of the system prompt is not that of the step before.
    """

    __slots__ = (
        "agents",
        "before",
        "cells",
        "count",
        "depending",
        "effects",
        "file",
        "functions",
        "is_new",
        "keys",
        "last",
        "likes",
        "line",
        "looked",
        "marks",
        "messages",
        "name",
        "named",
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
        self.named: dict[str, Reference] = {}
        self.systems: list[Reference] = []
        self.variables: list[Reference] = []
        self.messages: list[Message] = []
        self.tools: dict[str, Tool | Alike] = {}
        self.likes: list[FunctionTool | None] = []
        self.agents: dict[str, SubAgent | SubAgents] = {}
        self.functions: list[SubAgent] = []
        self.effects: list[Effect] = []
        last: Last = cells.last or _NOTHING
        self.last = last.named
        self.is_new = False
        self.looked: tuple[Looked, ...] = last.looked if last.place == (file, line) else ()
        self.count = 0
        self.depending: list[str] = []
        self.notes: list[str] = []
        self.marks = Marks()
        self.seen: dict[str, int] | None = None
        self.keys: set[str] = set()

    def add(self, parts: list[Reference], name: str, value: str) -> Reference:
        """Add a part of the system prompt.

        Raises:
            PromptError: it is no name, or there is one of that name already.
        """
        if type(name) is not str or name not in KNOWN:
            check_name(name, self.name)
        named = self.named
        if name in named:
            raise self.twice("part", name)
        made = self.last.get(name)
        if made is not None and made.value == value:
            made.marks = self.marks
        else:
            made = reference(name, value, self.marks)
            self.is_new = True
        named[name] = made
        parts.append(made)
        return made

    def close(self, told: list[Reference]) -> str:
        """The text of the parts that the model is shown; the next step takes over what stays the same."""
        last: Last = self.cells.last or _NOTHING
        looked = self.looked if self.count == len(self.looked) else self.looked[: self.count]
        if (
            not self.is_new
            and looked is last.looked
            and told == last.told  # no part is new: as texts they are their names
        ):
            return last.text  # mostly all is as in the step before: 0.4 µs, and 2.2 to put it together
        text = shown(told)
        self.cells.last = Last(self.named, told, text, looked, (self.file, self.line))
        return text

    def look_at(self, callback: Callable[..., Any]) -> Looked:
        """The identity of an effect, and what it takes.

        Raises:
            PromptError: it takes something else than an effect's.
        """
        index, looked = self.count, self.looked
        self.count = index + 1
        if self.seen is None:
            if index < len(looked) and type(callback) is FunctionType:
                code, name, defaults, _, _ = found = looked[index]
                if (
                    callback.__code__ is code
                    and callback.__qualname__ == name
                    and len(callback.__defaults__ or ()) == defaults
                ):
                    return found
            self.looked = looked = looked[:index]
            self.seen = {}
            for one in looked:
                known, _, count = one.identity.rpartition(":")
                self.seen[known] = int(count)
        found = looked_at(callback, self.file, self.line, self.seen, self.name)
        self.looked = (*self.looked, found)
        return found

    def offer(self, made: Tool | Alike | SubAgent | SubAgents) -> None:
        """Add what the model may call.

        Raises:
            PromptError: there is something of that name already.
        """
        name = made.name
        if name in self.tools or name in self.agents:
            raise self.twice("tool or sub-agent", name)
        if isinstance(made, Alike | Tool):
            self.tools[name] = made
            self.likes.append(made.like if isinstance(made, Alike) else None)
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
