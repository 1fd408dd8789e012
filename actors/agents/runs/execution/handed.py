"""A handoff on its way, and the run that another agent makes of it."""

from __future__ import annotations

from typing import NamedTuple

from .....providers.messages import Message
from ...answer import Answer, HandoffRecord
from ...handoffs.handoff import Handoff
from ...handoffs.offer import HandoffTool
from ...turns.records import RunRequest
from ...turns.steps import HandOff


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
