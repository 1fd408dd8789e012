"""The conversation actor: one conversation of one agent, its runs in order.

Its handlers only decide. Model calls, tools and other agents work beside the mailbox and come back as messages; each
becomes an input of the turn machine, is written to the journal, and only then are the machine's commands carried out.
The actor is the only writer of its conversation: it owns the journal's stream, and what it appends is refused once
somebody else has taken that over. An incarnation begins by folding the journal, so a restarted one, in this process or
another, goes on from the last recorded step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ...core.actor import Actor
from ...core.mail.future import Future
from ...journal.errors import EventNotWritable, JournalClosed, JournalError, StreamOwned
from ...journal.store import Post, Stream
from ..errors import (
    AgentError,
    GuardrailTripped,
    OutcomeUnknown,
    RunError,
    RunFailed,
    TimeLimit,
)
from ..events import Resumed as ResumedEvent
from ..events import RunFinished, RunStarted
from ..events import Steered as SteeredEvent
from ..turns.arrivals import NEWER, rejected
from ..turns.machine import advance, outstanding
from ..turns.outcome import Outcome, cancelled, finished, unanswered
from ..turns.records import (
    ApprovalAsked,
    Cancel,
    Decision,
    GiveUp,
    NotSteered,
    Resumed,
    Rewound,
    RunRequest,
    Steer,
    ToolsStarted,
)
from ..turns.state import ConversationState
from ..turns.steps import (
    COMPLETE,
    AskApproval,
    Begin,
    CallTool,
    Command,
    Commands,
    Fail,
    Finish,
    Input,
    Interrupted,
    Steered,
)
from .coordination.ownership import Unkept, busy, own
from .execution.delegation import forward, forwarded
from .execution.executor import RESULTS, carry_out
from .execution.session import Connected, Finalized, OwnerAnswered, Recorded, Session, TimeLimitReached
from .execution.spending import spent
from .execution.tool_calls import decided
from .reading.folding import folded
from .recording import Recorder
from .runtime.messages import GoneFromJournal, Idle, Posted, Release, Rewind
from .runtime.register import not_kept
from .runtime.runtime import AgencyRuntime

logger = logging.getLogger("callboard")

MAX_CRASHES: Final = 3
"""Crashes at one and the same step after which the run is given up: more of them would not help."""

MAX_RESUMED: Final = 20
"""Times a run is taken up, by this process or others, without getting a step further, before it is given up."""

PATIENCE: Final = 10.0
"""Seconds that a run's end may take to be written down before its caller is told that it is not known."""


