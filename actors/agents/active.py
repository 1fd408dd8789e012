"""The run a conversation is working on: what is under way beside the mailbox, and its clock."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...providers.messages import Completion, Message, ToolCall
from ..core.base.events import Outcome
from ..core.base.scope import Scope
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from .answer import Answer
from .clock import Alarm
from .context import KEY, RequestContext, UsageRecord
from .desk import Carried, Desk
from .events import ApprovalRequested
from .handoff import Handoff
from .output import Output
from .profile import Profile
from .run import Ended, Run
from .turn import Commands, HandOff, Rules


class Nested(NamedTuple):
    """A run another agent makes for this one."""

    run: Run
    handoff: Handoff | None  # None where the run was forwarded to the conversation's owner
    transfer: bool
    started: float
    rest: tuple[str, ...] = ()  # further stages of a pipeline, each given the answer of the one before
    before: tuple[Answer, ...] = ()  # the answers of its earlier stages


class Active:
    """One run under way in one incarnation of its conversation; messages of another one are told apart by it.

    Args:
        run: the request.
        profile: the agent's.
        rules: of its turns.
        output: the type its answer must fit.
        now: the event loop's time in seconds.
        carried: what the model's actor wants to find in the scope of a request.
    """

    __slots__ = (
        "answering",
        "ask",
        "attempts",
        "clock_started",
        "context",
        "elapsed",
        "finalizing",
        "forward",
        "jobs",
        "model",
        "nested",
        "output",
        "owner",
        "profile",
        "rules",
        "run",
        "scope",
        "seen",
        "since",
        "started",
        "state",
        "step_started",
        "timer",
        "waiting",
    )

    def __init__(
        self,
        run: Run,
        profile: Profile,
        rules: Rules,
        output: Output | None,
        now: float,
        carried: Carried | None = None,
    ) -> None:
        self.run = run
        self.profile = profile
        self.rules = rules
        self.output = output
        self.started = self.step_started = self.clock_started = now
        self.elapsed = 0.0
        self.context = RequestContext(
            run.root, run.id, run.agent, run.conversation, run.chain, run.user, run.values, []
        )
        values: dict[str, Any] = {KEY: self.context}
        if carried is not None:
            values.update(carried(run.agent, run.conversation))
        self.scope = Scope(None, values)
        self.model: ActorRef[Any] | None = None
        self.ask: Any = None
        self.attempts = 0
        self.seen = False
        """Whether a subscriber has been given text of the step under way."""
        self.jobs: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.finalizing = False
        self.since: dict[str, float] = {}
        self.nested: dict[str, Nested] = {}
        self.waiting: dict[str, ApprovalRequested] = {}
        self.timer: Alarm | None = None
        self.owner: tuple[str, str] | None = None
        self.forward: Nested | None = None
        self.answering: Answer | None = None

    def used(self, completion: Completion) -> None:
        """Record what a completion used."""
        self.context.usage.append(
            UsageRecord(self.run.agent, completion.model, completion.provider, completion.usage, completion.cost)
        )

    def abort(self, desk: Desk) -> None:
        """Stop all that is under way: the model call, tools, agents handed off to, the clock."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.ask is not None:
            self.ask.cancel()
            self.ask = None
        for job in self.jobs.values():
            job.cancel()
        self.jobs.clear()
        for nested in self.nested.values():
            desk.forget(nested.run.id)
            desk.release(nested.run.agent, nested.run.conversation)
        self.nested.clear()
        for request in self.waiting.values():
            desk.approvals.pop(request.approval, None)
        self.waiting.clear()


# Messages that a conversation sends itself when work beside its mailbox has ended.


class Answered(NamedTuple):
    """The model's answer has come, or its failure."""

    active: Active
    outcome: Any


class ToolDone(NamedTuple):
    """A tool call has ended."""

    active: Active
    call: ToolCall
    outcome: Outcome[Any]


class Prepared(NamedTuple):
    """Hooks have seen a handoff (or refused it)."""

    active: Active
    command: HandOff
    outcome: Outcome[Handoff]


class HandedBack(NamedTuple):
    """Another agent has answered, or failed; ``reply`` has the answer or raises when asked for its result."""

    active: Active
    call_id: str
    reply: Future[Answer]


class Refused(NamedTuple):
    """A handoff was not carried out."""

    active: Active
    call: ToolCall
    error: Exception


class Greeted(NamedTuple):
    """The connection hooks have seen what the caller said."""

    active: Active
    outcome: Outcome[tuple[Message, ...]]


class Finalized(NamedTuple):
    """The finalize hooks have seen the outcome."""

    active: Active
    outcome: Outcome[Ended]


class Safe(NamedTuple):
    """The journal has written what the commands follow from."""

    active: Active
    commands: Commands
    ended: Ended | None


class TimeUp(NamedTuple):
    """The run has used its time."""

    active: Active
