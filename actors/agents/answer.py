"""What a run returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...providers.messages import Message, ToolCall, Usage

NO_USAGE = Usage()
HandoffKind: TypeAlias = Literal["delegate", "transfer"]


@dataclass(frozen=True, slots=True)
class HandoffRecord:
    """One handoff that took place.

    Args:
        sender, target: the agents' names.
        kind: whether the answer came back or the conversation went over.
        task: what the target was asked to do.
        failed: what went wrong, or empty.
    """

    sender: str
    target: str
    kind: HandoffKind
    task: str = field(repr=False)
    failed: str = ""

    def __str__(self) -> str:
        return f"{self.sender} {'→' if self.kind == 'delegate' else '⇒'} {self.target}"


@dataclass(frozen=True, slots=True)
class ReasoningStep:
    """One step of what the model made visible of its reasoning."""

    agent: str
    step: int
    text: str


@dataclass(slots=True)  # not frozen: that would make each of 13 fields three times as dear on every run
class Answer:
    """The outcome of a run; also what an error keeps of an unfinished one. Change it with `dataclasses.replace`.

    Args:
        text: the final text.
        agent: the name of the agent that gave it.
        conversation: the conversation's id.
        run: the run's id.
        messages: the whole conversation, valid for every vendor. Only while ``tool_calls`` is not empty its last
            message has calls without results: those the caller is asked to run.
        usage: tokens of all completions, also of agents handed off to.
        cost: US dollars of the same; completions of unknown price count as nothing.
        steps: completions of the agent that was asked.
        handoffs: every handoff, each before those that came of it; several at once in the order in which they ended.
        seconds: how long it took.
        tool_calls: calls of external tools that the caller is asked to run.
        value: the answer as the requested type, when there was one. A journal keeps it as plain data (objects, arrays,
            texts, numbers), which it is where it comes from there and the type is not known any more.
        reasoning: what the models made visible of their reasoning.
        notes: what was changed on the way (a failover, a lesser model), as reported by providers.
    """

    text: str
    agent: str = ""
    conversation: str = ""
    run: str = ""
    messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE
    cost: float = 0.0
    steps: int = 0
    handoffs: tuple[HandoffRecord, ...] = ()
    seconds: float = 0.0
    tool_calls: tuple[ToolCall, ...] = ()
    value: Any = None
    reasoning: tuple[ReasoningStep, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    @property
    def chain(self) -> tuple[str, ...]:
        """The handoffs in words, for example ``("Planner → Developer",)``."""
        return tuple(str(handoff) for handoff in self.handoffs)
