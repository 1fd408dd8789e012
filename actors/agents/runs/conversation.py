"""The conversation actor: one conversation of one agent, its runs in order.

It takes what is said to the conversation; how a run is made step by step is the runner's affair. Its handlers only
decide: model calls, tools and other agents work beside the mailbox and come back as messages.
The actor is the only writer of its conversation: it owns the journal's stream, and what it appends is refused once
somebody else has taken that over. An incarnation begins by folding the journal, so a restarted one, in this process or
another, goes on from the last recorded step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from ...core.actor import Actor
from ...core.base.log import logger_of
from ...core.mail.future import Future
from ...journal.errors import JournalClosed, JournalError, StreamOwned
from ...journal.store import Post, Stream
from ..errors import AgentError
from ..events import Steered as SteeredEvent
from ..turns.arrivals import NEWER, rejected
from ..turns.outcome import Outcome, cancelled, not_theirs, unanswered
from ..turns.records import Cancel, Decision, GiveUp, NotSteered, Rewound, RunRequest, Steer
from ..turns.state import ConversationState
from ..turns.steps import Steered
from .coordination.ownership import Unkept, busy, own
from .execution.recording import Recorder
from .execution.runner import ABOUT_RUNS, Runner
from .execution.session import Session
from .execution.tools.tool_calls import decided
from .reading.folding import folded
from .runtime.approvals import in_words
from .runtime.messages import GoneFromJournal, Idle, Posted, Release, Rewind
from .runtime.register import not_kept
from .runtime.runtime import AgencyRuntime

logger = logger_of()


RELEASED: Final = "its conversation was released"


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
        self._owned = False
        self._leaving = False
        self._gone = False

    def waits_for(self) -> tuple[str, ...]:
        """What its run waits for that no actor answers, in words. A simulation that cannot go on asks."""
        waiting = self._runtime.approvals.waiting
        return tuple(in_words(each) for each in waiting if (each.agent, each.conversation) == (self._agent, self._id))

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

    @property
    def _is_again(self) -> bool:
        """Whether it was restarted."""
        return self._cell.details is not None and self._cell.details.incarnation > 1

    def _is_new(self) -> bool:
        """Whether nobody can know of the conversation yet: its id was made for the one run that it is for."""
        if self._is_again:
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
        self._runner = runner = Runner(self, runtime, state, recorder, self._take_posts, self._run_ended)
        self._owned = True
        if self._kept:
            runtime.streams[self._name] = stream
        again = self._is_again
        if again:  # what was told to the last one may have got lost with it
            for entry in register.open(self._agent, self._id):
                self._take(entry.run)
        if (last := state.last) is not None:
            self._found_over(last)
            register.settle(runtime.typed(self._agent, last))  # the reply may not have got out before a crash
        if state.queue and state.begun:
            runner.resume()
        elif state.queue:
            runner.start_next()
        elif again and not stream.version:
            self._leave()
        recorder.flush()
        if runtime.posts:
            self._take_posts()

    # -- messages ------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Handle a message; see `RunRequest`, `messages` and `session` for what there is."""
        if self._gone:
            return self._hand_on(message)
        kind = type(message)
        if kind in ABOUT_RUNS:
            return self._runner.receive(message)
        return _HANDLERS[kind](self, message)

    def _on_run(self, run: RunRequest) -> None:
        self._take(run)
        if self._runner.session is None:
            self._runner.start_next()
        self._recorder.flush()

    def _take(self, run: RunRequest) -> None:
        """Take up a run that somebody waits for."""
        register, state = self._runtime.register, self._state
        entry = register.get(run.id)
        if entry is None or not entry.open:
            return
        if entry.accepted and self._kept and not self._recorder.stream.version:
            gone = cancelled("its conversation was released, or is gone on with elsewhere")
            register.settle(unanswered(run, gone), final=False)  # it is not begun anew
            return
        owner = next((one.caller for one in state.queue if one.id == run.id), state.caller)
        if owner is not None and not run.caller.may_go_on_with(owner):
            register.settle(unanswered(run, not_theirs(run.stream_name)))  # nothing of it is kept
            return
        if state.knows(run.id):
            entry.accepted = True
            outcome, session = state.outcome_of(run.id), self._runner.session
            being_written = session is not None and session.run.id == run.id
            if outcome is not None and not being_written:
                self._found_over(outcome)
                register.settle(self._runtime.typed(self._agent, outcome))
            return
        if run.when_busy != "queue" and rejected(state.queue, run):
            register.settle(unanswered(run, busy(run)))
            return
        self._recorder.take_up(run)
        if state.newer:
            self._replace()

    def _found_over(self, outcome: Outcome) -> None:
        """A run has ended, as the journal says; whoever made it may not have told of that."""
        tracing, entry = self._runtime.tracing, self._runtime.register.get(outcome.run)
        if tracing is not None and entry is not None and entry.open:
            tracing.found_over(entry.run, outcome.answer.seconds)

    def _replace(self) -> None:
        """End the runs that a newer one takes the place of."""
        state = self._state
        self._recorder.flush()  # that one is written down, or refused, before any is ended for it
        for run in reversed(list(state.queue)):
            newer = state.replaced_by(run)
            if newer is None:
                continue
            session = self._runner.session
            if session is not None and session.run is run:
                self._runner.interrupt_for(session, newer)
            elif not (state.begun and state.queue[0] is run):  # otherwise it is about to be resumed
                self._end_waiting(run, cancelled(NEWER, begun=False))

    def _on_decision(self, decision: Decision) -> None:
        session, approvals = self._runner.session, self._runtime.approvals
        if session is not None and decided(session, decision, self._runner.apply):
            self._discard(approvals.recorded(decision.approval))
        elif any(asked.approval == decision.approval for asked in (self._state.approvals or {}).values()):
            approvals.decisions[decision.approval] = decision  # it is about to be asked again, and finds it
        else:
            self._discard(approvals.recorded(decision.approval))

    def _on_cancel(self, cancel: Cancel) -> None:
        if cancel.given_up and self._is_wanted(cancel.run):
            return
        session = self._runner.session
        if session is not None and session.run.id == cancel.run:
            self._runner.interrupt(session, cancelled(cancel.reason), cancel.rollback)
            return
        for run in self._state.queue:
            if run.id == cancel.run:
                self._end_waiting(run, cancelled(cancel.reason, begun=False))
                return

    def _is_wanted(self, run_id: str) -> bool:
        """Whether a run goes on although somebody has given up waiting for it."""
        entry = self._runtime.register.get(run_id)
        if not (self._state.in_background(run_id) or (entry is not None and entry.wanted)):
            return False
        if entry is not None:
            entry.goes_on()
        return True

    def _end_waiting(self, run: RunRequest, error: AgentError) -> None:
        """End a run that has not begun."""
        outcome = unanswered(run, error)
        ended = outcome.recorded(run)
        pending = self._recorder.append((ended,), None, ending=True)
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

    def _on_rewind(self, message: Rewind) -> str:
        state = self._state
        if self._runner.session is not None or state.queue:
            return "busy"
        self._runtime.idle[self._name] = self._runtime.time()
        if self._recorder.stream.version != message.version:
            return "moved"
        rewound = Rewound(message.messages)
        pending = self._recorder.append((rewound,), None)
        state.apply(rewound)
        return "done" if pending is None else self.reply_with(self._rewound(pending))

    async def _rewound(self, pending: Future[None]) -> str:
        try:
            await pending
        except JournalError as error:
            self._lost(error)
            return "moved"
        return "done"

    # -- what is said by way of the journal ----------------------------------------------------------------------------

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
            journal = self._recorder
            if post.id in journal.taking:
                continue
            if type(post.event) is Cancel:
                journal.taken.append(post)
                self._on_cancel(post.event)
                journal.discard_taken()  # where there was nothing to end
            else:
                self._on_steer(post, post.event)

    def _on_steer(self, post: Post, steer: Steer) -> None:
        session, state, journal = self._runner.session, self._state, self._recorder
        owner = state.owner or (_being_transferred(session) if session is not None else None)
        heard = state.hearing
        if owner is not None or heard == "never":
            journal.refuse_post(post, NotSteered(steer.id, owner))
        elif heard == "now" and session is not None:
            journal.taken.append(post)
            self._runner.apply(session, Steered(steer.messages, steer.id))
            session.emit(SteeredEvent, text=steer.messages[-1].text)

    def _discard(self, post: int | None) -> None:
        if post is not None:
            self._runtime.journal.discard(post)

    # -- the conversation is let go of ---------------------------------------------------------------------------------

    def _run_ended(self, run: RunRequest) -> None:
        """The next run begins, or the conversation is let go of, or is idle."""
        runtime, state = self._runtime, self._state
        if runtime.posts and not state.queue:
            self._take_posts()
        if run.once:
            if self._kept and run.keyed:
                self._leave()
                return
            if state.owner is not None:
                runtime.release(*state.owner)
            if self._kept:
                runtime.streams.pop(self._name, None)
            self.stop()
        elif state.queue:
            self._runner.start_next()
        elif self._leaving:
            self._leave()
        elif self._kept:
            runtime.idle[self._name] = runtime.time()

    def _on_give_up(self, message: GiveUp) -> None:
        self._leaving = True
        self._leave_if_idle()

    def _on_idle(self, message: Idle) -> None:
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._runner.session is None and not self._state.queue:
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
            return "moved" if self._owned else "elsewhere"
        return None

    def _let_go_of_stream(self) -> None:
        self._runtime.streams.pop(self._name, None)
        with suppress(JournalError):  # it is closed, and nothing is owned any more
            self._recorder.stream.release()

    def _lost(self, error: BaseException) -> None:
        self._runtime.tell(self.ref, GoneFromJournal(error))

    def _on_gone(self, message: GoneFromJournal) -> None:
        """Somebody else has the stream, or the journal is closed: what is here is out of date. The runs that are waited
        for are handed to an actor that begins with what is in the journal now."""
        runtime = self._runtime
        if not isinstance(message.error, JournalError):
            raise message.error
        logger.info("%s is read anew: %s", self._name, message.error)
        self._runner.let_go()
        runtime.streams.pop(self._name, None)
        runtime.idle.pop(self._name, None)
        self._stop_for_good()
        if not isinstance(message.error, JournalClosed):
            for entry in runtime.register.open(self._agent, self._id):
                runtime.tell(runtime.agents[self._agent], entry.run)

    def _on_release(self, release: Release) -> tuple[str, str] | None:
        runtime, state = self._runtime, self._state
        session = self._runner.session
        runs = [
            run for run in state.queue if session is None or run.id != session.run.id
        ]  # its end may be being written
        state.queue.clear()
        if session is not None:
            self._runner.release(cancelled(RELEASED))
        for run in runs:
            runtime.register.settle(unanswered(run, cancelled(RELEASED)))
        runtime.crashes.pop(self._name, None)
        runtime.idle.pop(self._name, None)
        runtime.streams.pop(self._name, None)
        self.stop()
        return state.owner

    def on_stop(self) -> None:
        """An actor that ends with its supervisor: nobody reads what would still come. Where it was stopped alone, its
        open runs go on in the next actor of the conversation."""
        if self._owned:
            self._runner.let_go()
        if not self._gone:
            runtime = self._runtime
            entries = list(runtime.register.open(self._agent, self._id))
            for entry in entries:
                runtime.tell(runtime.agents[self._agent], entry.run)
            if not entries and self._is_again and self._name in runtime.streams:
                self._let_go_of_stream()  # the last one had let go of it, and crashed before it had stopped

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        """An incarnation that crashed: one that ends with its supervisor, or is out of date, is not at fault."""
        if self._owned:
            self._runner.crashed(exception_value)


def _being_transferred(session: Session) -> tuple[str, str] | None:
    """Agent and conversation that the session's one is being handed to at this moment, if it is."""
    for one in session.delegations.values():
        if one.transfer and one.handoff is not None:
            return one.run.agent, one.run.conversation
    return None


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
}
