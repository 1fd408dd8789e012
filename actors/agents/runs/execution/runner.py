"""Drives the runs of one incarnation of a conversation: one at a time, step by step.

A step is an input of the turn machine: what follows from it is written to the journal, and only then are the machine's
commands carried out. What they lead to comes back as a message and is the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from .....providers.messages import Message
from ....core.actor import Actor
from ....core.base.log import logger_of
from ....core.mail.future import Future
from ....journal.errors import EventNotWritable, JournalError
from ...errors import AgencyClosed, AgentError, GuardrailTripped, RunError, RunFailed, said
from ...events import Resumed as ResumedEvent
from ...events import RunFinished, RunStarted
from ...turns.arrivals import NEWER
from ...turns.loop.machine import advance, outstanding
from ...turns.outcome import Outcome, cancelled, finished, no_scope, unanswered
from ...turns.questions import not_open, without_call
from ...turns.records import PromptChanged, Resumed, Rewound, RunRequest, ToolsStarted
from ...turns.state import ConversationState
from ...turns.steps import (
    COMPLETE,
    Begin,
    CallTool,
    Commands,
    Completed,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    HandoffReturned,
    Input,
    Interrupted,
    Restore,
    Spent,
    ToolReturned,
)
from ..runtime.messages import GoneFromJournal
from ..runtime.register import not_kept
from ..runtime.runtime import AgencyRuntime
from .ending import PATIENCE, failed, given_up, not_known, out_of_time, outcome_of
from .executor import RESULTS, carry_out
from .finalizing import cut_short, finalize
from .handoffs.delegation import forward, forwarded
from .models.rendering import adopt
from .recording import Recorder
from .reports import Connected, Finalized, MoneySpent, OwnerAnswered, PromptRestored, Recorded
from .session import Session, TimeLimitReached
from .spending import adopt_runs, settle, spent, with_those_at_work
from .tools.inner_steps import inner_decided
from .tools.tool_calls import asked

logger = logger_of()

_WITH_CHANGES: Final = frozenset({Completed, CompletionFailed, Interrupted, ToolReturned, HandoffReturned})
"""What may come of a step or a call that has changed what a prompt function remembers."""

_FAILED: Final = (Exception, asyncio.CancelledError)
"""What ends a run by name: no handler waits for anything, so none is ever cancelled itself."""


class Runner:
    """Makes the runs in a conversation's queue, the first one first.

    Args:
        actor: the conversation's.
        runtime: what the agency's actors share.
        state: the conversation's; this and the recorder are what changes it.
        recorder: writes into the conversation's stream.
        begun: called when a run has begun, before which nothing can be said to it.
        ended: called with a run that has ended; decides what comes next.

    Attributes:
        session: the run under way.
    """

    __slots__ = ("_actor", "_begun", "_ended", "_recorder", "_runtime", "_state", "session")

    def __init__(
        self,
        actor: Actor,
        runtime: AgencyRuntime,
        state: ConversationState,
        recorder: Recorder,
        begun: Callable[[], object],
        ended: Callable[[RunRequest], object],
    ) -> None:
        self._actor = actor
        self._runtime = runtime
        self._state = state
        self._recorder = recorder
        self._begun = begun
        self._ended = ended
        self.session: Session | None = None

    # -- a run begins, or is gone on with ------------------------------------------------------------------------------

    def _open(self, run: RunRequest) -> Session:
        self._runtime.bus.look_at_log()
        session = self.session = Session(self._actor, self._runtime, self._state, run, self._recorder.append)
        session.start_clock()
        return session

    def start_next(self) -> None:
        """Begin the first run in the queue, if none is under way."""
        state = self._state
        if self.session is not None or not state.queue:
            return
        run = state.queue[0]
        if run.agent not in self._runtime.directory.agents:
            return
        session = self._open(run)
        if self._runtime.bus.everything:
            text = run.messages[-1].text if run.messages else ""
            session.emit(RunStarted, text=text, answers_for=run.parent if run.takes_over else "")
        if session.entry is not None and (reason := session.entry.ends_for(run)):
            self.interrupt(session, cancelled(reason, begun=False), session.entry.rollback)
        elif state.replaced_by(run) is not None:
            self.interrupt(session, cancelled(NEWER, begun=False))
        elif (hopeless := given_up(session)) is not None:
            self.interrupt(session, hopeless)
        elif session.unready is not None:
            self.interrupt(session, session.unready)
        elif not self._runtime.directory.may_ask(run.agent, run.caller):
            self.interrupt(session, no_scope(run.agent, self._runtime.directory.agents[run.agent].scope))
        elif state.owner is not None:
            forward(session, state.owner)
        elif "connection" in session.prepared.hooks:
            hooked = session.hooked("connection", messages=run.messages)
            session.jobs[""] = self._actor.pipe(hooked, lambda outcome: Connected(session, outcome))
        else:
            self._begin(session, run.messages)

    def _begin(self, session: Session, messages: tuple[Message, ...]) -> None:
        """Begin the run with what is asked, unless it brings a result that nobody waits for: it would be lost."""
        turn = self._state.turn
        lost: Message | None = None
        if session.run.handoff is None and any(message.role == "tool" for message in messages):
            calls = zip(turn.message.tool_calls, turn.results, strict=True) if turn.message is not None else ()
            lost = without_call(messages, [call.id for call, result in calls if result is None])
        if lost is None:
            self.apply(session, Begin(messages))
        else:
            self.interrupt(session, not_open(lost))

    def resume(self) -> None:
        """Go on with the run that an earlier incarnation, of this process or another, had begun."""
        runtime, state = self._runtime, self._state
        run, turn = state.queue[0], state.turn
        session = self._open(run)
        session.resumed = True
        if (hopeless := given_up(session)) is not None:
            runtime.approvals.forget_those_of(state.agent, state.conversation)
            self.interrupt(session, hopeless)
            return
        if session.entry is not None and (reason := session.entry.ends_for(run)) and turn.phase != "ended":
            runtime.approvals.forget_those_of(state.agent, state.conversation)
            self.interrupt(session, cancelled(reason), session.entry.rollback)
            return
        if (newer := state.replaced_by(run)) is not None and turn.phase != "ended":
            self.interrupt_for(session, newer)
            return
        if turn.phase != "ended" and (
            session.unready is not None or not self._runtime.directory.may_ask(run.agent, run.caller)
        ):  # it is so since the run began
            runtime.approvals.forget_those_of(state.agent, state.conversation)
            scopes = self._runtime.directory.agents[run.agent].scope
            self.interrupt(session, session.unready or no_scope(run.agent, scopes))
            return
        session.emit(ResumedEvent, steps=turn.steps)
        if turn.phase == "ended":  # it crashed while hooks looked at the outcome
            self._conclude(session, state.verdict or Finish(""))
            if session.entry is not None and (reason := session.entry.ends_for(run)):
                self.interrupt(session, cancelled(reason))
            return
        resumed = Resumed(session.stopwatch.used())
        if session.prompt is not None and turn.message is not None:
            # Recorded first: a prompt function that kills the process must not do so for ever.
            self._take_up(session, (Restore(),), (resumed,))
            return
        commands = outstanding(turn, session.rules)
        self._take_up(session, commands, (resumed, *asked(session, commands)))

    def _take_up(self, session: Session, commands: Commands, events: Sequence[Any]) -> None:
        pending = self._recorder.append(events, session) if events else None
        for event in events:
            self._state.apply(event)
        self._follow(session, commands, None, pending)

    # -- what comes of it ----------------------------------------------------------------------------------------------

    def receive(self, message: Any) -> None:
        """Take a message about the run under way; one about a run before it, or of an earlier incarnation, is late."""
        session: Session = message.session
        if session is not self.session:
            # What a tool has spent is the run's, for whichever incarnation it worked.
            if type(message) is not MoneySpent or self.session is None or self.session.run.id != session.run.id:
                return
            session = self.session
            message = message._replace(session=session)
        take = RESULTS.get(type(message))
        if take is None:
            _OWN[type(message)](self, message)
            return
        try:
            take(message, self.apply)
        except JournalError:
            raise
        except _FAILED as error:
            self._broken(session, error)

    def _on_connected(self, message: Connected) -> None:
        session = message.session
        session.jobs.pop("", None)
        try:
            messages = message.outcome.unwrap().messages
        except GuardrailTripped as error:
            # What was refused must not stay in the conversation: the run begins without it, and ends.
            self.apply(session, Begin(()), quiet=True)
            settle(session, self.apply)
            self.apply(session, Interrupted(error))
        except _FAILED as error:
            self._broken(session, error)
        else:
            self._begin(session, messages)

    def _on_finalized(self, message: Finalized) -> None:
        session = message.session
        if session.finalizing is None:
            return  # it was waited for no more
        session.finalizing = None
        try:
            outcome = message.outcome.unwrap()
        except _FAILED as error:
            outcome = unanswered(session.run, failed(error))
        self._end(session, outcome)

    def _on_time_limit(self, message: TimeLimitReached) -> None:
        session = message.session
        looked_at = session.finalizing
        ended = looked_at.error if looked_at is not None else None
        self.interrupt(session, ended or out_of_time(session))

    def _on_owner_answered(self, message: OwnerAnswered) -> None:
        session = message.session
        outcome = forwarded(session, message.entry)
        session.delegations.pop("", None)
        self._runtime.register.forget(message.entry.run.id)
        self._end(session, outcome)

    def _on_restored(self, message: PromptRestored) -> None:
        """It is known again what the calls of the step under way call: they go on."""
        session, turn = message.session, self._state.turn
        session.ask = None
        if turn.phase == "ended":
            return  # it was ended meanwhile
        try:
            adopt(session, message.outcome)
        except RunFailed as error:
            self.interrupt(session, error)
            return
        commands = outstanding(turn, session.rules)
        self._take_up(session, commands, asked(session, commands))

    def _on_recorded(self, message: Recorded) -> None:
        self._go_on(*message)

    # -- a step --------------------------------------------------------------------------------------------------------

    def apply(self, session: Session, happened: Input, *, quiet: bool = False) -> None:
        """One step: the machine, the journal, then what the machine wants done (unless ``quiet``)."""
        state, kind = self._state, type(happened)
        if state.turn.phase == "ended" and kind is not Begin:
            return  # it came too late
        if type(happened) is Decided and happened.call_id in session.within.calls:
            inner_decided(session, happened, self.apply)
            return
        if type(happened) is Interrupted or (type(happened) is HandoffReturned and happened.fatal is not None):
            happened = with_those_at_work(session, happened)
        turn, commands = advance(state.turn, happened, session.rules)
        changed: PromptChanged | None = None
        events: list[Any] = [happened]
        if session.changed is not None and kind in _WITH_CHANGES:
            changed, session.changed = session.changed, None
        if type(happened) is Begin and happened.messages is session.run.messages:
            events[0] = Begin(None)  # they are in the journal as what was asked
        outcome: Outcome | None = None
        last = commands[-1] if commands else None
        verdict = last if type(last) is Finish or type(last) is Fail else None
        if verdict is not None and "finalize" not in session.prepared.hooks:
            outcome = outcome_of(session, turn, verdict, happened)
            events.append(outcome.recorded(session.run))
            if type(happened) is Interrupted and happened.rollback:
                events.append(Rewound(turn.start))
        elif commands and verdict is None and (turn.message is not None or turn.phase == "held"):
            started = tuple([command.call.id for command in commands if type(command) is CallTool])
            if started:
                events.append(ToolsStarted(started))
            if len(started) < len(commands):
                events.extend(asked(session, commands))
        try:
            recorded = events if changed is None else (changed, *events)
            pending = self._recorder.append(recorded, session, ending=outcome is not None)
        except EventNotWritable as error:
            self._unwritable(session, happened, error)
            return
        if kind is Begin:
            state.begun = True
        if changed is not None:  # as long as the history is the one that it belongs to
            state.apply(changed)
        state.stepped(turn, commands, happened)
        for event in events[1:]:
            state.apply(event)
        if kind is not Spent:
            self._runtime.crashes.pop(session.stream, None)
        if outcome is not None:
            state.ended(outcome)
        elif verdict is not None:
            self._conclude(session, verdict)
            return
        if not quiet:
            self._follow(session, commands, outcome, pending)
        if kind is Begin and self._runtime.posts:
            self._begun()

    def _unwritable(self, session: Session, happened: Input, error: EventNotWritable) -> None:
        """What happened cannot be kept: the run ends here, by name, from the state before."""
        run, state = session.run, self._state
        if any(accepted.run is run for accepted in self._recorder.held):  # nothing of it is in the journal
            session.abort()
            session.spans = self.session = None
            state.begun = False
            self._recorder.refuse(run, error)
            self.start_next()
        elif not isinstance(happened, Interrupted):
            session.value = None  # it may be what cannot be kept, and a run that fails has none
            self.interrupt(session, not_kept(error))
        else:
            self.interrupt(session, RunFailed(f"{type(happened.error).__name__}, which could not be written down"))

    def _follow(
        self, session: Session, commands: Commands, outcome: Outcome | None, pending: Future[None] | None
    ) -> None:
        """Go on once the journal has it. Asking the model does no harm twice and does not wait; effects may do some."""
        if pending is None:
            self._go_on(session, commands, outcome)
        elif commands is COMPLETE and session.prompt is None and (self._state.turn.steps or not session.run.keyed):
            pending.when_done(self._recorder.when_lost)
            self._go_on(session, commands, outcome)
        elif commands or outcome is not None:
            alarm: Any = None
            if outcome is not None:
                alarm = self._runtime.clock.call_at(session.time() + PATIENCE, self._not_known, outcome)
            pending.when_done(partial(self._when_recorded, session, commands, outcome, alarm))

    def _when_recorded(
        self, session: Session, commands: Commands, outcome: Outcome | None, alarm: Any, pending: Future[None]
    ) -> None:
        # Not by way of the mailbox: whoever waits gets the outcome also if this incarnation has ended meanwhile.
        if alarm is not None:
            alarm.cancel()
        error = pending.exception()
        if error is not None:
            session.send(GoneFromJournal(error))
            return
        if outcome is not None:
            self._report(session, outcome)
        session.send(Recorded(session, commands, outcome))

    def _go_on(self, session: Session, commands: Commands, outcome: Outcome | None) -> None:
        if outcome is None:
            if self._state.turn.phase != "ended":  # it was not ended while the journal was being written
                try:
                    carry_out(session, commands, self.apply)
                except JournalError:
                    raise
                except _FAILED as error:
                    self._broken(session, error)
            return
        session.abort()
        self.session = None
        self._runtime.crashes.pop(session.stream, None)
        self._report(session, outcome)
        self._ended(session.run)

    # -- a run ends ----------------------------------------------------------------------------------------------------

    def _conclude(self, session: Session, verdict: Finish | Fail) -> None:
        """The turn has ended: let hooks look at the outcome, if there are any for it."""
        outcome = outcome_of(session, self._state.turn, verdict)
        if "finalize" not in session.prepared.hooks:
            self._end(session, outcome)
        else:
            finalize(session, outcome)

    def interrupt(self, session: Session, error: AgentError, rollback: bool = False) -> None:
        """End the run under way by name, and take its messages out of the history where ``rollback`` says so."""
        state = self._state
        adopt_runs(session)
        if session.finalizing is not None:
            state.rollback = state.rollback or rollback
            self._end(session, cut_short(session, session.finalizing, error))
        elif session.forward is not None or not state.begun:
            used = spent(session)
            if session.forward is not None:
                self._runtime.register.cancel(session.forward.run.id, said(error), rollback=rollback)
            if state.queue and state.queue[0] is session.run:
                self._end(session, unanswered(session.run, error, *used))
        else:
            self.apply(session, Interrupted(error, rollback=rollback))

    def interrupt_for(self, session: Session, newer: RunRequest) -> None:
        """End the run under way because a newer one takes its place."""
        self.interrupt(session, cancelled(NEWER), newer.when_busy == "rollback")

    def _broken(self, session: Session, error: BaseException) -> None:
        """Something that ought not to raise did: the run ends by name, and is not tried again for ever."""
        if session is self.session:
            self.interrupt(session, failed(error))

    def _end(self, session: Session, outcome: Outcome) -> None:
        """Record how the run ended."""
        ended, taken_back = outcome.recorded(session.run), self._state.taken_back()
        try:
            pending = self._recorder.append((ended, *taken_back), session, ending=True)
        except EventNotWritable as error:
            outcome = unanswered(session.run, not_kept(error))
            ended = outcome.recorded(session.run)
            pending = self._recorder.append((ended, *taken_back), session, ending=True)
        for event in (ended, *taken_back):
            self._state.apply(event)
        self._state.ended(outcome)
        self._follow(session, (), outcome, pending)

    def _report(self, session: Session, outcome: Outcome) -> None:
        """Tell those who look on and those who wait, in this order, once."""
        if session.reported:
            return
        session.reported = True
        if self._runtime.bus.active:
            session.emit(RunFinished, answer=outcome.answer, error=outcome.error)
        self._runtime.register.settle(outcome)

    def _not_known(self, outcome: Outcome) -> None:
        """The store has not taken the run's end for a long time: its caller is not left hanging."""
        self._runtime.register.settle(not_known(outcome), final=False)

    # -- the incarnation ends with a run under way ---------------------------------------------------------------------

    def crashed(self, cause: BaseException | None) -> None:
        """The incarnation has crashed; the next one asks again for what was not finished, if that may help."""
        if (session := self.session) is not None:
            crashes = self._runtime.crashes
            before, _ = crashes.get(session.stream, (0, None))
            crashes[session.stream] = before + 1, cause
            session.let_go()  # nobody reads what would still come

    def let_go(self) -> None:
        """Leave the run under way as it is in the journal: somebody else goes on with it."""
        session, self.session = self.session, None
        if session is not None:
            session.let_go()

    def release(self, error: RunError | AgencyClosed) -> None:
        """End the run under way without a word to the journal, which will have nothing of the conversation."""
        session, self.session = self.session, None
        if session is None:
            return
        state = self._state
        adopt_runs(session)
        used = spent(session)
        children = session.children()
        session.abort()
        outcome = unanswered(session.run, error, *used)
        if state.begun:
            turn, _ = advance(state.turn, Interrupted(error, *used), session.rules)
            outcome = finished(session.run, turn, Fail(error), session.time() - session.started)
        self._report(session, outcome)
        self._runtime.drop(*children)


_OWN: Mapping[type, Callable[[Runner, Any], None]] = {
    Connected: Runner._on_connected,
    Finalized: Runner._on_finalized,
    TimeLimitReached: Runner._on_time_limit,
    OwnerAnswered: Runner._on_owner_answered,
    PromptRestored: Runner._on_restored,
    Recorded: Runner._on_recorded,
}

ABOUT_RUNS: Final = frozenset((*RESULTS, *_OWN))
"""The types of the messages that `Runner.receive` takes."""
