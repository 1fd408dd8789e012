"""The conversation actor: one conversation of one agent, its runs in order.

Its handlers only decide. Model calls, tools and other agents work beside the mailbox and come back as messages; each
becomes an input of the turn machine, is written to the journal, and only then are the machine's commands carried out.
An incarnation begins by folding the journal, so a restarted one goes on from the last completed step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ...providers.errors import ProviderError
from ...providers.messages import Message
from ..core.base.errors import ActorDead
from ..core.base.events import Outcome
from ..core.mail.future import Future
from .active import (
    Active,
    Answered,
    Finalized,
    Greeted,
    HandedBack,
    Nested,
    Prepared,
    Refused,
    Safe,
    TimeUp,
    ToolDone,
)
from .answer import NO_USAGE, Answer, HandoffRecord, ReasoningStep
from .carry import Carrier
from .desk import Desk, not_kept
from .errors import (
    AgentError,
    GuardrailTripped,
    HandoffCycle,
    HandoffDepth,
    HandoffLimit,
    RunCancelled,
    RunError,
    RunFailed,
    TimeLimit,
)
from .events import (
    ApprovalDecided,
    HandoffFinished,
    Resumed,
    Retried,
    RunFinished,
    RunStarted,
)
from .run import Accepted, Cancel, Decision, Ended, Release, Run, Snapshot, ToolsStarted
from .turn import (
    Begin,
    CallTool,
    Commands,
    Completed,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    Input,
    Interrupted,
    Turn,
    advance,
    cut,
    outstanding,
)
from .turn import HandoffFinished as HandoffReturned

logger = logging.getLogger("callboard")

MAX_CRASHES = 3
"""Crashes at one and the same step after which the run is given up: more of them would not help."""

MAX_RETRIES = 3
"""Times a completion is asked for again because the model's actor crashed or a stream was cut."""

_FATAL = (HandoffDepth, HandoffCycle, HandoffLimit)


