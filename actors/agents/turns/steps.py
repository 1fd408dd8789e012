"""The steps of a turn: what can happen (inputs), and what is to be done next (commands)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from ....providers.messages import Completion, Labels, Message, Part, ToolCall, Usage
from ..answer import NO_USAGE, HandoffRecord, Step
from ..errors import AgentError, RunError
from .rules import Limits
from .shape import Shape

_NOTHING: Mapping[str, Any] = MappingProxyType({})

# Inputs: what happened. These are what a journal keeps.


class Begin(NamedTuple):
    """A new run: the caller's messages are added to the conversation.

    Args:
        messages: what is added; in a journal None where it is what the run was asked.
    """

    messages: tuple[Message, ...] | None


class Completed(NamedTuple):
    """The model has answered.

    Args:
        completion: the answer.
        problem: what is wrong with a final text that should fit a type, in words for the model; empty if nothing is.
        broken: set when it could not be looked at, or looking at it went wrong; the run ends in it.
        used: seconds that the run has used so far.
        handoffs: what others did for it, where an agent answered by itself.
        confidence: how sure the model said it was, from 0 to 1; None where it did not.
        offered: the names of what it might call, where they were chosen for this step.
    """

    completion: Completion
    problem: str = ""
    broken: RunError | None = None
    used: float = 0.0
    handoffs: tuple[HandoffRecord, ...] = ()
    confidence: float | None = None
    offered: tuple[str, ...] | None = None


class CompletionFailed(NamedTuple):
    """The model will not answer, or its answer is not taken.

    Args:
        error: why.
        usage, cost: of an answer that was bought all the same.
    """

    error: Exception
    usage: Usage = NO_USAGE
    cost: float = 0.0


class Condensed(NamedTuple):
    """From here on the model is shown something else of the history.

    Args:
        shape: what.
        usage, cost: of the summary in it, where one was made, or was to be made.
        model, provider: who was asked for it.
        used: seconds that the run has used so far.
        notes: what the answer is to say of it.
    """

    shape: Shape
    usage: Usage = NO_USAGE
    cost: float = 0.0
    model: str = ""
    provider: str = ""
    used: float = 0.0
    notes: tuple[str, ...] = ()


class ToolReturned(NamedTuple):
    """A tool has returned, or failed in a way the model is told of.

    Args:
        call_id: the call.
        content: for the model.
        is_error: whether it failed.
        used: seconds that the run has used so far.
        labels: of the content, where they are not what its role says.
    """

    call_id: str
    content: str | tuple[Part, ...]
    is_error: bool = False
    used: float = 0.0
    labels: Labels | None = None

    def __repr__(self) -> str:
        """Which call's, and how much, never what: errors and logs show messages."""
        size = f"{len(self.content)} {'characters' if isinstance(self.content, str) else 'parts'}"
        return f"ToolReturned({self.call_id!r}, {size}{', an error' if self.is_error else ''})"


class Spent(NamedTuple):
    """A tool has spent money, or agents that it asked have.

    Args:
        call_id: the call.
        amount: US dollars.
        reason: for what.
        metadata: plain data that belongs to it.
        usage, handoffs, within, notes: what an agent that it asked, and those behind it, used and did; as in
            `HandoffReturned`.
    """

    call_id: str
    amount: float
    reason: str = ""
    metadata: Mapping[str, Any] = _NOTHING
    usage: Usage = NO_USAGE
    handoffs: tuple[HandoffRecord, ...] = ()
    within: Sequence[Step] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Which call's, and how much, never for what: errors and logs show messages."""
        return f"Spent({self.call_id!r}, {self.amount!r})"


class HandoffReturned(NamedTuple):
    """Another agent has answered, or the handoff failed in a way the model is told of.

    Args:
        call_id: the call that handed off.
        content: the other agent's answer, or what went wrong.
        is_error: whether it is the latter.
        final: the conversation was transferred: this is the run's answer.
        fatal: set when the handoff's refusal ends the run.
        steps, usage, cost, handoffs: what the other agent, and those behind it, used and did.
        used: seconds that the run has used so far.
        owner: agent and conversation that have the conversation now, where it was transferred.
        agent: who answered there.
        within: the steps of the other agent; of a pipeline those of all its stages.
        notes: what was changed on the way there.
        labels: of the content, where they are not what its role says.
    """

    call_id: str
    content: str
    is_error: bool = False
    final: bool = False
    fatal: AgentError | None = None
    usage: Usage = NO_USAGE
    cost: float = 0.0
    steps: int = 0
    handoffs: tuple[HandoffRecord, ...] = ()
    used: float = 0.0
    owner: tuple[str, str] | None = None
    agent: str = ""
    within: Sequence[Step] = ()
    notes: tuple[str, ...] = ()
    labels: Labels | None = None

    def __repr__(self) -> str:
        """Which call's, and how much, never what: errors and logs show messages."""
        failed = ", an error" if self.is_error else ""
        return f"HandoffReturned({self.call_id!r}, {len(self.content)} characters{failed}, final={self.final})"


