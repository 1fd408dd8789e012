"""What can be seen of a run while it goes on: typed events, delivered to subscribers and yielded by streaming.

Every event says which run it belongs to (``root``: the run the caller started; ``run``: the one this agent makes for
it), which agent and conversation, the chain of agents that leads there, and the event loop's time in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...providers.messages import Usage
from .answer import NO_USAGE, Answer, HandoffKind
from .caller import NOBODY, Caller
from .errors import AgentError


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Base class.

    Args:
        root: the id of the run the caller started.
        run: the id of this agent's run.
        agent: the agent's name.
        conversation: the conversation's id.
        chain: the agents from the first asked to this one.
        at: the event loop's time, seconds.
    """

    root: str
    run: str
    agent: str
    conversation: str
    chain: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class RunStarted(RunEvent):
    """The agent began to work on a request.

    ``answers_for``: the id of the run in whose place it answers, as the conversation was transferred to it; otherwise
    empty.
    """

    text: str = ""
    answers_for: str = ""


@dataclass(frozen=True, slots=True)
class CompletionStarted(RunEvent):
    """The model was asked; ``step`` counts from 1.

    ``last``: its text can be nothing but the answer's: it has no tools to call, and neither a type nor a hook could
    have it changed. ``model``: the one that was asked for; empty where that is the provider's affair.
    """

    step: int = 0
    last: bool = False
    model: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta(RunEvent):
    """A piece of the answer's text, in a streamed run."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class PartialAnswer(RunEvent):
    """What there is of a structured answer, in a streamed run, each time there is more of it.

    ``value`` is of the requested type; what has not come has its default. So the first one comes once all is there that
    has none. The answer's own value is what counts: it has been checked as a whole.
    """

    value: Any = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta(RunEvent):
    """A piece of visible reasoning: a delta in a streamed run, the whole of a step's otherwise."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class CompletionFinished(RunEvent):
    """The model has answered; ``first`` is the seconds until its first text came, in a streamed run."""

    step: int = 0
    usage: Usage = NO_USAGE
    cost: float | None = None
    seconds: float = 0.0
    model: str = ""
    provider: str = ""
    notes: tuple[str, ...] = ()
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Retried(RunEvent):
    """The model is asked once more; text and reasoning streamed for this step so far are void."""

    reason: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ContextReduced(RunEvent):
    """From here on the model is shown less of the conversation.

    Args:
        step: of which completion, counted from 1.
        before, after: tokens of what it is shown of the conversation, as far as they are known.
        left_out: how many messages are not shown in all.
        summarized: whether a summary was made for that.
        usage, cost: of that, also where it was bought and could not be used: as much is shown then as before.
        reason: why: the strategy that wants it, or that a vendor said it was too long.
    """

    step: int = 0
    before: int = 0
    after: int = 0
    left_out: int = 0
    summarized: bool = False
    usage: Usage = NO_USAGE
    cost: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ToolStarted(RunEvent):
    """A tool was called."""

    call_id: str = ""
    tool: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ToolFinished(RunEvent):
    """A tool has returned, or failed. What of its content is no text is named in its place: ``[picture]``."""

    call_id: str = ""
    tool: str = ""
    content: str = ""
    is_error: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolProgress(RunEvent):
    """A tool says how far it is: in words, as a fraction from 0 to 1, or both."""

    call_id: str = ""
    tool: str = ""
    text: str = ""
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class ToolSpent(RunEvent):
    """A tool has spent money: US dollars, and for what."""

    call_id: str = ""
    tool: str = ""
    amount: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandoffStarted(RunEvent):
    """A task, or the conversation, goes to another agent."""

    call_id: str = ""
    target: str = ""
    kind: HandoffKind = "delegate"
    task: str = ""


@dataclass(frozen=True, slots=True)
class HandoffFinished(RunEvent):
    """The other agent has answered, or the handoff was refused or failed (``failed`` says why)."""

    call_id: str = ""
    target: str = ""
    kind: HandoffKind = "delegate"
    text: str = ""
    failed: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ApprovalRequested(RunEvent):
    """A call waits for a person, or a run whose limits are spent; decide with `Agency.approve` or `Agency.deny`.

    Args:
        call_id, tool, arguments: the call. Where the run waits for more, ``tool`` is empty, and the arguments say which
            limit is spent: ``{"limit": "cost", "used": 0.52, "allowed": 0.5}``.
        approval: the id by which it is decided; nobody can guess it.
        caller: who asked for the run: whose approval it is.
        expires_at: seconds since 1970 from when on it counts as denied; None for never.
        approvers: the scopes of which whoever decides needs one, where the tool says so (``approved_by=``); otherwise
            it is the caller's, or theirs who have the scope ``approvals``.
        owner: the agent's, where ``owner`` is among them.
        why: for which reason a person is asked, where a hook, a guardrail or a `LabelPolicy` wants it.
        schema: of the tool's arguments, as JSON; empty where there is none.
    """

    call_id: str = ""
    tool: str = ""
    arguments: str = ""
    approval: str = ""
    caller: Caller = NOBODY
    expires_at: float | None = None
    approvers: frozenset[str] = frozenset()
    owner: Caller | None = None
    why: str = ""
    schema: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalDecided(RunEvent):
    """A person has decided."""

    call_id: str = ""
    tool: str = ""
    approved: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resumed(RunEvent):
    """The conversation's actor was restarted and goes on from its last completed step."""

    steps: int = 0


@dataclass(frozen=True, slots=True)
class Steered(RunEvent):
    """Somebody has said something to the run; the model sees it at the next safe boundary."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class HookFailed(RunEvent):
    """A hook raised; the run goes on without it."""

    hook: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class GuardrailFound(RunEvent):
    """A guardrail has found something; never what.

    Args:
        guardrail: its name.
        where: in what: ``input``, ``chunk``, ``output``, ``tool_call``, ``tool_result``, ``handoff`` or ``memory``.
        kind: what kind of thing.
        count: how many of them.
        action: what comes of it: ``block``, ``redact``, ``warn`` or ``ask``.
        call_id: the call, where it was in one or in its result.
        seconds: it took to look.
    """

    guardrail: str = ""
    where: str = ""
    kind: str = ""
    count: int = 1
    action: str = ""
    call_id: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunFinished(RunEvent):
    """The run has its answer, or ended without one (then ``error`` is set and ``answer`` keeps what was done)."""

    answer: Answer | None = None
    error: AgentError | None = None
