"""The run a conversation is working on: what is under way beside the mailbox, its clock, and messages about it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ....providers.messages import Message, ToolCall
from ...core.actor import Actor
from ...core.base.errors import CoreError
from ...core.base.events import Outcome
from ...core.base.scope import Scope
from ...core.mail.future import Future
from ...core.refs.ref import ActorRef
from ..answer import Answer
from ..context import KEY, RequestContext
from ..events import ApprovalRequested, HookFailed, RunEvent
from ..handoffs.handoff import Handoff
from ..hooks import Hook, HookContext, HookEvent, run_hooks
from ..turns.records import Ended, Run
from ..turns.state import ConversationState
from ..turns.steps import Commands, HandOff, Input
from .clock import Alarm
from .runtime import AgencyRuntime

logger = logging.getLogger("callboard")


class Delegation(NamedTuple):
    """A run another agent makes for this one."""

    run: Run
    handoff: Handoff | None  # None where the run was forwarded to the conversation's owner
    transfer: bool
    started: float
    rest: tuple[str, ...] = ()  # further stages of a pipeline, each given the answer of the one before
    before: tuple[Answer, ...] = ()  # the answers of its earlier stages


class Session:
    """One run under way in one incarnation of its conversation; messages of another one are told apart by it.

    Args:
        actor: the conversation's actor.
        runtime: what the agency's actors share.
        state: the conversation's.
        run: the request.
    """

    __slots__ = (
        "actor",
        "answering",
        "ask",
        "attempts",
        "clock_started",
        "context",
        "delegations",
        "elapsed",
        "finalizing",
        "forward",
        "hook_state",
        "jobs",
        "model",
        "output",
        "over",
        "owner",
        "prepared",
        "rules",
        "run",
        "runtime",
        "scope",
        "seen",
        "since",
        "started",
        "state",
        "step_started",
        "stream",
        "time",
        "timer",
        "waiting",
    )

    def __init__(self, actor: Actor, runtime: AgencyRuntime, state: ConversationState, run: Run) -> None:
        self.actor = actor
        self.runtime = runtime
        self.state = state
        self.run = run
        self.stream = run.stream_name
        asked_for = runtime.register.outputs.get(run.id)
        prepared = self.prepared = runtime.directory.prepared[run.agent]
        self.rules = prepared.rules(run.limits, run.external, asked_for)
        self.output = asked_for or prepared.output
        self.time = runtime.time
        self.started = self.step_started = self.clock_started = self.time()
        self.elapsed = 0.0
        self.context = RequestContext(
            run.root, run.id, run.agent, run.conversation, run.chain, run.user, run.values, []
        )
        values: dict[str, Any] = {KEY: self.context}
        if runtime.carried is not None:
            values.update(runtime.carried(run.agent, run.conversation))
        self.scope = Scope(None, values)
        self.over = False
        """Whether the run has ended, or its conversation was released."""
        self.model: ActorRef[Any] | None = None
        self.ask: Any = None
        self.attempts = 0
        self.seen = False
        """Whether a subscriber has been given text of the step under way."""
        self.jobs: dict[str, Any] = {}
        self.hook_state: dict[str, Any] = {}
        self.finalizing = False
        self.since: dict[str, float] = {}
        self.delegations: dict[str, Delegation] = {}
        self.waiting: dict[str, ApprovalRequested] = {}
        self.timer: Alarm | None = None
        self.owner: tuple[str, str] | None = None
        self.forward: Delegation | None = None
        self.answering: Answer | None = None

    def send(self, message: Any) -> None:
        """A message to the conversation; if its actor has ended, the next incarnation finds out by itself."""
        try:
            self.actor.ref.tell(message)
        except CoreError:
            logger.debug("%s has ended; %s is not needed any more", self.stream, type(message).__name__)

    def emit(self, event: type[RunEvent], /, **fields: Any) -> None:
        """Tell those who listen."""
        bus = self.runtime.bus
        if bus.active:
            run = self.run
            bus.emit(event(run.root, run.id, run.agent, run.conversation, run.chain, self.time(), **fields))

    async def hooked(self, event: HookEvent, **fields: Any) -> HookContext:
        """Call the hooks of an event, if there are any."""
        context = HookContext(event, self.context, self.hook_state, **fields)
        hooks = self.prepared.hooks.get(event)
        if hooks is None:
            return context

        def report(failed: Hook, error: Exception) -> None:
            self.emit(HookFailed, hook=failed.name, error=f"{type(error).__name__}: {error}")

        return await run_hooks(hooks, context, report)

    def start_clock(self) -> None:
        """Let the run's time go on."""
        seconds = self.rules.limits.seconds
        if seconds is not None and self.timer is None:
            left = seconds - self.elapsed
            self.clock_started = self.time()
            self.timer = self.runtime.clock.call_at(self.clock_started + left, self.send, TimeLimitReached(self))

    def stop_clock(self) -> None:
        """While a person thinks, the run's time stands still."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.elapsed += self.time() - self.clock_started

    def abort(self) -> None:
        """Stop all that is under way: the model call, tools, agents handed off to, the clock."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.ask is not None:
            self.ask.cancel()
            self.ask = None
        for job in self.jobs.values():
            job.cancel()
        self.jobs.clear()
        register = self.runtime.register
        for delegation in self.delegations.values():
            register.forget(delegation.run.id)
            register.release(delegation.run.agent, delegation.run.conversation)
        self.delegations.clear()
        for request in self.waiting.values():
            self.runtime.approvals.pop(request.approval, None)
        self.waiting.clear()


Happened: TypeAlias = Callable[[Session, Input], None]
"""Takes what happened into the turn machine."""


# Messages that a conversation is sent when work beside its mailbox has ended.


class CompletionArrived(NamedTuple):
    """The model's answer has come, or its failure."""

    session: Session
    outcome: Any


class ToolDone(NamedTuple):
    """A tool call has ended."""

    session: Session
    call: ToolCall
    outcome: Outcome[Any]


class Prepared(NamedTuple):
    """Hooks have seen a handoff (or refused it)."""

    session: Session
    command: HandOff
    outcome: Outcome[Handoff]


class DelegateAnswered(NamedTuple):
    """Another agent has answered, or failed; ``reply`` has the answer or raises when asked for its result."""

    session: Session
    call_id: str
    reply: Future[Answer]


class OwnerAnswered(NamedTuple):
    """The agent that took the conversation over has answered what was forwarded to it, or failed."""

    session: Session
    reply: Future[Answer]


class Refused(NamedTuple):
    """A handoff was not carried out."""

    session: Session
    call: ToolCall
    error: Exception


class Connected(NamedTuple):
    """The connection hooks have seen what the caller said."""

    session: Session
    outcome: Outcome[tuple[Message, ...]]


class Finalized(NamedTuple):
    """The finalize hooks have seen the outcome."""

    session: Session
    outcome: Outcome[Ended]


class Recorded(NamedTuple):
    """The journal has written what the commands follow from."""

    session: Session
    commands: Commands
    ended: Ended | None


class TimeLimitReached(NamedTuple):
    """The run has used its time."""

    session: Session
