"""A handoff on its way, and the run that another agent makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ......providers.messages import Message, ToolCall
from ......tools import ToolResult
from ....answer import Answer, HandoffRecord
from ....errors import AgentError
from ....handoffs.handoff import Handoff
from ....handoffs.offer import HandoffTool
from ....prompts.subagents import SubAgent
from ....turns.outcome import Outcome
from ....turns.records import RunRequest
from ....turns.steps import HandOff


class Sending(NamedTuple):
    """A handoff that is about to be sent.

    Args:
        handoff: what is asked.
        offered: the tool by which the target is reached; None where it is a flow.
        messages: what of the sender's conversation the target sees.
        summary: what the summary that was made for it cost, if one was.
    """

    handoff: Handoff
    offered: HandoffTool | None
    messages: tuple[Message, ...]
    summary: tuple[Answer, ...] = ()


class Part(NamedTuple):
    """One call of a sub-agent, alone or among several.

    Args:
        key: unique among what is under way for the run; the scope of what is set for it, too.
        name: whom the model asks.
        sub: that one; None where there is none of that name.
        input: what it is given.
        handoff, messages: as it is sent.
        instead: what stands for the call, where nobody is asked.
        fatal: set where that ends the run.
    """

    key: str
    name: str
    sub: SubAgent | None
    input: Any = None
    handoff: Handoff | None = None
    messages: tuple[Message, ...] = ()
    instead: ToolResult | None = None
    fatal: AgentError | None = None

    def __repr__(self) -> str:
        """Whose, never what is said: errors and logs show messages."""
        return f"Part({self.key!r}, {self.name!r})"


class PartResult(NamedTuple):
    """What came of a part.

    Args:
        said: what the model is told: ``response``, with ``validation_error`` where it does not fit; or ``error``.
        alone: what a function has put in the place of that, where nobody else was asked.
    """

    said: Mapping[str, Any]
    alone: ToolResult | None = None

    def __repr__(self) -> str:
        """What kind of, never what is said: errors and logs show messages."""
        return f"PartResult({', '.join(self.said)})"

    @property
    def is_error(self) -> bool:
        """Whether it failed."""
        return "error" in self.said


@dataclass(slots=True, eq=False)
class Asking:
    """A call of a sub-agent, or of several, that is under way.

    Args:
        call: the model's, or one that a program of it made.
        several: whether it may ask several.
        parts: what it asks, in order.
        outcomes: what came of it, by key.
        answered: done with the outcome, where a program made the call and waits for it.
    """

    call: ToolCall
    several: bool
    parts: tuple[Part, ...]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    answered: asyncio.Future[Outcome] | None = None


class Delegation(NamedTuple):
    """A run another agent makes for this one."""

    run: RunRequest
    handoff: Handoff | None  # None where the run was forwarded to the conversation's owner
    transfer: bool
    started: float
    stages: tuple[str, ...] = ()  # of a pipeline, each given the answer of the one before; otherwise the target
    before: tuple[Answer, ...] = ()  # the answers of its earlier stages
    summary: tuple[Answer, ...] = ()  # what was made for the target before
    waiting: tuple[HandOff, Sending] | None = None  # this run makes the summary for that handoff
    asking: Asking | None = None  # the call of sub-agents that it is part of

    def records(self, answers: tuple[Answer, ...], failed: str) -> tuple[HandoffRecord, ...]:
        """What took place, each handoff before those that came of it.

        Args:
            answers: of the stages so far, the last one's included.
            failed: what went wrong with that one, or empty.
        """
        handoff = self.handoff
        if handoff is None:
            return tuple(deeper for answer in answers for deeper in answer.handoffs)
        records = [HandoffRecord(handoff.sender, handoff.target, handoff.kind, handoff.task, failed)]
        if len(self.stages) == 1 and self.stages[0] == handoff.target:  # no pipeline
            records.extend(answers[0].handoffs)
            return tuple(records)
        task = handoff.task
        for number, (stage, answer) in enumerate(zip(self.stages, answers, strict=False), 1):
            if stage != handoff.target:
                last = failed if number == len(answers) else ""
                records.append(HandoffRecord(handoff.target, stage, "delegate", task, last))
            records.extend(answer.handoffs)
            task = answer.text
        return tuple(records)
