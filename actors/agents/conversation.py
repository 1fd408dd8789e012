"""The conversation actor: one conversation of one agent, its runs in order.

Its handlers only decide. Model calls, tools and other agents work beside the mailbox and come back as messages; each
becomes an input of the turn machine, is written to the journal, and only then are the machine's commands carried out.
An incarnation begins by folding the journal, so a restarted one goes on from the last completed step.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ...providers.errors import ProviderError
from ...providers.messages import Completion, Message, Request, ToolCall
from ..core.actor import Actor
from ..core.errors import ActorDead, CoreError
from ..core.events import Outcome
from ..core.future import Future
from ..core.scope import active as active_scope
from .active import Active, Nested
from .answer import Answer, HandoffRecord, ReasoningStep
from .desk import Desk
from .errors import (
    AgentError,
    HandoffCycle,
    HandoffDepth,
    HandoffError,
    HandoffLimit,
    HandoffRefused,
    RunCancelled,
    RunError,
    RunFailed,
    TimeLimit,
)
from .events import (
    ApprovalDecided,
    ApprovalRequested,
    CompletionFinished,
    CompletionStarted,
    HandoffFinished,
    HandoffStarted,
    ReasoningDelta,
    Resumed,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from .handoff import check_chain, read_call
from .run import Accepted, Cancel, Decision, Ended, Release, Run, Snapshot, ToolsStarted
from .turn import (
    AskApproval,
    Begin,
    CallTool,
    Commands,
    Complete,
    Completed,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    HandOff,
    Input,
    Interrupted,
    Turn,
    advance,
    cut,
    outstanding,
    transferred,
)
from .turn import HandoffFinished as HandoffReturned
from .turn import ToolFinished as ToolReturned

logger = logging.getLogger("callboard")

MAX_CRASHES = 3
"""Crashes at one and the same step after which the run is given up: more of them would not help."""

MAX_RETRIES = 3
"""Times a completion is asked for again because the model's actor crashed or a stream was cut."""

INTERRUPTED = (
    "Interrupted: the tool was running when its agent was restarted. It may have had its effect; "
    "check before you call it again."
)
_FATAL = (HandoffDepth, HandoffCycle, HandoffLimit)


class Answered(NamedTuple):
    """The model's answer has come, or its failure."""

    active: Active
    outcome: Any


class ToolDone(NamedTuple):
    """A tool call has ended."""

    active: Active
    call: ToolCall
    outcome: Outcome[Any]


class HandedBack(NamedTuple):
    """Another agent has answered, or failed."""

    active: Active
    call_id: str
    reply: Future[Answer]


class Refused(NamedTuple):
    """A handoff was not carried out."""

    active: Active
    call: ToolCall
    error: Exception


class Safe(NamedTuple):
    """The journal has written what the commands follow from."""

    active: Active
    commands: Commands
    ended: Ended | None


class TimeUp(NamedTuple):
    """The run has used its time."""

    active: Active


