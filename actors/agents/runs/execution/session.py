"""The run a conversation is working on: what is under way beside the mailbox, its clock, and messages about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

from .....providers.errors import CAUSES
from .....providers.messages import Completion, ToolCall, Usage
from .....tools.result import ToolResult
from .....tools.secrets import Secrets
from ....core.actor import Actor
from ....core.base.errors import CoreError
from ....core.base.events import suppress_dead_letter
from ....core.base.log import logger_of
from ....core.base.send_context import SendContext
from ....core.base.send_context import active as active_context
from ....core.mail.future import Future
from ....core.refs.ref import ActorRef
from ...agent import Agent
from ...answer import Answer, HandoffRecord
from ...context import KEY, MODEL, NO_DEPS, SPEND, RequestContext
from ...errors import InvalidAnswer, RunError, RunFailed, named
from ...events import ApprovalRequested, HookFailed, RunEvent
from ...hooks import MEMORY_HOOKS, Hook, HookContext, HookEvent, reason_to_ask, run_hooks
from ...output import Output
from ...prompts.spec import PromptSpec
from ...prompts.state.cells import Cells
from ...team.prepared import PreparedAgent
from ...team.subagents import is_sub_agent
from ...telemetry.run_spans import NOTHING_BEFORE, TELLS, RunSpans
from ...turns.loop.budget import left
from ...turns.outcome import Outcome as RunOutcome
from ...turns.records import PromptChanged, RunRequest
from ...turns.rules import Limits
from ...turns.state import ConversationState
from ...turns.steps import HandoffReturned, Input
from ..runtime.messages import GoneFromJournal
from ..runtime.register import NO_CREDENTIALS, Entry
from ..runtime.runtime import AgencyRuntime
from ..runtime.spoken import Spoken
from .calling import raised_by
from .known.handed import Delegation
from .known.labelling import Labelling
from .known.shown_step import ShownStep
from .known.stopwatch import Stopwatch
from .known.within import Within

logger = logger_of()

Append: TypeAlias = "Callable[[Sequence[Any], Session], Future[None] | None]"


class Session:
    """One run under way in one incarnation of its conversation; messages of another one are told apart by it.

    Args:
        actor: the conversation's actor.
        runtime: what the agency's actors share.
        state: the conversation's.
        run: the request.
        append: appends events to the conversation's stream; see `Recorder.append`.
    """

    __slots__ = (
        "__weakref__",
        "actor",
        "again",
        "append",
        "ask",
        "attempts",
        "base",
        "bought",
        "causes",
        "cells",
        "changed",
        "context",
        "delegations",
        "deps",
        "dropping",
        "entry",
        "finalizing",
        "first",
        "forward",
        "helped",
        "hook_state",
        "input",
        "interrupted",
        "jobs",
        "known",
        "labels",
        "max_retries",
        "model",
        "offered",
        "output",
        "over",
        "owed",
        "prepared",
        "prompt",
        "recalled",
        "reported",
        "resumed",
        "rules",
        "run",
        "runtime",
        "secrets",
        "seen",
        "send_context",
        "shown",
        "since",
        "spans",
        "spoken",
        "started",
        "state",
        "step_started",
        "stopwatch",
        "stream",
        "time",
        "unknown",
        "unready",
        "value",
        "waiting",
        "was_at",
        "within",
    )

    def __init__(
        self, actor: Actor, runtime: AgencyRuntime, state: ConversationState, run: RunRequest, append: Append
    ) -> None:
        self.actor = actor
        self.runtime = runtime
        self.state = state
        self.run = run
        self.append = append
        self.stream = run.stream_name
        self.within = Within()
        """The calls that its tool calls make."""
        self.labels = Labelling(state, run, self.within, runtime.directory)
        entry = self.entry = runtime.register.get(run.id)
        self.prompt: PromptSpec | None = None
        """The prompt function that makes its steps, if one does."""
        self.input: Any = None
        """What that is given besides, where it is a sub-agent's."""
        self.cells: Cells | None = None
        """What that remembers, once a step has been rendered."""
        self.changed: PromptChanged | None = None
        """What is to be recorded of that with what comes of the step, or the call, that is under way."""
        self.unready: RunFailed | None = None
        """Why its agent could not be made ready; the run can only be ended then."""
        try:
            self.look_at_agent()
        except Exception as error:  # what an agent is made of is the user's; the actor must not crash on it
            self.unready = RunFailed(f"agent {run.agent} cannot be made ready: {named(error)}")
            self.unready.__cause__ = error
            self.base = self.prepared = PreparedAgent(Agent(run.agent), ())
            self.rules = self.prepared.rules(run.limits, run.external)
        prepared = self.prepared
        self.output: Output | None = prepared.output
        self.unknown = ""
        """The type that the answer must fit, and why it is not known here; empty where it is."""
        if run.output is not None:
            self.output = entry.output if entry is not None else None
            if self.output is None:
                self.output, self.unknown = Output.known(*run.output)
        self.time = runtime.time
        self.started = self.step_started = self.time()
        self.stopwatch = Stopwatch(self.time, runtime.clock, state.used)
        self.interrupted = state.started
        """Calls of the step under way that an earlier incarnation had started."""
        self.was_at: Mapping[str, int] = NOTHING_BEFORE
        """What earlier incarnations in this process had under way, and since when; for spans."""
        self.again = False
        """Whether an earlier incarnation in this process was at work on it."""
        if entry is not None and entry.open:
            before: Session | None = entry.session
            if before is not None:
                self.again = True
                self.was_at = before.was_at
                self.stopwatch.at_least(before.stopwatch.used())
            entry.session = self
        self.context = RequestContext(
            run.root, run.id, run.agent, run.conversation, run.chain, run.caller, run.metadata, []
        )
        self.owed: list[tuple[Usage, float, str]] = []
        """What was bought beside its completions and is not recorded yet: tokens, dollars, and for what."""
        self.causes: dict[str, BaseException] = {}
        """Why providers have not answered the request under way, as far as the pool has tried."""
        baggage: dict[str, Any] = {KEY: self.context, MODEL: runtime.model, SPEND: self.owed, CAUSES: self.causes}
        if "memory" in self.prepared.hooks:
            baggage[MEMORY_HOOKS] = self.hooked
        if runtime.baggage is not None:
            baggage.update(runtime.baggage(run, prepared))
        tracing = runtime.tracing
        self.spans = None if tracing is None else RunSpans(tracing, run, baggage, self.again, self.was_at)
        """What is told of the run as spans; None where nobody wants any."""
        self.send_context = SendContext(None, baggage) if self.spans is None else self.spans.sent
        self.over = False
        """Whether the run has ended, or its conversation was released."""
        self.model: ActorRef[Any] | None = None
        self.ask: Any = None
        self.attempts = 0
        self.shown = ShownStep()
        self.max_retries: int | None = None
        """How often the completion under way may be asked for again; None for the usual number."""
        self.offered: tuple[str, ...] | None = None
        """The names of what the model may call in the step under way, where they were chosen for it."""
        self.bought: Completion | None = None
        """The completion of the step under way while hooks look at it."""
        self.secrets: Secrets | None = None
        """What tools were given that nobody may see, where nobody waits for the run that the caller started."""
        self.known = NO_CREDENTIALS
        self.recalled = False
        """Whether it was asked for what tools were given by earlier incarnations, and in earlier runs."""
        self.seen = False
        """Whether a subscriber has been given text of the step under way."""
        self.first: float | None = None
        """Seconds until the first text of the step under way came, in a streamed run."""
        self.spoken: Spoken | None = None
        """What the model has said in the step under way, as far as it may be shown; in a streamed run."""
        self.jobs: dict[str, Any] = {}
        self.hook_state: dict[str, Any] = {}
        self.finalizing: RunOutcome | None = None
        """The outcome that hooks look at, while they do."""
        self.reported = False
        self.resumed = False
        """Whether an earlier incarnation has begun what is done here: what it sent may be in the journal."""
        self.since: dict[str, float] = {}
        self.delegations: dict[str, Delegation] = {}
        self.waiting: dict[str, ApprovalRequested] = {}
        self.dropping: list[str] = []
        """Streams of other conversations that go with the next append."""
        self.forward: Delegation | None = None
        self.deps: Any = NO_DEPS
        """What its tools depend on, where nobody waits for the run that the caller started."""
        self.helped: tuple[HandoffRecord, ...] = ()
        """What others did for an agent that answers by itself."""
        self.value: Any = None
        """The answer as the requested type, once it has been looked at."""

    def look_at_agent(self) -> None:
        """Take over what the agent has been given, or what was taken from it, since the last completion."""
        asked = None if self.entry is None else self.entry.asked
        if asked is None:
            prepared = self.runtime.directory.prepared(self.run.agent)
            self.prompt = prepared.agent.prompt_spec
            if is_sub_agent(prepared.agent):
                raise RunFailed("nobody asks it any more, and only who does knows its prompt function")
        else:
            prepared, self.prompt, self.input = asked
        self.base = self.prepared = prepared.offered_to(self.run.caller)
        self.look_at_rules()

    def look_at_rules(self) -> None:
        """Have the rules of what is offered now."""
        prepared = self.prepared
        self.rules = prepared.rules(self.run.limits, self.run.external)
        self.labels.look_at_agent(prepared.agent)
        asks = "approval" in prepared.hooks or self.labels.policy is not None
        if prepared.deferred is not None or self.prompt is not None or asks:
            self.rules = replace(self.rules, needs_approval=partial(_needs_approval, ref(self)))

    def send(self, message: Any) -> None:
        """A message to the conversation; if its actor has ended, the next incarnation finds out by itself."""
        try:
            self.actor.ref.tell(message)
        except CoreError:
            logger.debug("%s has ended; %s is not needed any more", self.stream, type(message).__name__)

    def record(self, events: Sequence[Any], then: Callable[[], object] | None = None) -> None:
        """Record what is no step of the run: what happened within a tool call.

        Args:
            events: in order.
            then: called once the journal has them.

        Raises:
            EventNotWritable: nothing was recorded.
        """
        pending = self.append(events, self)
        for event in events:
            self.state.apply(event)
        if pending is not None:
            pending.when_done(partial(self._when_recorded, then))
        elif then is not None:
            then()

    def _when_recorded(self, then: Callable[[], object] | None, pending: Future[None]) -> None:
        error = pending.exception()
        if error is not None:
            self.send(GoneFromJournal(error))
        elif then is not None and not self.over:
            then()

    def emit(self, event: type[RunEvent], /, **fields: Any) -> None:
        """Tell those who listen."""
        runtime, run = self.runtime, self.run
        if self.spans is not None and event in TELLS:
            TELLS[event](self.spans, **fields)
        if event in runtime.counts:
            runtime.counts[event](run.agent, **fields)
        if runtime.bus.everything:
            runtime.bus.emit(event(run.root, run.id, run.agent, run.conversation, run.chain, self.time(), **fields))

    def trace(self, call_id: str = "", target: str = "") -> str:
        """The span that a run made for this one is a part of, as a ``traceparent``.

        Args:
            call_id: the call that it is made for.
            target: whose it is.
        """
        return self.run.trace if self.spans is None else self.spans.header(call_id, target)

    async def hooked(self, event: HookEvent, **fields: Any) -> HookContext:
        """Call the hooks of an event, if there are any."""
        context = HookContext(event, self.context, self.hook_state, emit=self.emit, **fields)
        hooks = self.prepared.hooks.get(event)
        if hooks is None:
            return context
        token = active_context.set(self.send_context)
        try:
            return await run_hooks(hooks, context, self._hook_failed)
        finally:
            active_context.reset(token)

    def _hook_failed(self, hook: Hook, error: BaseException) -> None:
        self.emit(HookFailed, hook=hook.name, error=named(error))

    async def looked_at(self, call: ToolCall, result: ToolResult) -> ToolResult:
        """A result as the hooks for results leave it. Raises `GuardrailTripped`."""
        if "toolresult" not in self.prepared.hooks:
            return result
        return (await self.hooked("toolresult", call=call, result=result)).result or result

    def reason_to_ask(self, call: ToolCall) -> str:
        """Why labels, or hooks, want a person to be asked about a call; empty where none does, or it cannot run."""
        prepared, hooks = self.prepared, self.prepared.hooks.get("approval")
        if not (call.id in self.within.calls or prepared.can_be_carried_out(call)):
            return ""
        why = self.labels.why_asked(prepared, call)
        if hooks is None:
            return why
        hands_off = call.name in self.rules.transfers or call.name in self.rules.delegates
        messages = self.state.turn.history.as_tuple()
        told: dict[str, Any] = {"call": call, "hands_off": hands_off, "messages": messages}
        context = HookContext("approval", self.context, self.hook_state, emit=self.emit, **told)
        wanted = reason_to_ask(hooks, context, self._hook_failed)
        return "; ".join(reason for reason in (why, wanted) if reason)

    def check(self, text: str) -> tuple[str, RunError | None]:
        """Look at a final text: what is wrong with it, and whether looking at it went wrong."""
        if self.output is None:
            return "", InvalidAnswer(f"the answer was to fit {self.unknown}") if self.unknown else None
        try:
            self.value, problem = self.output.read(text)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a validator of the user's
            return "", raised_by("checking the answer", error)
        return problem, None

    def handed_over(self, happened: Input | None) -> tuple[tuple[str, str] | None, str, Any]:
        """Who has the conversation now and who answered, if others do; and the answer as the requested type."""
        if type(happened) is HandoffReturned and happened.final:
            return happened.owner, happened.agent, self.value
        return None, "", self.value

    @property
    def limits(self) -> Limits:
        """What the run may use, with what a person has given it."""
        state = self.state
        return (state.turn.limits if state.begun else None) or self.rules.limits

    def left(self, before: Iterable[Answer] = ()) -> Limits | None:
        """What one that is handed work may use of it; None where there are no limits.

        Args:
            before: what others have answered meanwhile, and is not in the turn yet.
        """
        turn = self.state.turn
        usage, cost = turn.usage, turn.cost
        for answer in before:
            usage, cost = usage + answer.usage, cost + answer.cost
        return left(self.limits, usage, cost, self.stopwatch.used())

    def start_clock(self) -> None:
        """Let the run's time go on."""
        self.stopwatch.start()
        seconds = self.rules.limits.seconds
        if seconds is not None and not self.over:
            self.stopwatch.ring_once_used(seconds, self.send, TimeLimitReached(self))

    def pause(self, approval: str) -> None:
        """While a person thinks, the time of the run stands still, and of those that wait for it."""
        for session in self.upward():
            session.stopwatch.stand_still({approval})

    def unpause(self, approval: str) -> None:
        """The person has decided."""
        for session in self.upward():
            if session.stopwatch.decided(approval):
                session.start_clock()

    def upward(self) -> Iterator[Session]:
        """This, and what is done for each of the runs that this one works for, the nearest first."""
        session: Session | None = self
        while session is not None:
            yield session
            entry: Entry | None = self.runtime.register.get(session.run.parent) if session.run.parent else None
            session = entry.session if entry is not None else None

    def holder(self) -> Entry | Session:
        """Where what the tools of a run depend on is kept: by the run that the caller started."""
        return self.runtime.register.get(self.run.root) or self

    def blot(self) -> Callable[[str], str] | None:
        """What takes out of a text the secrets that tools were given; None where none were."""
        secrets = self.holder().secrets
        return secrets.blot if secrets else None

    def taken_over_by(self) -> Entry | None:
        """The run in which another agent answers for this one, as the conversation is theirs, or becomes so."""
        found = next((one for one in self.delegations.values() if one.transfer), None)
        return None if found is None else self.runtime.register.get(found.run.id)

    def children(self) -> tuple[str, ...]:
        """The streams of those at work for this run."""
        made = [one for one in self.delegations.values() if one.handoff is not None]
        ended = [f"{answer.agent}/{answer.conversation}" for one in made for answer in (*one.summary, *one.before)]
        return (*(one.run.stream_name for one in made), *ended)

    def let_go(self) -> None:
        """The incarnation ends: what is under way beside it ends, too, and is begun anew by the next one."""
        self._end_work()
        if self.spans is not None:
            self.was_at = self.spans.under_way()
            self.spans = None
        for request in self.waiting.values():  # they go on waiting, and may be decided meanwhile
            self.unpause(request.approval)
        self.waiting.clear()
        self.stopwatch.stop()

    def _end_work(self) -> None:
        """Nothing more is done for the run by this incarnation."""
        self.over = True
        self.stopwatch.stop_alarm()
        if self.ask is not None:
            self.ask.cancel()
            self.ask = None
        for job in self.jobs.values():
            job.cancel()
        self.jobs.clear()

    def stop(self, delegation: Delegation) -> None:
        """Have the run of another agent end: nobody waits for it any more."""
        runtime = self.runtime
        entry = runtime.register.get(delegation.run.id)
        if entry is not None and delegation.handoff is None:
            runtime.forget_once_ended(entry)
        else:
            runtime.register.forget(delegation.run.id)
        if delegation.handoff is not None:
            runtime.release(delegation.run.agent, delegation.run.conversation)
        for answer in (*delegation.summary, *delegation.before):  # what they left was kept until the handoff's end
            runtime.register.forget(answer.run)
            runtime.drop(f"{answer.agent}/{answer.conversation}")

    def abort(self) -> None:
        """Stop all that is under way: the model call, tools, agents handed off to, the clock."""
        self._end_work()
        runtime = self.runtime
        for delegation in self.delegations.values():
            self.stop(delegation)
        self.delegations.clear()
        for request in self.waiting.values():
            runtime.approvals.forget(request)
            self.unpause(request.approval)
        self.waiting.clear()


def _needs_approval(of: ref[Session], call: ToolCall) -> bool:
    """Whether a call of what is offered in the step under way waits for a person."""
    session = of()  # its rules call this: were it held here, it would be left to the collector
    assert session is not None
    if session.prepared.is_harmless(call, session.state.turn.history):
        return False
    return session.prepared.needs_approval(call) or bool(session.reason_to_ask(call))


Happened: TypeAlias = Callable[[Session, Input], None]
"""Takes what happened into the turn machine."""


@suppress_dead_letter
class TimeLimitReached(NamedTuple):
    """The run has used its time."""

    session: Session
