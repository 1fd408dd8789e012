"""The runs of an agency that somebody in this process waits for: each has exactly one end.

Reply futures live here and not in the actors, so that an actor's crash leaves them alone: the restarted conversation
goes on from the journal and settles the same future. A run is in the journal only from the moment its conversation has
taken it up; until then its entry here is all there is of it, and cancelling it is forgetting it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .....tools.secrets import Secrets
from ....core.base.errors import ActorDead, CoreError
from ....core.mail.future import Future
from ...answer import Answer
from ...context import NO_DEPS
from ...errors import AgencyClosed, AgentError, AgentUnavailable, DefinitionError, RunFailed, UnknownAgent
from ...memory.context.strategy import ContextStrategy
from ...output import Output
from ...team.subagents import AskedAgent
from ...turns.outcome import Outcome, cancelled, not_theirs, unanswered
from ...turns.records import Cancel, CredentialGiven, RunRequest
from .spoken import Spoken

NO_CREDENTIALS: Final[frozenset[CredentialGiven]] = frozenset()
"""The same one for all runs: each would take 216 bytes."""


class Entry:
    """A run, and who waits for it.

    Attributes:
        run: the request.
        submitted: when, by the event loop's time.
        since: when it was asked for, by that time, perhaps in another process: whoever sets the system's clock later
            makes no run older.
        reply: its answer, or the error it ended in.
        outcome: the same with what belongs to it, once it is there.
        accepted: whether it is in its conversation's journal, or about to be.
        cancelled: why it was cancelled; empty if it was not. The message that says so may be lost in a crash.
        given_up: whether that is only because whoever waited for it has given up, and not dealt with yet.
        dealt_with: done once it is: the run has ended, or goes on without them.
        heard: what was said by now in it, and in those made for it, by their ids, as the process that makes it tells;
            None where that is this one.
        session: what its conversation does for it, while it is under way and somebody waits. Errors that callers keep
            hold the entry by their tracebacks, and must not hold the conversation by it.
        output: the type that the answer must fit, where the run asks for one of its own.
        asked: the sub-agent that makes it, where a prompt function's does.
        deps: what its tools, and those of all that work for it, depend on.
        context: what its model is shown of the conversation, where the run says so and not the agent.
        carried: has it ended where it is made, if that is another process; see `RunRegister.elsewhere`.
        final: whether the outcome is the run's end; otherwise it may be gone on with later.
        fresh: whether the run's own conversation cannot be in the journal yet.
        waiters: how many wait for the reply.
        background: whether it goes on although nobody waits for it.
        rollback: whether the messages of a cancelled run are to be taken out of the history.
        recorded: whether it is in the journal.
        when_recorded: done once it is there, or has its outcome; where somebody waits for that.
    """

    __slots__ = (
        "accepted",
        "asked",
        "background",
        "cancelled",
        "carried",
        "context",
        "dealt_with",
        "deps",
        "final",
        "fresh",
        "given_up",
        "heard",
        "known",
        "outcome",
        "output",
        "recorded",
        "reply",
        "rollback",
        "run",
        "secrets",
        "session",
        "since",
        "submitted",
        "waiters",
        "when_recorded",
    )

    def __init__(
        self,
        run: RunRequest,
        submitted: float,
        output: Output | None = None,
        deps: Any = NO_DEPS,
        context: ContextStrategy | None = None,
    ) -> None:
        self.run = run
        self.submitted = submitted
        self.since = submitted - max(0.0, time.time() - run.asked_at) if run.asked_at else submitted
        self.reply: Future[Answer] = Future()
        self.outcome: Outcome | None = None
        self.accepted = False
        self.cancelled = ""
        self.given_up = False
        self.dealt_with: Future[None] | None = None
        self.session: Any = None
        self.output = output
        self.asked: AskedAgent | None = None
        self.deps = deps
        self.context = context
        self.carried: CancelElsewhere | None = None
        self.heard: dict[str, Spoken] | None = None
        self.secrets: Secrets | None = None
        """What its tools, and those of all that work for it, were given that nobody may see."""
        self.known = NO_CREDENTIALS
        """Which of the credentials that are in journals are among them."""
        self.final = False
        self.fresh = True
        self.waiters = 0
        self.background = False
        self.rollback = False
        self.recorded = False
        self.when_recorded: Future[None] | None = None

    @property
    def open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.outcome is None

    @property
    def wanted(self) -> bool:
        """Whether it goes on where somebody gives up waiting for it."""
        return self.background or (self.waiters > 0 and not self.given_up)

    def ends_for(self, run: RunRequest) -> str:
        """Why it is to be ended; empty where it is not.

        Args:
            run: the request as it was recorded.
        """
        if run.background:
            self.goes_on()
        return self.cancelled

    def goes_on(self) -> None:
        """Whoever has given up waiting for it is not the last one who wants it, as far as is known here."""
        if self.given_up:
            self.given_up = False
            self.cancelled = ""
            _done(self.dealt_with)

    def tell_recorded(self) -> None:
        """Tell who waits for it to be recorded, and keep nothing of them (230 bytes) as long as it goes on."""
        waiting, self.when_recorded = self.when_recorded, None
        _done(waiting)

    def tell(self) -> None:
        """Tell whoever waits for the reply."""
        outcome, reply = self.outcome, self.reply
        if outcome is None or reply.done():
            return
        if outcome.error is None:
            reply.set(outcome.answer)
        else:
            reply.set_exception(outcome.error)

    def renew(self) -> None:
        """The reply was cancelled together with a task that waited for it; others may still want to know."""
        if self.reply.cancelled():
            self.reply = Future()
            self.tell()


CancelElsewhere: TypeAlias = Callable[[str, bool, bool], object]
"""Takes what `RunRegister.cancel` was given: the reason, ``rollback`` and ``given_up``."""


class RunRegister:
    """Knows the runs that somebody waits for.

    Args:
        send: sends a message to the actor of an agent; raises `UnknownAgent` or what its reference raises.
        recovers: whether an agent whose actor is dead will have another one.
        now: the event loop's time, seconds.

    Attributes:
        closed: why no runs are accepted; empty where they are.
        elsewhere: has a run made in another process, where it is to be; returns whether it does so.
    """

    def __init__(
        self, send: Callable[[str, Any], object], recovers: Callable[[str], bool], now: Callable[[], float]
    ) -> None:
        self.closed = "is not running: use `async with` it"
        self._send = send
        self._recovers = recovers
        self._now = now
        self._entries: dict[str, Entry] = {}
        self.elsewhere: Callable[[Entry], bool] = _nowhere

    def submit(
        self,
        run: RunRequest,
        output: Output | None = None,
        deps: Any = NO_DEPS,
        context: ContextStrategy | None = None,
        *,
        here: bool = False,
    ) -> Entry:
        """Have a run made. One that is known already is not sent again.

        Args:
            run: the request.
            output, deps, context: see `Entry`.
            here: whether it is made in this process in any case: another one has sent it.

        Raises:
            DefinitionError: the id belongs to a run of another conversation.
            NotAllowed: it is somebody else's.
        """
        known = self._entries.get(run.id)
        if known is not None:
            same = known.run.stream_name == run.stream_name
            if not run.caller.may_go_on_with(known.run.caller):
                raise not_theirs(run.stream_name, "" if same else run.id)
            if not same:
                raise key_taken(run, known.run.stream_name)
            if known.output is None:
                known.output = output
            if known.deps is NO_DEPS:
                known.deps = deps
            if known.context is None:
                known.context = context
            known.goes_on()
            return known
        entry = self._entries[run.id] = Entry(run, self._now(), output, deps, context)
        if here or not self.elsewhere(entry):
            self.make_here(entry)
        return entry

    def make_here(self, entry: Entry) -> None:
        """Have a run made in this process."""
        run, entry.carried = entry.run, None
        try:
            self._send(run.agent, run)
        except UnknownAgent as error:
            self.settle(unanswered(run, error))
        except ActorDead as error:
            if not self._recovers(run.agent):  # otherwise its next actor finds the run here
                closed = AgencyClosed(f"the agency {self.closed}") if self.closed else unavailable(run.agent, error)
                self.settle(unanswered(run, closed))
        except CoreError as error:
            self.settle(unanswered(run, unavailable(run.agent, error)))

    def expect(self, run: RunRequest) -> Entry:
        """Wait for a run that is in the journal already; its agent finds it there."""
        entry = self._entries.get(run.id)
        if entry is None:
            entry = self._entries[run.id] = Entry(run, self._now())
            entry.accepted = True
            entry.fresh = False
            self.recorded(run.id)
        return entry

    def recorded(self, run_id: str) -> None:
        """The run is in the journal."""
        entry = self._entries.get(run_id)
        if entry is not None and not entry.recorded:
            entry.recorded = True
            entry.tell_recorded()

    def get(self, run_id: str) -> Entry | None:
        """The entry of a run that somebody waits for, or has not taken the outcome of."""
        return self._entries.get(run_id)

    def spoken(self, run_id: str, root: str) -> Spoken | None:
        """What the model of a run has said by now in the completion under way, in whichever process it is made.

        Args:
            run_id: the run's.
            root: the id of the run that the caller started.
        """
        entry, begun = self._entries.get(run_id), self._entries.get(root)
        if entry is not None and entry.session is not None:
            spoken: Spoken | None = entry.session.spoken
            return spoken
        return begun.heard.get(run_id) if begun is not None and begun.heard is not None else None

    def is_open(self, run_id: str) -> bool:
        """Whether somebody waits for the run's outcome."""
        known = self._entries.get(run_id)
        return known is not None and known.outcome is None

    def settle(self, outcome: Outcome, *, final: bool = True) -> None:
        """A run has its outcome; the first one counts.

        Args:
            outcome: how it ended.
            final: whether that is so; otherwise it may be gone on with later.
        """
        entry = self._entries.get(outcome.run)
        if entry is None or entry.outcome is not None:
            return
        entry.outcome = outcome
        entry.final = final
        entry.session = None
        entry.tell_recorded()
        _done(entry.dealt_with)
        entry.tell()

    def forget(self, run_id: str) -> None:
        """The outcome has been taken, or nobody waits for it any more."""
        entry = self._entries.pop(run_id, None)
        if entry is not None:
            entry.session = None

    def give_up(self, entry: Entry, reason: str) -> Future[None]:
        """The last one here who waited for a run does no more: have it ended, unless others want it.

        Returns:
            done once that is so, or it is known that it goes on.
        """
        dealt_with = entry.dealt_with = Future()
        if self.is_open(entry.run.id):
            self.cancel(entry.run.id, reason, given_up=entry.run.keyed)  # nobody else knows the ids of others
        else:  # it has ended, and whoever waited has not gone on yet
            dealt_with.set()
        return dealt_with

    def cancel(self, run_id: str, reason: str, *, rollback: bool = False, given_up: bool = False) -> None:
        """Have a run ended, wherever it is, and its messages taken out of the history where ``rollback`` says so.

        Nothing happens if it has an outcome, or where whoever waited has only ``given_up`` and others want it.
        """
        entry = self._entries.get(run_id)
        if entry is None or entry.outcome is not None:
            return
        run = entry.run
        entry.cancelled = reason
        entry.rollback = rollback
        entry.given_up = given_up
        if entry.carried is not None:
            entry.carried(reason, rollback, given_up)
            return
        if not entry.accepted:
            self.settle(unanswered(run, cancelled(reason, begun=False)))
            return
        try:
            self._send(run.agent, Cancel(run.conversation, run.id, reason, rollback, given_up))
        except CoreError as error:
            if not self._recovers(run.agent) or not isinstance(error, ActorDead):
                self.settle(unanswered(run, cancelled(reason)))
        except UnknownAgent:
            self.settle(unanswered(run, cancelled(reason)))

    def open(self, agent: str | None = None, conversation: str | None = None) -> list[Entry]:
        """The entries without an outcome, of one agent or one conversation of it, in the order submitted."""
        return [
            entry
            for entry in self._entries.values()
            if entry.outcome is None
            and agent in (None, entry.run.agent)
            and conversation in (None, entry.run.conversation)
        ]

    def fail_open(self, error: Callable[[], AgentError]) -> None:
        """End all open runs without an answer: nothing pending is dropped silently."""
        for entry in self.open():
            self.settle(unanswered(entry.run, error()), final=False)


def _nowhere(entry: Entry) -> bool:
    return False


def _done(future: Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set(None)


def key_taken(run: RunRequest, stream: str = "another conversation") -> DefinitionError:
    """The named error of a run whose id belongs to a run of another conversation.

    Args:
        run: the request.
        stream: that conversation's, in the journal, where it is the caller's own.
    """
    return DefinitionError(f"run id {run.id!r:.100} is taken by a run of {stream}; use one of its own for each request")


def not_kept(error: BaseException) -> RunFailed:
    """The named error of a run whose steps cannot be written down."""
    failed = RunFailed(f"the journal failed: {error}")
    failed.__cause__ = error
    return failed


def unavailable(agent: str, error: Exception) -> AgentUnavailable:
    """The named error for an agent whose actor takes no messages."""
    if isinstance(error, AgentUnavailable):
        return error
    why = "it has stopped" if isinstance(error, ActorDead) else str(error)
    failed = AgentUnavailable(f"agent {agent} takes no requests: {why}")
    failed.__cause__ = error
    return failed