class Conversation(Actor):
    """One conversation of one agent.

    Args:
        desk: what the agency's actors share.
        agent: the agent's name.
        conversation: the conversation's id.
    """

    def __init__(self, desk: Desk, agent: str, conversation: str) -> None:
        super().__init__()
        self._desk = desk
        self._agent = agent
        self._id = conversation
        self._stream = f"{agent}/{conversation}"
        self._turn = Turn()
        self._queue: deque[Run] = deque()
        self._active: Active | None = None
        self._owner: tuple[str, str] | None = None
        self._last: Ended | None = None
        self._begun = False
        self._interrupted: frozenset[str] = frozenset()

    # -- a new incarnation ---------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Fold the journal, then go on where it ends."""
        for event in self._desk.journal.load(self._stream):
            self._replay(event)
        if self._last is not None:
            self._report(self._last)  # its reply may not have got out before a crash
        if self._queue and self._begun:
            self._resume()
        else:
            self._start_next()

    def _replay(self, event: Any) -> None:
        kind = type(event)
        if kind is Accepted:
            if not self._knows(event.run.id):  # whoever waits for it may have sent it again after a restart
                self._queue.append(event.run)
        elif kind is ToolsStarted:
            self._interrupted |= set(event.call_ids)
        elif kind is Ended:
            self._close(event)
        elif kind is Snapshot:
            self._turn = Turn("ended", event.history)
            self._owner = event.owner
            self._last = event.last
        else:
            self._begun = True
            run = self._queue[0]
            profile = self._desk.profiles[self._agent]
            rules = profile.rules_for(run.limits, run.external, self._desk.outputs.get(run.id))
            self._turn, _ = advance(self._turn, event, rules)

    def _resume(self) -> None:
        crashes = self._desk.crashes[self._stream] = self._desk.crashes.get(self._stream, 0) + 1
        active = self._activate(self._queue[0])
        if crashes > MAX_CRASHES:
            error = RunFailed(f"the conversation crashed {crashes} times at the same step; the run is given up")
            self._apply(active, Interrupted(error))
            return
        self._emit(active, Resumed, steps=self._turn.steps)
        self._carry(active, outstanding(self._turn, active.rules))

    # -- messages ------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle a message; see `run` and the classes above for what there is."""
        return _HANDLERS[type(message)](self, message)

    def _on_run(self, run: Run) -> None:
        # The journal has it already; this only says that it is there.
        if not self._desk.is_open(run.id):
            return
        if not self._knows(run.id):
            self._queue.append(run)
            self._start_next()
        elif self._last is not None and self._last.run == run.id:
            self._report(self._last)

    def _knows(self, run_id: str) -> bool:
        return (self._last is not None and self._last.run == run_id) or any(run.id == run_id for run in self._queue)

    def _on_answered(self, message: Answered) -> None:
        active, outcome = message
        if active is not self._active:
            return
        active.ask = None
        try:
            completion = outcome.unwrap() if isinstance(outcome, Outcome) else outcome.result()
        except Exception as error:
            self._on_model_failure(active, error)
            return
        self._desk.crashes.pop(self._stream, None)
        self._record(active, completion)
        self._apply(active, Completed(completion))

    def _on_model_failure(self, active: Active, error: Exception) -> None:
        model = active.model
        crashed = isinstance(error, ActorDead) and model is not None and model.is_alive()
        cut_short = isinstance(error, ProviderError) and error.retryable and active.seen
        if (crashed or cut_short) and active.attempts < MAX_RETRIES:
            active.attempts += 1
            self._emit(active, Retried, reason=f"{type(error).__name__}: {error}", attempt=active.attempts)
            self._ask_model(active)
            return
        self._apply(active, CompletionFailed(error))

    def _on_tool_done(self, message: ToolDone) -> None:
        active, call, outcome = message
        if active is not self._active:
            return
        active.jobs.pop(call.id, None)
        try:
            result = outcome.unwrap()
        except Exception as error:  # a tool of another make than ours, which reports failures as results
            self._tool_returned(active, call, f"{type(error).__name__}: {error}", True)
        else:
            self._tool_returned(active, call, result.content, result.is_error)

    def _on_handed_back(self, message: HandedBack) -> None:
        active, call_id, reply = message
        if active is not self._active:
            return
        nested = active.nested.pop(call_id)
        answer: Answer | None
        error: AgentError | None = None
        try:
            answer = reply.result()
        except AgentError as raised:
            error, answer = raised, raised.partial
        if nested.forwarded:
            self._finish_forwarded(active, nested, answer, error)
            return
        handoff, final = nested.handoff, nested.transfer and error is None
        failed = "" if error is None else f"{type(error).__name__}: {error}"
        record = HandoffRecord(self._agent, handoff.target, handoff.kind, handoff.task, failed)
        text = answer.text if answer is not None else ""
        self._emit(
            active,
            HandoffFinished,
            call_id=call_id,
            target=handoff.target,
            kind=handoff.kind,
            text=text,
            failed=failed,
            seconds=self._now() - nested.started,
        )
        content = f"{handoff.target} could not finish: {failed}" if error is not None else text
        returned = HandoffReturned(
            call_id,
            content or f"{handoff.target} answered nothing.",
            error is not None,
            final,
            error if isinstance(error, _FATAL) or (nested.transfer and error is not None) else None,
        )
        if answer is not None:
            returned = returned._replace(usage=answer.usage, cost=answer.cost, steps=answer.steps)
            returned = returned._replace(handoffs=(record, *answer.handoffs))
        else:
            returned = returned._replace(handoffs=(record,))
        if final:
            active.owner = (handoff.target, nested.run.conversation)
            active.answering = answer
        self._apply(active, returned)
        self._desk.forget(nested.run.id)
        if not final:  # its actor has stopped by itself; this side has written down what it needs
            self._desk.journal.drop(nested.run.stream_name)

    def _on_refused(self, message: Refused) -> None:
        active, call, error = message
        if active is self._active:
            fatal = error if isinstance(error, _FATAL) else None
            self._emit(active, HandoffFinished, call_id=call.id, target="", failed=str(error))
            self._apply(active, HandoffReturned(call.id, f"Refused: {error}", True, fatal=fatal))

    def _on_decision(self, decision: Decision) -> None:
        active = self._active
        if active is None or decision.run != active.run.id or decision.call_id not in active.waiting:
            return
        request = active.waiting.pop(decision.call_id)
        self._desk.approvals.pop(request.approval, None)
        self._emit(
            active,
            ApprovalDecided,
            call_id=decision.call_id,
            tool=request.tool,
            approved=decision.approved,
            reason=decision.reason,
        )
        if not active.waiting:
            self._start_clock(active)
        _, _, call_id, approved, arguments, reason = decision
        self._apply(active, Decided(call_id, approved, arguments, reason))

    def _on_cancel(self, cancel: Cancel) -> None:
        active = self._active
        if active is not None and active.run.id == cancel.run:
            self._interrupt(active, RunCancelled(f"the run was cancelled: {cancel.reason}"))
            return
        for run in self._queue:
            if run.id == cancel.run:
                error = RunCancelled(f"the run was cancelled before it began: {cancel.reason}")
                ended = Ended(run.id, Answer("", self._agent, self._id, run.id), error)
                self._desk.journal.append(self._stream, (ended,))
                self._close(ended)
                self._report(ended)
                return

    def _on_time_up(self, message: TimeUp) -> None:
        active = message.active
        if active is self._active:
            seconds = active.rules.limits.seconds
            self._interrupt(active, TimeLimit(f"no answer within {seconds:g} seconds; raise Limits.seconds"))

    def _on_release(self, release: Release) -> None:
        runs = list(self._queue)
        active, self._active = self._active, None
        self._queue.clear()
        if active is not None:
            active.abort(self._desk, "its conversation was released")
        for run in runs:
            self._desk.fail(run.id, RunCancelled("the run was cancelled: its conversation was released"))
        if self._owner is not None:
            self._desk.release(*self._owner)
        self._desk.journal.drop(self._stream)
        self._desk.crashes.pop(self._stream, None)
        self.stop()

    def on_stop(self) -> None:
        """Nobody reads what the model would still answer."""
        self._let_go()

    def on_failure(self, *_: Any) -> None:
        """The next incarnation asks again for what was not finished."""
        self._let_go()

    def _let_go(self) -> None:
        if self._active is not None and self._active.ask is not None:
            self._active.ask.cancel()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _activate(self, run: Run) -> Active:
        desk = self._desk
        profile = desk.profiles[self._agent]
        output = desk.outputs.get(run.id) or profile.output
        rules = profile.rules_for(run.limits, run.external, desk.outputs.get(run.id))
        active = self._active = Active(run, profile, rules, output, self._now(), desk.carried)
        self._start_clock(active)
        return active

    def _start_next(self) -> None:
        if self._active is not None or not self._queue:
            return
        run = self._queue[0]
        active = self._activate(run)
        if self._desk.bus.active:
            self._emit(active, RunStarted, text=run.messages[-1].text if run.messages else "")
        if self._owner is not None:
            self._forward(active, self._owner)
            return
        self._begun = True
        self._apply(active, Begin(run.messages))

    def _apply(self, active: Active, happened: Input) -> None:
        """One step: the machine, the journal, then what the machine wants done."""
        if self._turn.phase == "ended" and type(happened) is not Begin:
            return  # it came too late
        self._turn, commands = advance(self._turn, happened, active.rules)
        events: list[Any] = [happened]
        ended: Ended | None = None
        if commands:
            last = commands[-1]
            if isinstance(last, Finish | Fail):
                ended = self._outcome(active, last)
                events.append(ended)
            elif isinstance(last, CallTool) or len(commands) > 1:
                started = tuple(command.call.id for command in commands if isinstance(command, CallTool))
                if started:
                    events.append(ToolsStarted(started))
        pending = self._desk.journal.append(self._stream, events)
        if pending is None:
            self._go_on(active, commands, ended)
        elif commands:
            pending.add_done_callback(partial(self._when_safe, active, commands, ended))

    def _when_safe(self, active: Active, commands: Commands, ended: Ended | None, pending: Future[None]) -> None:
        pending.result()
        self._send(Safe(active, commands, ended))

    def _on_safe(self, message: Safe) -> None:
        if message.active is self._active:
            self._go_on(*message)

    def _go_on(self, active: Active, commands: Commands, ended: Ended | None) -> None:
        if ended is None:
            if self._turn.phase != "ended":  # it was not ended while the journal was being written
                self._carry(active, commands)
            return
        active.abort(self._desk, "the run it belonged to has ended")
        self._active = None
        self._close(ended)
        self._desk.crashes.pop(self._stream, None)
        if self._desk.bus.active:
            self._emit(active, RunFinished, answer=ended.answer, error=ended.error)
        self._report(ended)
        if active.run.once:
            self._leave(active.run)
        elif self._queue:
            self._start_next()
        else:
            self._desk.journal.compact(self._stream, Snapshot(self._turn.history, self._owner, ended))

    def _leave(self, run: Run) -> None:
        """The conversation was for this run only."""
        if self._owner is not None:
            self._desk.release(*self._owner)
        if run.id == run.root:
            self._desk.journal.drop(self._stream)  # otherwise the agent that asked does, once it has the outcome
        self.stop()

    def _close(self, ended: Ended) -> None:
        """The state after a run's end, live and in replay alike."""
        self._last = ended
        self._owner = ended.owner or self._owner
        if self._queue and self._queue[0].id == ended.run:
            self._queue.popleft()
            if self._begun and self._turn.phase != "ended":  # ended by others while it had no actor
                self._turn = Turn("ended", cut(self._turn))
            self._begun = False
            self._interrupted = frozenset()
            return
        for run in self._queue:  # cancelled before its time
            if run.id == ended.run:
                self._queue.remove(run)
                return

    def _report(self, ended: Ended) -> None:
        if ended.error is None:
            self._desk.settle(ended.run, ended.answer)
        else:
            self._desk.fail(ended.run, ended.error)

    def _outcome(self, active: Active, last: Finish | Fail) -> Ended:
        turn = self._turn
        run = active.run
        text = last.text if isinstance(last, Finish) else _last_text(turn.history[turn.start :])
        answering = active.answering
        messages = cut(turn)
        if isinstance(last, Finish) and last.external and turn.message is not None:
            done = tuple(result for result in turn.results if result is not None)
            messages = (*turn.history, turn.message, *done)
        answer = Answer(
            text,
            answering.agent if answering is not None else self._agent,
            self._id,
            run.id,
            messages,
            turn.usage,
            turn.cost,
            turn.steps,
            turn.handoffs,
            self._now() - active.started,
            last.external if isinstance(last, Finish) else (),
            self._value(active, last),
            _reasoning(self._agent, turn.history[turn.start :]),
            turn.notes,
        )
        if isinstance(last, Finish):
            return Ended(run.id, answer, None, active.owner)
        last.error.partial = answer
        return Ended(run.id, answer, last.error)

    @staticmethod
    def _value(active: Active, last: Finish | Fail) -> Any:
        if active.answering is not None:
            return active.answering.value
        if active.output is None or isinstance(last, Fail) or last.external:
            return None
        return active.output.value(last.text)

    def _interrupt(self, active: Active, error: RunError) -> None:
        if active.forward is not None:
            self._desk.cancel(active.forward.run, str(error))
            self._desk.forget(active.forward.run.id)
            self._finish_forwarded(active, active.forward, None, error)
        else:
            self._apply(active, Interrupted(error))

    # -- what the machine wants done -----------------------------------------------------------------------------------

    def _carry(self, active: Active, commands: Commands) -> None:
        for command in commands:
            if active is not self._active:
                return  # an earlier command has ended the run
            _COMMANDS[type(command)](self, active, command)

    def _complete(self, active: Active, command: Complete) -> None:
        active.attempts = 0
        active.step_started = self._now()
        if self._desk.bus.active:
            self._emit(active, CompletionStarted, step=self._turn.steps + 1)
        self._ask_model(active)

    def _ask_model(self, active: Active) -> None:
        desk = self._desk
        profile = active.profile
        named = profile.agent.model
        model = active.model = desk.model if isinstance(named, str) else named
        active.seen = False
        if model is None:
            self._apply(active, CompletionFailed(RunFailed("there is no model: give the agency a pool or a model")))
            return
        schema = active.output.schema if active.output is not None else None
        request = profile.request(self._turn.history, active.context, active.run.external, schema, desk.model_name)
        token = active_scope.set(active.scope)
        if active.run.stream:
            coro = self._streamed(active, request)
            active.ask = self.pipe(coro, lambda outcome: Answered(active, outcome))
            active_scope.reset(token)
            return
        ask = active.ask = model.ask(request)
        active_scope.reset(token)
        ask.add_done_callback(partial(self._when_answered, active))

    def _when_answered(self, active: Active, ask: Future[Completion]) -> None:
        if not ask.cancelled():
            self._send(Answered(active, ask))

    async def _streamed(self, active: Active, request: Request) -> Completion:
        completion: Completion | None = None
        assert active.model is not None
        async with active.model.stream(request) as deltas:
            async for delta in deltas:
                if delta.text:
                    active.seen = True
                    self._emit(active, TextDelta, text=delta.text)
                if delta.reasoning:
                    self._emit(active, ReasoningDelta, text=delta.reasoning)
                completion = delta.completion or completion
        if completion is None:
            raise RunFailed("the model's stream ended without a completion")
        return completion

    def _record(self, active: Active, completion: Completion) -> None:
        active.used(completion)
        if not self._desk.bus.active:
            return
        if completion.message.reasoning and not active.run.stream:
            self._emit(active, ReasoningDelta, text=completion.message.reasoning)
        self._emit(
            active,
            CompletionFinished,
            step=self._turn.steps + 1,
            usage=completion.usage,
            cost=completion.cost,
            seconds=self._now() - active.step_started,
            model=completion.model,
            provider=completion.provider,
            notes=completion.notes,
        )

    def _call_tool(self, active: Active, command: CallTool) -> None:
        call = command.call
        tool = active.profile.tools.get(call.name)
        active.since[call.id] = self._now()
        self._emit(active, ToolStarted, call_id=call.id, tool=call.name, arguments=call.arguments)
        if tool is None:
            names = ", ".join(active.profile.tools) or "none"
            self._tool_returned(active, call, f"no tool is called {call.name!r}; there are: {names}", True)
            return
        if call.id in self._interrupted and not tool.idempotent:
            self._tool_returned(active, call, INTERRUPTED, True)
            return
        token = active_scope.set(active.scope)
        job = self.pipe(tool.run(call.arguments), lambda outcome: ToolDone(active, call, outcome))
        active_scope.reset(token)
        active.jobs[call.id] = job

    def _tool_returned(self, active: Active, call: ToolCall, content: str, is_error: bool) -> None:
        self._desk.crashes.pop(self._stream, None)
        seconds = self._now() - active.since.pop(call.id, active.started)
        self._emit(
            active,
            ToolFinished,
            call_id=call.id,
            tool=call.name,
            content=content,
            is_error=is_error,
            seconds=seconds,
        )
        self._apply(active, ToolReturned(call.id, content, is_error))

    def _ask_approval(self, active: Active, command: AskApproval) -> None:
        call = command.call
        run, bus = active.run, self._desk.bus
        at = (run.root, run.id, self._agent, self._id, run.chain, self._now())
        request = ApprovalRequested(*at, call.id, call.name, call.arguments)
        active.waiting[call.id] = self._desk.approvals[request.approval] = request
        self._stop_clock(active)
        if bus.active:
            bus.emit(request)

    def _hand_off(self, active: Active, command: HandOff) -> None:
        call, run, desk = command.call, active.run, self._desk
        profile = active.profile
        try:
            handoff = read_call(call, self._agent, profile.handoffs, profile.reachable)
            check_chain(run.chain, run.tasks, handoff, desk.handoff_limits)
            if handoff.target not in desk.profiles:
                raise HandoffRefused(f"no agent is called {handoff.target!r}; there are {', '.join(desk.profiles)}")
            if desk.count_handoff(run.root) > desk.handoff_limits.total:
                raise HandoffLimit(f"more than {desk.handoff_limits.total} handoffs in one run")
        except HandoffError as error:
            self._send(Refused(active, call, error))
            return
        messages: tuple[Message, ...] = (handoff.as_message(),)
        if command.transfer:
            offered = profile.handoffs[call.name]
            history = transferred(self._turn, active.rules)
            messages = tuple(offered.history_filter(cut(self._turn)) if offered.history_filter else history)
        # The id follows from the journal: a restarted conversation finds the run it had sent.
        nested_id = f"{run.id}.{self._turn.steps}.{call.id}"
        nested = run._replace(
            id=nested_id,
            agent=handoff.target,
            conversation=nested_id,
            messages=messages,
            chain=(*run.chain, handoff.target),
            tasks=(*run.tasks, f"{handoff.target}: {handoff.task}") if not command.transfer else run.tasks,
            limits=None,
            external=(),
            handoff=handoff,
            once=not command.transfer,
        )
        if desk.bus.active:
            to = {"target": handoff.target, "kind": handoff.kind, "task": handoff.task}
            self._emit(active, HandoffStarted, call_id=call.id, **to)
        active.nested[call.id] = Nested(nested, handoff, command.transfer, False, self._now())
        desk.submit(nested).add_done_callback(partial(self._when_handed_back, active, call.id))

    def _when_handed_back(self, active: Active, call_id: str, reply: Future[Answer]) -> None:
        self._send(HandedBack(active, call_id, reply))

    def _forward(self, active: Active, owner: tuple[str, str]) -> None:
        """The conversation was transferred: its new owner answers."""
        run = active.run
        forwarded = run._replace(
            id=f"{run.id}>", agent=owner[0], conversation=owner[1], chain=(*run.chain, owner[0]), once=False
        )
        active.nested[""] = active.forward = Nested(forwarded, None, True, True, self._now())
        self._desk.submit(forwarded).add_done_callback(partial(self._when_handed_back, active, ""))

    def _finish_forwarded(
        self, active: Active, nested: Nested, answer: Answer | None, error: AgentError | None
    ) -> None:
        ended = Ended(active.run.id, answer or Answer("", self._agent, self._id, active.run.id), error)
        pending = self._desk.journal.append(self._stream, (ended,))
        self._desk.forget(nested.run.id)
        active.nested.pop("", None)
        if pending is None:
            self._go_on(active, (), ended)
        else:
            pending.add_done_callback(partial(self._when_safe, active, (), ended))

    # -- small things --------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._cell.system.loop.time()

    def _send(self, message: Any) -> None:
        """A message to itself from a callback; if the actor has ended, the next incarnation finds out by itself."""
        try:
            self._cell.ref.tell(message)
        except CoreError:
            logger.debug("%s has ended; %s is not needed any more", self._stream, type(message).__name__)

    def _emit(self, active: Active, event: type[RunEvent], /, **fields: Any) -> None:
        bus = self._desk.bus
        if bus.active:
            run = active.run
            bus.emit(event(run.root, run.id, self._agent, self._id, run.chain, self._now(), **fields))

    def _start_clock(self, active: Active) -> None:
        seconds = active.rules.limits.seconds
        if seconds is not None and active.timer is None:
            left = seconds - active.elapsed
            active.clock_started = self._now()
            active.timer = self.schedule(max(0.0, left), TimeUp(active))

    def _stop_clock(self, active: Active) -> None:
        """While a person thinks, the run's time stands still."""
        if active.timer is not None:
            active.timer.cancel()
            active.timer = None
            active.elapsed += self._now() - active.clock_started


def _last_text(messages: tuple[Message, ...]) -> str:
    for message in reversed(messages):
        if message.role == "assistant" and message.content:
            return message.text
    return ""


def _reasoning(agent: str, messages: tuple[Message, ...]) -> tuple[ReasoningStep, ...]:
    steps = [message for message in messages if message.role == "assistant"]
    return tuple(
        ReasoningStep(agent, number, message.reasoning) for number, message in enumerate(steps, 1) if message.reasoning
    )


_HANDLERS: dict[type, Callable[[Conversation, Any], None]] = {
    Run: Conversation._on_run,
    Answered: Conversation._on_answered,
    ToolDone: Conversation._on_tool_done,
    HandedBack: Conversation._on_handed_back,
    Refused: Conversation._on_refused,
    Decision: Conversation._on_decision,
    Cancel: Conversation._on_cancel,
    TimeUp: Conversation._on_time_up,
    Safe: Conversation._on_safe,
    Release: Conversation._on_release,
}
_COMMANDS: dict[type, Callable[[Conversation, Active, Any], None]] = {
    Complete: Conversation._complete,
    CallTool: Conversation._call_tool,
    HandOff: Conversation._hand_off,
    AskApproval: Conversation._ask_approval,
}