NOBODY_DECIDED: Final = "nobody decided in time"
"""Why a call was denied that nobody has said anything to."""

NOBODY_THERE: Final = "nobody is there to approve it"
"""Why a program denies a call that has nobody who could be asked."""


def denial(reason: str) -> str:
    """The result of a call that was denied, as the model is told it."""
    if reason in (NOBODY_DECIDED, NOBODY_THERE):
        return f"Denied: {reason}"
    return f"Denied by a person: {reason or 'no reason was given'}"


class Decided(NamedTuple):
    """A person has approved or denied a call: a tool's, or a handoff.

    Args:
        call_id: the call.
        approved: whether it may run.
        arguments: JSON text that replaces the arguments, or None.
        reason: told to the model when it was denied.
    """

    call_id: str
    approved: bool
    arguments: str | None = None
    reason: str = ""

    def __repr__(self) -> str:
        """Which call, never with what: errors and logs show messages."""
        return f"Decided({self.call_id!r}, approved={self.approved})"


class Raised(NamedTuple):
    """A person gives a run more, whose limits are spent.

    Args:
        limits: of them those that are spent count; see `budget.raised`.
    """

    limits: Limits


class Interrupted(NamedTuple):
    """The run was stopped from outside: cancelled, out of time, refused by a guardrail, or its agent's scope.

    Args:
        error: why.
        usage, cost, handoffs: what agents that it had handed work to, and that were stopped with it, have used and
            done.
        rollback: its messages are to be taken out of the history.
    """

    error: AgentError
    usage: Usage = NO_USAGE
    cost: float = 0.0
    handoffs: tuple[HandoffRecord, ...] = ()
    rollback: bool = False


class Steered(NamedTuple):
    """Somebody has said something to the run under way; the model sees it at the next safe boundary.

    Args:
        messages: what was said.
        id: by which whoever said it learns that it was taken.
    """

    messages: tuple[Message, ...]
    id: str = ""


class Stopped(NamedTuple):
    """The agent's own condition ends the run with what there is.

    Args:
        by: the condition, in words.
    """

    by: str = ""


Input: TypeAlias = (
    Begin
    | Completed
    | CompletionFailed
    | Condensed
    | ToolReturned
    | Spent
    | HandoffReturned
    | Decided
    | Raised
    | Interrupted
    | Steered
    | Stopped
)
INPUTS = (
    Begin,
    Completed,
    CompletionFailed,
    Condensed,
    ToolReturned,
    Spent,
    HandoffReturned,
    Decided,
    Raised,
    Interrupted,
    Steered,
    Stopped,
)


# Commands: what to do next.


class Complete(NamedTuple):
    """Ask the model to go on from the history."""


class Restore(NamedTuple):
    """Have the prompt function say again what the open calls of the step under way call: an earlier incarnation's was
    lost. The calls go on then."""


class CallTool(NamedTuple):
    """Run a tool."""

    call: ToolCall


class HandOff(NamedTuple):
    """Hand a task, or the conversation, to another agent."""

    call: ToolCall
    transfer: bool


class AskApproval(NamedTuple):
    """Ask a person whether the call may run, or, where it has no id, whether the run may have more.

    Args:
        call: in the latter case without a name; its arguments say which limit is spent.
    """

    call: ToolCall


class Finish(NamedTuple):
    """The run has its answer. With ``external`` calls the caller runs those and comes back with their results."""

    text: str
    external: tuple[ToolCall, ...] = ()


class Fail(NamedTuple):
    """The run ends without its answer."""

    error: AgentError


Command: TypeAlias = Complete | Restore | CallTool | HandOff | AskApproval | Finish | Fail
Commands: TypeAlias = tuple[Command, ...]

COMPLETE: Commands = (Complete(),)