class Conversation(Actor):
    """One conversation of one agent.

    Args:
        runtime: what the agency's actors share.
        agent: the agent's name.
        conversation: the conversation's id.
        kept: whether its steps go into the journal.
    """

    def __init__(self, runtime: AgencyRuntime, agent: str, conversation: str, kept: bool) -> None:
        super().__init__()
        self._runtime = runtime
        self._agent = agent
        self._id = conversation
        self._name = f"{agent}/{conversation}"
        self._kept = kept
        self._state = ConversationState(agent, conversation)
        self._recorder: Recorder | None = None
        self._session: Session | None = None
        self._leaving = False
        self._gone = False

    # -- a new incarnation ---------------------------------------------------------------------------------------------

    def on_start(self) -> Any:
        """Own the conversation's stream, fold it, then go on where it ends."""
        runtime = self._runtime
        if not self._kept:
            self._go_on_from(Unkept(), runtime.unkept.setdefault(self._name, self._state))
            return None
        opening: Stream | Future[Stream] | StreamOwned
        try:
            opening = runtime.journal.create(self._name) if self._is_new() else runtime.journal.open(self._name)
        except StreamOwned as error:
            opening = error
        except JournalError as error:
            self._cannot_open(error)
            return None
        if isinstance(opening, Future | StreamOwned):
            return self._wait(opening)
        self._opened(opening)
        return None

    def _is_new(self) -> bool:
        """Whether nobody can know of the conversation yet: its id was made for the one run that it is for."""
        details = self._cell.details
        if details is not None and details.incarnation > 1:
            return False
        entry = self._runtime.register.get(self._id)
        return entry is not None and entry.fresh and entry.run.once and not entry.run.keyed and not entry.accepted

    async def _wait(self, opening: Future[Stream] | StreamOwned) -> None:
        runtime = self._runtime
        try:
            stream = await own(runtime.journal, runtime.register, self._agent, self._id, opening, runtime.time)
        except JournalError as error:
            self._cannot_open(error)
            return
        if stream is None:
            runtime.posts.forget(self._name)
            self._stop_for_good()
        else:
            self._opened(stream)

    def _cannot_open(self, error: JournalError) -> None:
        """Everybody who waits is told; a closed journal is no news to them."""
        self._runtime.posts.forget(self._name)
        if not isinstance(error, JournalClosed):
            for entry in self._runtime.register.open(self._agent, self._id):
                self._runtime.register.settle(unanswered(entry.run, not_kept(error)))
        self._stop_for_good()

    def _opened(self, stream: Stream) -> None:
        events = stream.events
        stream.events = ()
        if stream.snapshot is not None:
            events = (stream.snapshot, *events)
        try:
            state = folded(self._name, events) if events else self._state
        except JournalError as error:
            self._cannot_open(error)
        else:
            self._go_on_from(stream, state)

    def _go_on_from(self, stream: Any, state: ConversationState) -> None:
        runtime = self._runtime
        register = runtime.register
        self._state = state
        self._recorder = recorder = Recorder(runtime, stream, state, self._lost)
        if self._kept:
            runtime.streams[self._name] = stream
        again = self._cell.details is not None and self._cell.details.incarnation > 1
        if again:  # what was told to the last one may have got lost with it
            for entry in register.open(self._agent, self._id):
                self._take(entry.run)
        if (last := state.last) is not None:
            register.settle(runtime.typed(self._agent, last))  # the reply may not have got out before a crash
        if state.queue and state.begun:
            self._resume(state.queue[0])
        elif state.queue:
            self._start_next()
        elif again and not stream.version:
            self._leave()
        recorder.flush()
        if runtime.posts:
            self._take_posts()

    def _resume(self, run: RunRequest) -> None:
        runtime, state = self._runtime, self._state
        turn = state.turn
        runtime.tool_tasks.cancel(run.id)  # left by an incarnation that was killed
        crashes = runtime.crashes[self._name] = runtime.crashes.get(self._name, 0) + 1
        session = self._open(run)
        session.resumed = True
        if crashes > MAX_CRASHES or state.resumed > MAX_RESUMED:
            runtime.approvals.forget_those_of(self._agent, self._id)
            error = RunFailed(f"the conversation crashed {max(crashes, state.resumed)} times at one step; given up")
            self._interrupt(session, error)
            return
        if session.entry is not None and (reason := session.entry.cancelled) and turn.phase != "ended":
            runtime.approvals.forget_those_of(self._agent, self._id)
            self._interrupt(session, cancelled(reason), session.entry.rollback)
            return
        if (newer := state.replaced_by(run)) is not None and turn.phase != "ended":
            self._interrupt_for(session, newer)
            return
        session.emit(ResumedEvent, steps=turn.steps)
        if turn.phase == "ended":  # it crashed while hooks looked at the outcome
            self._conclude(session, state.verdict or Finish(""))
            return
        commands = outstanding(turn, session.rules)
        events: list[Any] = [Resumed(session.used()), *self._asked(commands)]
        pending = self._record(events)
        for event in events:
            state.apply(event)
        self._follow(session, commands, None, pending)

    # -- messages ------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle a message; see `RunRequest`, `messages` and `session` for what there is."""
        take = RESULTS.get(type(message))
        if take is None:
            if self._gone:
                return self._hand_on(message)
            return _HANDLERS[type(message)](self, message)
        session: Session = message.session
        if session is self._session:
            try:
                take(message, self._apply)
            except JournalError:
                raise
            except Exception as error:
                self._broken(session, error)
        return None

    def _on_run(self, run: RunRequest) -> None:
        self._take(run)
        if self._session is None:
            self._start_next()
        self._journal.flush()

    def _take(self, run: RunRequest) -> None:
        """Take up a run that somebody waits for."""
        register, state = self._runtime.register, self._state
        entry = register.get(run.id)
        if entry is None or not entry.open:
            return
        if entry.accepted and self._kept and not self._journal.stream.version:
            gone = cancelled("its conversation was released, or is gone on with elsewhere")
            register.settle(unanswered(run, gone), final=False)  # it is not begun anew
            return
        if state.knows(run.id):
            entry.accepted = True
            outcome = state.outcome_of(run.id)
            if outcome is not None:
                register.settle(self._runtime.typed(self._agent, outcome))
            return
        if run.when_busy != "queue" and rejected(state.queue, run):
            register.settle(unanswered(run, busy(run)))
            return
        self._journal.take_up(run)
        if state.newer:
            self._replace()

    def _replace(self) -> None:
        """End the runs that a newer one takes the place of."""
        state = self._state
        self._journal.flush()  # that one is written down, or refused, before any is ended for it
        for run in reversed(list(state.queue)):
            newer = state.replaced_by(run)
            if newer is None:
                continue
            session = self._session
            if session is not None and session.run is run:
                self._interrupt_for(session, newer)
            elif not (state.begun and state.queue[0] is run):  # otherwise it is about to be resumed
                self._end_waiting(run, cancelled(NEWER, begun=False))

    def _interrupt_for(self, session: Session, newer: RunRequest) -> None:
        self._interrupt(session, cancelled(NEWER), newer.when_busy == "rollback")

    def _on_decision(self, decision: Decision) -> None:
        session, approvals = self._session, self._runtime.approvals
        if session is not None and decided(session, decision, self._apply):
            self._discard(approvals.recorded(decision.approval))
        elif any(asked.approval == decision.approval for asked in (self._state.approvals or {}).values()):
            approvals.decisions[decision.approval] = decision  # it is about to be asked again, and finds it
        else:
            self._discard(approvals.recorded(decision.approval))

    def _on_cancel(self, cancel: Cancel) -> None:
        session = self._session
        if session is not None and session.run.id == cancel.run:
            self._interrupt(session, cancelled(cancel.reason), cancel.rollback)
            return
        for run in self._state.queue:
            if run.id == cancel.run:
                self._end_waiting(run, cancelled(cancel.reason, begun=False))
                return

    def _end_waiting(self, run: RunRequest, error: AgentError) -> None:
        """End a run that has not begun."""
        outcome = unanswered(run, error)
        ended = outcome.recorded(run)
        pending = self._record((ended,), ending=True)
        self._state.apply(ended)
        self._state.ended(outcome)
        if pending is None:
            self._runtime.register.settle(outcome)
        else:
            pending.when_done(partial(self._when_told, outcome))
        if self._runtime.posts:
            self._take_posts()

    def _when_told(self, outcome: Outcome, pending: Future[None]) -> None:
        if pending.exception() is None:
            self._runtime.register.settle(outcome)

    def _on_time_limit(self, message: TimeLimitReached) -> None:
        session = message.session
        if session is self._session:
            seconds = session.rules.limits.seconds
            self._interrupt(session, TimeLimit(f"no answer within {seconds:g} seconds; raise Limits.seconds"))

    def _on_owner_answered(self, message: OwnerAnswered) -> None:
        session = message.session
        if session is self._session:
            outcome = forwarded(session, message.entry)
            session.delegations.pop("", None)
            self._runtime.register.forget(message.entry.run.id)
            self._end(session, outcome)

    def _on_posted(self, message: Posted) -> None:
        """Something that was said in another process, or before this one began."""
        post = message.post
        if type(post.event) is Decision:
            approvals, approval = self._runtime.approvals, post.event.approval
            if approval in approvals.decisions and approvals.posts.get(approval) != post.id:
                self._discard(post.id)  # it was decided before
                return
            approvals.posts[approval] = post.id
            self._on_decision(post.event)
            return
        if type(post.event) in (Cancel, Steer):
            self._take_posts()
            return
        handle = _HANDLERS.get(type(post.event))
        if handle is not None:
            handle(self, post.event)
        self._discard(post.id)

    def _take_posts(self) -> None:
        """Take what was said by way of the journal, as far as that can be done now."""
        for post in self._runtime.posts.of(self._name):
            journal = self._journal
            if post.id in journal.taking:
                continue
            if type(post.event) is Cancel:
                journal.taken.append(post)
                self._on_cancel(post.event)
                journal.discard_taken()  # where there was nothing to end
            else:
                self._on_steer(post, post.event)

    def _on_steer(self, post: Post, steer: Steer) -> None:
        session, state, journal = self._session, self._state, self._journal
        owner = state.owner or (session.being_transferred() if session is not None else None)
        heard = state.hearing
        if owner is not None or heard == "never":
            journal.refuse_post(post, NotSteered(steer.id, owner))
        elif heard == "now" and session is not None:
            journal.taken.append(post)
            self._apply(session, Steered(steer.messages, steer.id))
            session.emit(SteeredEvent, text=steer.messages[-1].text)

    def _discard(self, post: int | None) -> None:
        if post is not None:
            self._runtime.journal.discard(post)

    def _on_give_up(self, message: GiveUp) -> None:
        self._leaving = True
        self._leave_if_idle()

    def _on_idle(self, message: Idle) -> None:
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._session is None and not self._state.queue:
            self._leave()

    def _leave(self) -> None:
        """Let go of the conversation; whoever has the next run for it opens it anew."""
        self._runtime.idle.pop(self._name, None)
        self._let_go_of_stream()
        self._stop_for_good()

    def _stop_for_good(self) -> None:
        """Stop. What comes until that is done is handed to the next actor of the conversation."""
        self._runtime.approvals.forget_those_of(self._agent, self._id)
        self._gone = True
        self._runtime.leaving.add(self._name)
        self.stop()

    def _hand_on(self, message: Any) -> str | None:
        """A message that came while this actor was about to stop."""
        if type(message) is RunRequest:
            if self._runtime.register.is_open(message.id):
                self._runtime.tell(self._runtime.agents[self._agent], message)
        elif type(message) is Posted:
            self._runtime.tell(self._runtime.agents[self._agent], message)
        if type(message) is Rewind:
            return "elsewhere" if self._recorder is None else "moved"
        return None

    def _let_go_of_stream(self) -> None:
        self._runtime.streams.pop(self._name, None)
        with suppress(JournalError):  # it is closed, and nothing is owned any more
            self._journal.stream.release()

    def _on_gone(self, message: GoneFromJournal) -> None:
        """Somebody else has the stream, or the journal is closed: what is here is out of date. That is nobody's fault:
        the runs that are waited for are handed to an actor that begins with what is in the journal now."""
        runtime = self._runtime
        if not isinstance(message.error, JournalError):
            raise message.error
        logger.info("%s is read anew: %s", self._name, message.error)
        session, self._session = self._session, None
        if session is not None:
            session.let_go()
            runtime.crashes[self._name] = runtime.crashes.get(self._name, 0) - 1
        runtime.streams.pop(self._name, None)
        runtime.idle.pop(self._name, None)
        self._stop_for_good()
        if not isinstance(message.error, JournalClosed):
            for entry in runtime.register.open(self._agent, self._id):
                runtime.tell(runtime.agents[self._agent], entry.run)

    def _on_release(self, release: Release) -> tuple[str, str] | None:
        runtime, state = self._runtime, self._state
        runs = list(state.queue)
        session, self._session = self._session, None
        state.queue.clear()
        if session is not None:
            runs.remove(session.run)
            error = cancelled("its conversation was released")
            used = spent(session)
            children = session.children()
            session.abort()
            outcome = unanswered(session.run, error, *used)
            if state.begun:
                turn, _ = advance(state.turn, Interrupted(error, *used), session.rules)
                outcome = finished(session.run, turn, Fail(error), session.time() - session.started)
            self._report(session, outcome)
            runtime.drop(*children)
        for run in runs:
            error = cancelled("its conversation was released")
            runtime.register.settle(unanswered(run, error))
        runtime.crashes.pop(self._name, None)
        runtime.idle.pop(self._name, None)
        runtime.streams.pop(self._name, None)
        self.stop()
        return state.owner

    def _on_rewind(self, message: Rewind) -> str:
        state = self._state
        if self._recorder is None:
            return "elsewhere"
        if self._session is not None or state.queue:
            return "busy"
        self._runtime.idle[self._name] = self._runtime.time()
        if self._journal.stream.version != message.version:
            return "moved"
        rewound = Rewound(message.messages)
        pending = self._record((rewound,))
        state.apply(rewound)
        return "done" if pending is None else self.reply_with(self._rewound(pending))

    async def _rewound(self, pending: Future[None]) -> str:
        try:
            await pending
        except JournalError as error:
            self._lost(error)
            return "moved"
        return "done"

    def on_failure(self, *_: Any) -> None:
        """The next incarnation asks again for what was not finished; nobody reads what would still come."""
        if self._session is not None:
            self._session.let_go()

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _open(self, run: RunRequest) -> Session:
        session = self._session = Session(self, self._runtime, self._state, run)
        session.start_clock()
        return session

    def _start_next(self) -> None:
        state = self._state
        if self._session is not None or not state.queue:
            return
        run = state.queue[0]
        if run.agent not in self._runtime.directory.prepared:
            return
        session = self._open(run)
        if self._runtime.bus.active:
            session.emit(RunStarted, text=run.messages[-1].text if run.messages else "")
        if session.entry is not None and (reason := session.entry.cancelled):
            self._end(session, unanswered(run, cancelled(reason, begun=False)))
        elif state.replaced_by(run) is not None:
            self._end(session, unanswered(run, cancelled(NEWER, begun=False)))
        elif state.owner is not None:
            forward(session, state.owner)
        elif "connection" in session.prepared.hooks:
            session.jobs[""] = self.pipe(_connect(session), lambda outcome: Connected(session, outcome))
        else:
            self._apply(session, Begin(run.messages))

    def _on_connected(self, message: Connected) -> None:
        session = message.session
        if session is not self._session:
            return
        session.jobs.pop("", None)
        try:
            messages = message.outcome.unwrap()
        except GuardrailTripped as error:
            # What was refused must not stay in the conversation: the run begins without it, and ends.
            self._apply(session, Begin(()), quiet=True)
            self._apply(session, Interrupted(error))
        except Exception as error:
            self._broken(session, error)
        else:
            self._apply(session, Begin(messages))

    def _apply(self, session: Session, happened: Input, *, quiet: bool = False) -> None:
        """One step: the machine, the journal, then what the machine wants done (unless ``quiet``)."""
        state = self._state
        if state.turn.phase == "ended" and type(happened) is not Begin:
            return  # it came too late
        turn, commands = advance(state.turn, happened, session.rules)
        events: list[Any] = [happened]
        if type(happened) is Begin and happened.messages is session.run.messages:
            events[0] = Begin(None)  # they are in the journal as what was asked
        outcome: Outcome | None = None
        last: Command | None = commands[-1] if commands else None
        concluded = isinstance(last, Finish | Fail)
        if concluded and "finalize" not in session.prepared.hooks:
            assert isinstance(last, Finish | Fail)
            outcome = self._outcome(session, turn, last, happened)
            events.append(outcome.recorded(session.run))
            if type(happened) is Interrupted and happened.rollback:
                events.append(Rewound(turn.start))
        elif commands and not concluded and (turn.message is not None or turn.phase == "held"):
            started = tuple(command.call.id for command in commands if type(command) is CallTool)
            if started:
                events.append(ToolsStarted(started))
            events.extend(self._asked(commands))
        try:
            pending = self._record(events, ending=outcome is not None)
        except EventNotWritable as error:
            self._unwritable(session, happened, error)
            return
        if type(happened) is Begin:
            state.begun = True
        state.stepped(turn, commands, happened)
        for event in events[1:]:
            state.apply(event)
        self._runtime.crashes.pop(self._name, None)
        if outcome is not None:
            state.ended(outcome)
        elif concluded:
            assert isinstance(last, Finish | Fail)
            self._conclude(session, last)
            return
        if not quiet:
            self._follow(session, commands, outcome, pending)
        if type(happened) is Begin and self._runtime.posts:
            self._take_posts()

    def _asked(self, commands: Commands) -> list[ApprovalAsked]:
        """What is to be recorded of the approvals that are asked for now."""
        known = self._state.approvals or {}
        return [
            self._runtime.approvals.new(command.call.id, time.time())
            for command in commands
            if type(command) is AskApproval and command.call.id not in known
        ]

    def _outcome(self, session: Session, turn: Any, last: Finish | Fail, happened: Input | None = None) -> Outcome:
        owner, agent, value = session.handed_over(happened)
        seconds = session.time() - session.started
        outcome = finished(session.run, turn, last, seconds, agent=agent, value=value)
        return outcome._replace(owner=owner) if owner is not None else outcome

    def _conclude(self, session: Session, last: Finish | Fail) -> None:
        """The turn has ended: let hooks look at the outcome, if there are any for it."""
        outcome = self._outcome(session, self._state.turn, last)
        if "finalize" not in session.prepared.hooks:
            self._end(session, outcome)
        elif not session.finalizing:
            session.finalizing = True
            self.pipe(_finalized(session, outcome), lambda result: Finalized(session, result))

    def _on_finalized(self, message: Finalized) -> None:
        session = message.session
        if session is self._session:
            try:
                outcome = message.outcome.unwrap()
            except Exception as error:
                outcome = unanswered(session.run, _failed(error))
            self._end(session, outcome)

    def _interrupt(self, session: Session, error: RunError, rollback: bool = False) -> None:
        """End the run under way by name, and take its messages out of the history where ``rollback`` says so."""
        state = self._state
        if session.forward is not None or not state.begun:
            used = spent(session)
            if session.forward is not None:
                self._runtime.register.cancel(session.forward.run.id, str(error), rollback=rollback)
            if state.queue and state.queue[0] is session.run:
                self._end(session, unanswered(session.run, error, *used))
        else:
            self._apply(session, Interrupted(error, *spent(session), rollback))

    def _broken(self, session: Session, error: Exception) -> None:
        """Something that ought not to raise did: the run ends by name, and is not tried again for ever."""
        if session is self._session:
            self._interrupt(session, _failed(error))

    def _unwritable(self, session: Session, happened: Input, error: EventNotWritable) -> None:
        """What happened cannot be kept: the run ends here, by name, from the state before."""
        run, state = session.run, self._state
        if any(accepted.run is run for accepted in self._journal.held):  # nothing of it is in the journal
            session.abort()
            self._session = None
            state.begun = False
            self._journal.refuse(run, error)
            self._start_next()
        elif not isinstance(happened, Interrupted):
            self._interrupt(session, not_kept(error))
        else:
            self._interrupt(session, RunFailed(f"{type(happened.error).__name__}, which could not be written down"))

    def _end(self, session: Session, outcome: Outcome) -> None:
        """Record how the run ended."""
        ended, taken_back = outcome.recorded(session.run), self._state.taken_back()
        try:
            pending = self._record((ended, *taken_back), ending=True)
        except EventNotWritable as error:
            outcome = unanswered(session.run, not_kept(error))
            ended = outcome.recorded(session.run)
            pending = self._record((ended, *taken_back), ending=True)
        for event in (ended, *taken_back):
            self._state.apply(event)
        self._state.ended(outcome)
        self._follow(session, (), outcome, pending)

    # -- the journal ---------------------------------------------------------------------------------------------------

    @property
    def _journal(self) -> Recorder:
        assert self._recorder is not None
        return self._recorder

    def _record(self, events: Sequence[Any], *, ending: bool = False) -> Future[None] | None:
        return self._journal.append(events, self._session, ending=ending)

    def _lost(self, error: BaseException) -> None:
        self._runtime.tell(self.ref, GoneFromJournal(error))

    def _follow(
        self, session: Session, commands: Commands, outcome: Outcome | None, pending: Future[None] | None
    ) -> None:
        """Go on once the journal has it; asking the model does not wait for that, as it does no harm twice."""
        if pending is None:
            self._go_on(session, commands, outcome)
        elif commands is COMPLETE and (self._state.turn.steps or not session.run.keyed):
            pending.when_done(self._journal.when_lost)
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
        error = OutcomeUnknown(
            f"run {outcome.run} has ended, but the journal could not be written within {PATIENCE:g} seconds; "
            "ask again with the same run_id to learn its outcome"
        )
        error.partial = outcome.answer
        self._runtime.register.settle(outcome._replace(error=error), final=False)

    def _on_recorded(self, message: Recorded) -> None:
        if message.session is self._session:
            self._go_on(*message)

    def _go_on(self, session: Session, commands: Commands, outcome: Outcome | None) -> None:
        runtime, state = self._runtime, self._state
        if outcome is None:
            if state.turn.phase != "ended":  # it was not ended while the journal was being written
                try:
                    carry_out(session, commands, self._apply)
                except JournalError:
                    raise
                except Exception as error:
                    self._broken(session, error)
            return
        session.abort()
        self._session = None
        runtime.crashes.pop(self._name, None)
        self._report(session, outcome)
        run = session.run
        if runtime.posts and not state.queue:
            self._take_posts()
        if run.once:
            if state.owner is not None:
                runtime.release(*state.owner)
            if self._kept:
                if run.keyed:
                    self._leave()
                    return
                runtime.streams.pop(self._name, None)
            self.stop()
        elif state.queue:
            self._start_next()
        elif self._leaving:
            self._leave()
        elif self._kept:
            runtime.idle[self._name] = session.time()


