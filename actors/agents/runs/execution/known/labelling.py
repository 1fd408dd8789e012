"""The labels of what a run is told, and what they bar its calls from."""

from __future__ import annotations

from collections.abc import Iterable

from ......providers.messages import UNLABELLED, Labels, ToolCall
from ......tools.tool import Tool
from ....agent import Agent
from ....errors import LabelRefused
from ....guardrails.labels import LabelPolicy
from ....team.directory import Directory
from ....team.prepared import PreparedAgent
from ....turns.inner import outer_of
from ....turns.labels import LabelsOfHistory, labels_of
from ....turns.records import RunRequest
from ....turns.state import ConversationState
from .within import Within


class Labelling:
    """The labels of one run in one incarnation of its conversation.

    Args:
        state: the conversation's.
        run: the request.
        within: the calls that its tool calls make.
        directory: who is in the agency.

    Attributes:
        policy: what labelled text may cause with the agent, if that is limited.
        told: of what the model is told in the step under way besides the conversation.
        heard: of what agents have answered whom its tools asked themselves; nobody knows which call tells it.
    """

    __slots__ = ("_directory", "_history", "_run", "_state", "_within", "heard", "policy", "told")

    def __init__(self, state: ConversationState, run: RunRequest, within: Within, directory: Directory) -> None:
        self._state = state
        self._run = run
        self._within = within
        self._directory = directory
        self._history = LabelsOfHistory()
        self.policy: LabelPolicy | None = None
        self.told = UNLABELLED
        self.heard = UNLABELLED

    def joined(self, call_id: str = "") -> Labels:
        """The labels of what the model was told, or is being told, in the step under way.

        Args:
            call_id: a call that a tool call makes: then also of what its calls have returned before.
        """
        state = self._state
        turn = state.turn
        labels = self._history.of(turn.history) | self.told | self.heard | (self._run.labels or UNLABELLED)
        if turn.message is not None:
            labels |= labels_of(turn.message)
        while "/" in call_id and state.inner is not None:
            call_id = outer_of(call_id)
            labels |= state.inner.labels(call_id)
        return labels

    def look_at_agent(self, agent: Agent) -> None:
        """Take over what labelled text may cause with it."""
        self.policy = agent.label_policy or self._directory.label_policy

    def why_asked(self, prepared: PreparedAgent, call: ToolCall) -> str:
        """Why a person is to be asked about a call of a tool or of a handoff; empty where nobody is."""
        policy = self.policy
        return self._why(prepared, policy, call) if policy is not None and policy.barred == "ask" else ""

    def barred(self, prepared: PreparedAgent, call: ToolCall) -> LabelRefused | None:
        """Why a call is not carried out, where nobody is asked."""
        policy = self.policy
        why = self._why(prepared, policy, call) if policy is not None and policy.barred != "ask" else ""
        return LabelRefused(why) if why else None

    @property
    def ends(self) -> bool:
        """Whether the run ends where a call is barred."""
        return self.policy is not None and self.policy.barred == "end"

    def why_not_to(self, *targets: str) -> str:
        """Why others may not be handed what the model was told; empty where they may.

        Args:
            targets: agents, of which those on other machines count.
        """
        policy = self.policy
        return "" if policy is None else _why_not_to(policy, self._directory, targets, self.joined())

    def _why(self, prepared: PreparedAgent, policy: LabelPolicy, call: ToolCall) -> str:
        inner = self._within.calls.get(call.id)
        tool = prepared.tool(call.name) if inner is None else inner.tool
        return reason(policy, self._directory, prepared, call, tool, self.joined(call.id))


def reason(
    policy: LabelPolicy,
    directory: Directory,
    prepared: PreparedAgent,
    call: ToolCall,
    tool: Tool | None,
    labels: Labels,
) -> str:
    """Why a policy bars a call; empty where it does not.

    Args:
        policy: it.
        directory: who is in the agency.
        prepared: the agent that calls.
        call: of a tool, or of a handoff.
        tool: the one that is called; None for a handoff.
        labels: of what the model was told.
    """
    if tool is not None:
        return policy.reason(call.name, tool.risk, tool.sends, labels)
    return _why_not_to(policy, directory, prepared.targets_of(call), labels)


def _why_not_to(policy: LabelPolicy, directory: Directory, targets: Iterable[str], labels: Labels) -> str:
    outside = [target for target in targets if directory.host_of(target)]
    return next(filter(None, (policy.reason(target, "safe", True, labels) for target in outside)), "")
