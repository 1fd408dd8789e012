"""The conversation actor: one conversation of one agent, its runs in order.

Its handlers only decide. Model calls, tools and other agents work beside the mailbox and come back as messages; each
becomes an input of the turn machine, is written to the journal, and only then are the machine's commands carried out.
An incarnation begins by folding the journal, so a restarted one goes on from the last completed step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ....providers.messages import Message
from ...core.actor import Actor
from ...core.mail.future import Future
from ..answer import Answer
from ..errors import AgentError, GuardrailTripped, RunCancelled, RunError, RunFailed, TimeLimit
from ..events import Resumed, RunFinished, RunStarted
from ..turns.machine import advance, outstanding
from ..turns.outcome import outcome, unanswered
from ..turns.records import Ended, Run, ToolsStarted
from ..turns.rules import Rules
from ..turns.state import ConversationState, close, compacted, fold, knows
from ..turns.steps import Begin, CallTool, Commands, Fail, Finish, Input, Interrupted
from .delegation import answer_of, forward
from .executor import RESULTS, carry_out
from .messages import Cancel, Decision, Release
from .register import not_kept
from .runtime import AgencyRuntime
from .session import Connected, Finalized, OwnerAnswered, Recorded, Session, TimeLimitReached
from .tool_calls import decided

MAX_CRASHES = 3
"""Crashes at one and the same step after which the run is given up: more of them would not help."""


class Conversation(Actor):
    """One conversation of one agent.

    Args:
        runtime: what the agency's actors share.
        agent: the agent's name.
        conversation: the conversation's id.
    """

    def __init__(self, runtime: AgencyRuntime, agent: str, conversation: str) -> None:
        super().__init__()
        self._runtime = runtime
        self._agent = agent
        self._stream = f"{agent}/{conversation}"
        self._state = ConversationState()
        self._session: Session | None = None

    # -- a new incarnation ---------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Fold the journal, then go on where it ends."""
        runtime, state = self._runtime, self._state
        replayed: Commands = ()
        for event in runtime.journal.load(self._stream):
            replayed = fold(state, event, self._rules_of) or replayed
            if type(event) is Ended:
                runtime.register.cancelled.pop(event.run, None)
        if state.last is not None:
            self._report(state.last)  # its reply may not have got out before a crash
        if state.queue and state.begun:
            self._resume(state.queue[0], replayed)
        else:
            self._start_next()

    def _rules_of(self, run: Run) -> Rules:
        runtime = self._runtime
        prepared = runtime.directory.prepared[self._agent]
        return prepared.rules(run.limits, run.external, runtime.register.outputs.get(run.id))

    def _resume(self, run: Run, replayed: Commands) -> None:
        runtime, turn = self._runtime, self._state.turn
        runtime.tool_tasks.cancel(run.id)  # left by an incarnation that was killed
        crashes = runtime.crashes[self._stream] = runtime.crashes.get(self._stream, 0) + 1
        session = self._open(run)
        if crashes > MAX_CRASHES:
            error = RunFailed(f"the conversation crashed {crashes} times at the same step; the run is given up")
            self._apply(session, Interrupted(error))
            return
        if (reason := runtime.register.cancelled.get(run.id)) is not None and turn.phase != "ended":
            self._interrupt(session, RunCancelled(f"the run was cancelled: {reason}"))
            return
        session.emit(Resumed, steps=turn.steps)
        if turn.phase == "ended":  # it crashed while hooks looked at the outcome
            last = replayed[-1]
            assert isinstance(last, Finish | Fail)
            self._finalize(session, last)
            return
        carry_out(session, outstanding(turn, session.rules), self._apply)

    # -- messages ------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle a message; see `Run`, `messages` and `session` for what there is."""
        take = RESULTS.get(type(message))
        if take is None:
            return _HANDLERS[type(message)](self, message)
        if message.session is self._session:
            take(message, self._apply)
        return None

    def _on_run(self, run: Run) -> None:
        # The journal has it already; this only says that it is there.
        state = self._state
        if not self._runtime.register.is_open(run.id):
            return
        if not knows(state, run.id):
            state.queue.append(run)
            self._start_next()
        elif state.last is not None and state.last.run == run.id:
            self._report(state.last)

    def _on_decision(self, decision: Decision) -> None:
        session = self._session
        if session is not None and decision.run == session.run.id:
            decided(session, decision, self._apply)

    def _on_cancel(self, cancel: Cancel) -> None:
        session = self._session
        if session is not None and session.run.id == cancel.run:
            self._interrupt(session, RunCancelled(f"the run was cancelled: {cancel.reason}"))
            return
        for run in self._state.queue:
            if run.id == cancel.run:
                error = RunCancelled(f"the run was cancelled before it began: {cancel.reason}")
                ended = unanswered(run, error)
                self._runtime.journal.append(self._stream, (ended,))
                self._close(ended)
                self._report(ended)
                return
        self._runtime.register.cancelled.pop(cancel.run, None)

    def _on_time_limit(self, message: TimeLimitReached) -> None:
        session = message.session
        if session is self._session:
            seconds = session.rules.limits.seconds
            self._interrupt(session, TimeLimit(f"no answer within {seconds:g} seconds; raise Limits.seconds"))

    def _on_owner_answered(self, message: OwnerAnswered) -> None:
        session = message.session
        if session is self._session:
            self._end_forwarded(session, *answer_of(message.reply))

    def _on_release(self, release: Release) -> tuple[str, str] | None:
        runtime, state = self._runtime, self._state
        runs = list(state.queue)
        session, self._session = self._session, None
        state.queue.clear()
        error = RunCancelled("the run was cancelled: its conversation was released")
        if session is not None:
            session.abort()
            session.emit(RunFinished, error=error)
        for run in runs:
            runtime.register.cancelled.pop(run.id, None)
            runtime.register.fail(run.id, error)
        runtime.crashes.pop(self._stream, None)
        self.stop()
        return state.owner

    def on_failure(self, *_: Any) -> None:
        """The next incarnation asks again for what was not finished; nobody reads what would still come."""
        if self._session is not None:
            self._runtime.tool_tasks.cancel(self._session.run.id)
            if self._session.ask is not None:
                self._session.ask.cancel()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _open(self, run: Run) -> Session:
        session = self._session = Session(self, self._runtime, self._state, run)
        session.start_clock()
        return session

    def _start_next(self) -> None:
        state = self._state
        if self._session is not None or not state.queue:
            return
        run = state.queue[0]
        session = self._open(run)
        if self._runtime.bus.active:
            session.emit(RunStarted, text=run.messages[-1].text if run.messages else "")
        if state.owner is not None:
            forward(session, state.owner)
            return
        if "connection" in session.prepared.hooks:
            session.jobs[""] = self.pipe(_connect(session), lambda outcome: Connected(session, outcome))
            return
        self._begin(session, run.messages)

    def _begin(self, session: Session, messages: tuple[Message, ...]) -> None:
        self._state.begun = True
        self._apply(session, Begin(messages))

    def _on_connected(self, message: Connected) -> None:
        session = message.session
        if session is not self._session:
            return
        session.jobs.pop("", None)
        try:
            self._begin(session, message.outcome.unwrap())
        except GuardrailTripped as error:
            # What was refused must not stay in the conversation: the run begins without it, and ends.
            state = self._state
            state.begun = True
            state.turn, _ = advance(state.turn, Begin(()), session.rules)
            self._runtime.journal.append(self._stream, (Begin(()),))
            self._apply(session, Interrupted(error))

    def _apply(self, session: Session, happened: Input) -> None:
        """One step: the machine, the journal, then what the machine wants done."""
        state = self._state
        if state.turn.phase == "ended" and type(happened) is not Begin:
            return  # it came too late
        state.turn, commands = advance(state.turn, happened, session.rules)
        events: list[Any] = [happened]
        ended: Ended | None = None
        if commands:
            last = commands[-1]
            if isinstance(last, Finish | Fail):
                if "finalize" in session.prepared.hooks:
                    self._runtime.journal.append(self._stream, events)
                    self._finalize(session, last)
                    return
                ended = self._outcome(session, last)
                events.append(ended)
            elif isinstance(last, CallTool) or len(commands) > 1:
                started = tuple(command.call.id for command in commands if isinstance(command, CallTool))
                if started:
                    events.append(ToolsStarted(started))
        pending = self._runtime.journal.append(self._stream, events)
        if pending is None:
            self._go_on(session, commands, ended)
        elif commands:
            pending.when_done(partial(self._when_recorded, session, commands, ended))

    def _outcome(self, session: Session, last: Finish | Fail) -> Ended:
        return outcome(
            session.run,
            self._state.turn,
            last,
            session.time() - session.started,
            owner=session.owner,
            answering=session.answering,
            parse=session.output.value if session.output is not None else None,
        )

    def _finalize(self, session: Session, last: Finish | Fail) -> None:
        if not session.finalizing:
            session.finalizing = True
            work = _finalized(session, self._outcome(session, last))
            self.pipe(work, lambda outcome: Finalized(session, outcome))

    def _on_finalized(self, message: Finalized) -> None:
        if message.session is self._session:
            self._end(message.session, message.outcome.unwrap())

    def _interrupt(self, session: Session, error: RunError) -> None:
        if session.forward is not None:
            register = self._runtime.register
            register.cancel(session.forward.run, str(error))
            register.forget(session.forward.run.id)
            self._end_forwarded(session, None, error)
        else:
            self._apply(session, Interrupted(error))

    def _end_forwarded(self, session: Session, answer: Answer | None, error: AgentError | None) -> None:
        assert session.forward is not None
        session.delegations.pop("", None)
        self._runtime.register.forget(session.forward.run.id)
        run = session.run
        self._end(session, Ended(run.id, answer or Answer("", self._agent, run.conversation, run.id), error))

    def _end(self, session: Session, ended: Ended) -> None:
        pending = self._runtime.journal.append(self._stream, (ended,))
        if pending is None:
            self._go_on(session, (), ended)
        else:
            pending.when_done(partial(self._when_recorded, session, (), ended))

    def _when_recorded(self, session: Session, commands: Commands, ended: Ended | None, pending: Future[None]) -> None:
        error = pending.exception()
        if error is not None:
            # Going on would do what a restart could not know of: the run ends here, by name.
            commands, ended = (), unanswered(session.run, not_kept(error))
        session.send(Recorded(session, commands, ended))

    def _on_recorded(self, message: Recorded) -> None:
        if message.session is self._session:
            self._go_on(*message)

    def _go_on(self, session: Session, commands: Commands, ended: Ended | None) -> None:
        state = self._state
        if ended is None:
            if state.turn.phase != "ended":  # it was not ended while the journal was being written
                carry_out(session, commands, self._apply)
            return
        session.abort()
        self._session = None
        self._close(ended)
        self._runtime.crashes.pop(self._stream, None)
        if self._runtime.bus.active:
            session.emit(RunFinished, answer=ended.answer, error=ended.error)
        self._report(ended)
        if session.run.once:
            self._close_ephemeral(session.run)
        elif state.queue:
            self._start_next()
        else:
            journal = self._runtime.journal
            journal.compact(self._stream, compacted(state, ended, journal.load(self._stream)))

    def _close(self, ended: Ended) -> None:
        close(self._state, ended)
        if self._runtime.register.cancelled:
            self._runtime.register.cancelled.pop(ended.run, None)

    def _close_ephemeral(self, run: Run) -> None:
        """The conversation was for this run only."""
        runtime, owner = self._runtime, self._state.owner
        if owner is not None:
            runtime.register.release(*owner)
        if run.id == run.root:
            runtime.journal.drop(self._stream)  # otherwise the agent that asked does, once it has the outcome
        self.stop()

    def _report(self, ended: Ended) -> None:
        if ended.error is None:
            self._runtime.register.settle(ended.run, ended.answer)
        else:
            self._runtime.register.fail(ended.run, ended.error)


async def _connect(session: Session) -> tuple[Message, ...]:
    return (await session.hooked("connection", messages=session.run.messages)).messages


async def _finalized(session: Session, ended: Ended) -> Ended:
    try:
        context = await session.hooked("finalize", answer=ended.answer, error=ended.error)
    except GuardrailTripped as error:
        error.partial = ended.answer
        return ended._replace(error=ended.error or error)
    return ended._replace(answer=context.answer or ended.answer)


_HANDLERS: dict[type, Callable[[Conversation, Any], object]] = {
    Run: Conversation._on_run,
    Decision: Conversation._on_decision,
    Cancel: Conversation._on_cancel,
    Release: Conversation._on_release,
    TimeLimitReached: Conversation._on_time_limit,
    OwnerAnswered: Conversation._on_owner_answered,
    Connected: Conversation._on_connected,
    Finalized: Conversation._on_finalized,
    Recorded: Conversation._on_recorded,
}