async def _connect(session: Session) -> Any:
    return (await session.hooked("connection", messages=session.run.messages)).messages


async def _finalized(session: Session, outcome: Outcome) -> Outcome:
    try:
        context = await session.hooked("finalize", answer=outcome.answer, error=outcome.error)
    except GuardrailTripped as error:
        error.partial = outcome.answer
        return outcome._replace(error=outcome.error or error)
    if context.answer is None or context.answer is outcome.answer:
        return outcome
    return outcome._replace(answer=context.answer, derived=False)


def _failed(error: Exception) -> RunError:
    """The named error of a run in which something raised that ought not to."""
    if isinstance(error, RunError):
        return error
    failed = RunFailed(f"{type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


_HANDLERS: dict[type, Callable[[Conversation, Any], object]] = {
    RunRequest: Conversation._on_run,
    Decision: Conversation._on_decision,
    Cancel: Conversation._on_cancel,
    GiveUp: Conversation._on_give_up,
    Release: Conversation._on_release,
    Rewind: Conversation._on_rewind,
    Idle: Conversation._on_idle,
    Posted: Conversation._on_posted,
    GoneFromJournal: Conversation._on_gone,
    TimeLimitReached: Conversation._on_time_limit,
    OwnerAnswered: Conversation._on_owner_answered,
    Connected: Conversation._on_connected,
    Finalized: Conversation._on_finalized,
    Recorded: Conversation._on_recorded,
}