class Conversation(Carrier):
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
        self._time = self._cell.runtime.loop.time
        self._queue: list[Run] = []  # an empty deque takes 0.6 kB
        self._active: Active | None = None
        self._owner: tuple[str, str] | None = None
        self._last: Ended | None = None
        self._begun = False
        self._interrupted: frozenset[str] = frozenset()
        self._replayed: Commands = ()

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
            answer = event.answer if event.answer.messages else replace(event.answer, messages=cut(self._turn))
            if event.error is not None:
                event.error.partial = answer
            self._last = event._replace(answer=answer)
        elif kind is Snapshot:
            self._turn = Turn("ended", event.history)
            self._owner = event.owner
            self._last = event.last
        else:
            self._begun = True
            run = self._queue[0]
            profile = self._desk.profiles[self._agent]
            rules = profile.rules_for(run.limits, run.external, self._desk.outputs.get(run.id))
            self._turn, self._replayed = advance(self._turn, event, rules)

    def _resume(self) -> None:
        self._desk.cancel_calls(self._queue[0].id)  # left by an incarnation that was killed
        crashes = self._desk.crashes[self._stream] = self._desk.crashes.get(self._stream, 0) + 1
        active = self._activate(self._queue[0])
        if crashes > MAX_CRASHES:
            error = RunFailed(f"the conversation crashed {crashes} times at the same step; the run is given up")
            self._apply(active, Interrupted(error))
            return
        if (reason := self._desk.cancelled.get(active.run.id)) is not None and self._turn.phase != "ended":
            self._interrupt(active, RunCancelled(f"the run was cancelled: {reason}"))
            return
        self._emit(active, Resumed, steps=self._turn.steps)
        if self._turn.phase == "ended":  # it crashed while hooks looked at the outcome
            last = self._replayed[-1]
            assert isinstance(last, Finish | Fail)
            self._finalize(active, last)
            return
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
        except GuardrailTripped as error:
            self._apply(active, Interrupted(error))
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
        if nested.handoff is None:
            self._finish_forwarded(active, nested, answer, error)
            return
        if answer is not None and error is None and nested.rest:
            self._next_stage(active, call_id, nested, answer)
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
        answers = nested.before if answer is None else (*nested.before, answer)
        returned = returned._replace(
            usage=sum((one.usage for one in answers), NO_USAGE),
            cost=sum(one.cost for one in answers),
            steps=sum(one.steps for one in answers),
            handoffs=(record, *(deeper for one in answers for deeper in one.handoffs)),
        )
        if final:
            active.owner = (handoff.target, nested.run.conversation)
            active.answering = answer
        self._apply(active, returned)
        if final:
            self._desk.forget(nested.run.id)
        else:  # their actors have stopped by themselves; this side has written down what it needs
            self._desk.drop(*(one.run for one in nested.before if one.run), nested.run.id)

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
        self._desk.cancelled.pop(cancel.run, None)

    def _on_time_up(self, message: TimeUp) -> None:
        active = message.active
        if active is self._active:
            seconds = active.rules.limits.seconds
            self._interrupt(active, TimeLimit(f"no answer within {seconds:g} seconds; raise Limits.seconds"))

    def _on_release(self, release: Release) -> tuple[str, str] | None:
        runs = list(self._queue)
        active, self._active = self._active, None
        self._queue.clear()
        error = RunCancelled("the run was cancelled: its conversation was released")
        if active is not None:
            active.abort(self._desk)
            self._emit(active, RunFinished, error=error)
        for run in runs:
            self._desk.cancelled.pop(run.id, None)
            self._desk.fail(run.id, error)
        self._desk.crashes.pop(self._stream, None)
        self.stop()
        return self._owner

    def on_failure(self, *_: Any) -> None:
        """The next incarnation asks again for what was not finished; nobody reads what would still come."""
        if self._active is not None:
            self._desk.cancel_calls(self._active.run.id)
            if self._active.ask is not None:
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
        if "connection" in active.profile.hooks:
            active.jobs[""] = self.pipe(self._greet(active), lambda outcome: Greeted(active, outcome))
            return
        self._begin(active, run.messages)

    def _begin(self, active: Active, messages: tuple[Message, ...]) -> None:
        self._begun = True
        self._apply(active, Begin(messages))

    async def _greet(self, active: Active) -> tuple[Message, ...]:
        return (await self._hooked(active, "connection", messages=active.run.messages)).messages

    def _on_greeted(self, message: Greeted) -> None:
        active, outcome = message
        if active is not self._active:
            return
        active.jobs.pop("", None)
        try:
            self._begin(active, outcome.unwrap())
        except GuardrailTripped as error:
            # What was refused must not stay in the conversation: the run begins without it, and ends.
            self._begun = True
            self._turn, _ = advance(self._turn, Begin(()), active.rules)
            self._desk.journal.append(self._stream, (Begin(()),))
            self._apply(active, Interrupted(error))

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
                if "finalize" in active.profile.hooks:
                    self._desk.journal.append(self._stream, events)
                    self._finalize(active, last)
                    return
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
            pending.when_done(partial(self._when_safe, active, commands, ended))

    def _finalize(self, active: Active, last: Finish | Fail) -> None:
        if not active.finalizing:
            active.finalizing = True
            work = self._finalized(active, self._outcome(active, last))
            self.pipe(work, lambda outcome: Finalized(active, outcome))

    async def _finalized(self, active: Active, ended: Ended) -> Ended:
        try:
            context = await self._hooked(active, "finalize", answer=ended.answer, error=ended.error)
        except GuardrailTripped as error:
            error.partial = ended.answer
            return ended._replace(error=ended.error or error)
        return ended._replace(answer=context.answer or ended.answer)

    def _on_finalized(self, message: Finalized) -> None:
        active, outcome = message
        if active is self._active:
            self._end(active, outcome.unwrap())

    def _end(self, active: Active, ended: Ended) -> None:
        pending = self._desk.journal.append(self._stream, (ended,))
        if pending is None:
            self._go_on(active, (), ended)
        else:
            pending.when_done(partial(self._when_safe, active, (), ended))

    def _when_safe(self, active: Active, commands: Commands, ended: Ended | None, pending: Future[None]) -> None:
        error = pending.exception()
        if error is not None:
            # Going on would do what a restart could not know of: the run ends here, by name.
            answer = Answer("", self._agent, self._id, active.run.id)
            commands, ended = (), Ended(active.run.id, answer, not_kept(error))
        self._send(Safe(active, commands, ended))

    def _on_safe(self, message: Safe) -> None:
        if message.active is self._active:
            self._go_on(*message)

    def _go_on(self, active: Active, commands: Commands, ended: Ended | None) -> None:
        if ended is None:
            if self._turn.phase != "ended":  # it was not ended while the journal was being written
                self._carry(active, commands)
            return
        active.abort(self._desk)
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
            self._compact(ended)

    def _compact(self, ended: Ended) -> None:
        """Between two runs the messages are all there is to keep, and runs that have been accepted meanwhile."""
        journal = self._desk.journal
        accepted: dict[str, Accepted] = {}
        for event in journal.load(self._stream):
            if type(event) is Accepted:
                accepted[event.run.id] = event
            elif type(event) is Ended:
                accepted.pop(event.run, None)
        snapshot = Snapshot(self._turn.history, self._owner, ended)
        journal.compact(self._stream, (snapshot, *accepted.values()))

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
        if self._desk.cancelled:
            self._desk.cancelled.pop(ended.run, None)
        if self._queue and self._queue[0].id == ended.run:
            del self._queue[0]
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
            return Ended(run.id, answer, None, active.owner, run.once)
        last.error.partial = answer
        return Ended(run.id, answer, last.error, None, run.once)

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

    def _finish_forwarded(
        self, active: Active, nested: Nested, answer: Answer | None, error: AgentError | None
    ) -> None:
        ended = Ended(active.run.id, answer or Answer("", self._agent, self._id, active.run.id), error)
        self._desk.forget(nested.run.id)
        active.nested.pop("", None)
        self._end(active, ended)


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


_HANDLERS: dict[type, Callable[[Conversation, Any], object]] = {
    Run: Conversation._on_run,
    Answered: Conversation._on_answered,
    ToolDone: Conversation._on_tool_done,
    HandedBack: Conversation._on_handed_back,
    Refused: Conversation._on_refused,
    Decision: Conversation._on_decision,
    Cancel: Conversation._on_cancel,
    TimeUp: Conversation._on_time_up,
    Greeted: Conversation._on_greeted,
    Finalized: Conversation._on_finalized,
    Prepared: Conversation._on_prepared,
    Safe: Conversation._on_safe,
    Release: Conversation._on_release,
}
