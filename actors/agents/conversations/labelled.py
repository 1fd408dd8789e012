"""What today's label policies would make of the calls of a recorded run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ....providers.messages import UNLABELLED, Message, ToolCall, shown
from ..guardrails.labels import WhenBarred
from ..runs.execution.known.labelling import reason
from ..team.directory import Directory
from ..team.prepared import PreparedAgent
from ..turns.labels import LabelsOfHistory, labels_of
from ..turns.records import RunRequest
from ..turns.steps import ToolReturned

REFUSED: Final = "Refused: "
"""How the result begins of a call that was not made because of labels, or of a handoff that was refused."""


class Barred(NamedTuple):
    """What a policy says of a call.

    Args:
        why: it is barred; empty where it is not.
        then: what becomes of it.
    """

    why: str
    then: WhenBarred = "ask"

    @property
    def asks(self) -> bool:
        """Whether a person is asked."""
        return bool(self.why) and self.then == "ask"

    @property
    def refuses(self) -> bool:
        """Whether it is not made."""
        return bool(self.why) and self.then != "ask"

    def differs(self, call: ToolCall, result: ToolReturned | None, asked: bool) -> str:
        """How that differs from what became of the call then; empty where it does not, or a person was asked.

        Args:
            call: of a tool.
            result: what is recorded of it; None where the run ended there.
            asked: whether a person was asked about it.
        """
        if asked or result is None:
            return ""
        refused = result.is_error and shown(result.content).startswith(REFUSED)
        if self.refuses and not refused:
            return f"{call.name} would be refused: {self.why}"
        if refused and not self.refuses:
            return f"{call.name} was refused because of its labels, and would not now"
        return ""


class LabelsToday:
    """Label policies, and the labels that a recorded run has had.

    Args:
        directory: who is in the agency.
        request: what was asked then.
    """

    def __init__(self, directory: Directory, request: RunRequest) -> None:
        self._directory = directory
        self._asked = request.labels or UNLABELLED
        self._history = LabelsOfHistory()

    def of(self, prepared: PreparedAgent, call: ToolCall, message: Message, history: Sequence[Message]) -> Barred:
        """What the agent's policy says of a call.

        Args:
            prepared: the agent.
            call: it.
            message: in which the model made it; it has the labels of what the model was told besides the conversation.
            history: of the conversation before that.
        """
        policy = prepared.agent.label_policy or self._directory.label_policy
        if policy is None or not prepared.can_be_carried_out(call):
            return Barred("")
        labels = self._history.of(history) | labels_of(message) | self._asked
        why = reason(policy, self._directory, prepared, call, prepared.tool(call.name), labels)
        return Barred(why, policy.barred)
