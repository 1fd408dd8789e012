"""Handles on runs: what becomes of them, from this process or any other that shares the journal.

A handle reads the run's conversation in the journal; what only this process knows (that the agency has stopped, or
that the store cannot be written) it learns from the register.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, Literal, TypeAlias

from ....providers.messages import Message
from ...core.base.send_context import active as active_context
from ...core.mail.future import Future
from ...journal.store import Record, at_hand
from ..answer import Answer, V_co
from ..caller import Caller
from ..errors import UnknownRun
from ..memory.context.strategy import ContextStrategy
from ..output import Output
from ..turns.outcome import Outcome
from ..turns.records import Accepted, Cancel, Ended, RunRequest
from ..turns.state import ConversationState
from .coordination.recovery import cancel_abandoned
from .reading.bell import Bell
from .reading.cursor import Cursor, RunText
from .reading.folding import read, unfit
from .reading.following import PAGE
from .reading.progress import RunRecord
from .reading.told import Told, told_by_now
from .resumable import gone, resumable
from .runtime.closing import ends_with_agency, serving
from .runtime.quotas import check_quotas
from .runtime.register import Entry
from .runtime.runtime import CANCEL_GRACE, AgencyRuntime
from .validation import check_id, check_type

Status: TypeAlias = Literal["queued", "running", "waiting", "ended", "failed"]

DEEPEST: Final = 20
"""Conversations of agents that work for each other in which an approval is looked for."""


class RunHandle(Generic[V_co]):
    """A run that goes on by itself. Awaiting it gives its answer; cancelling whoever waits leaves the run alone.

    Attributes:
        id: the run's, by which `Agency.handle` finds it again.
        agent, conversation: whose it is.
    """

    __slots__ = (
        "_accepted",
        "_messages",
        "_metadata",
        "_outcome",
        "_output",
        "_read",
        "_runtime",
        "_stream",
        "_version",
        "agent",
        "conversation",
        "id",
    )

    def __init__(self, runtime: AgencyRuntime, run_id: str, stream: str, output: Output | None = None) -> None:
        self.id = run_id
        self.agent, _, self.conversation = stream.partition("/")
        self._runtime = runtime
        self._stream = stream
        self._output = output
        self._read: ConversationState | None = None
        self._version = 0
        self._accepted = False
        self._metadata: Mapping[str, Any] | None = None
        self._messages: tuple[Message, ...] = ()
        self._outcome: Outcome | None = None

    def __repr__(self) -> str:
        return f"<RunHandle {self.id} of {self.agent}>"

    def __await__(self) -> Generator[Any, None, Answer[V_co]]:
        return self.answer().__await__()

    @ends_with_agency
    async def status(self) -> Status:
        """How far the run is: ``queued`` behind others, ``running``, ``waiting`` for a person, also where that is asked
        by an agent that it has handed work to, ``ended`` with its answer, or ``failed`` with an error.

        Raises:
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        await self._catch_up()
        if self._outcome is not None:
            return "ended" if self._outcome.error is None else "failed"
        entry = self._entry()
        state = self._state
        if not self._accepted:
            if entry is None:
                raise gone(self.id)
            return "queued"
        if state.queue[0].id != self.id or not (state.begun or state.owner is not None):
            return "queued"
        if entry is not None and entry.session is not None:
            return "waiting" if entry.session.stopwatch.paused else "running"
        return "waiting" if state.approvals or await self._delegate_waits(self._stream, DEEPEST) else "running"

    def events(self, *, after: int = 0) -> AsyncGenerator[RunRecord]:
        """What is recorded of the run, in order, and then what comes; ends after the run's end.

        Whatever process works on it, a reader that begins with the position of the last record that it has seen misses
        nothing and sees nothing twice. Where the conversation is another agent's, or is transferred to it meanwhile,
        its records are among them; each says whose it is. What agents do to which work is delegated is told by their
        answers only.

        Args:
            after: the position behind which to begin; 0 for the beginning.

        Raises:
            DefinitionError: that is no whole number; here, before the iteration.
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        check_type(after, int, "the position after which to begin", "a whole number, 0 for the beginning")
        return self._events(after)

    async def _events(self, after: int) -> AsyncGenerator[RunRecord]:
        runtime, arrived = self._runtime, Bell()
        told = Told(runtime.following, runtime.journal, self._stream, self.id, arrived)
        try:
            with serving(runtime.register):
                await told.begin()
                while not told.over:
                    record = await told.take()
                    if record is None:
                        if told.gone:
                            raise gone(self.id)
                        await arrived.wait()
                    elif record.position > after:
                        yield record
        finally:
            told.close()

    @ends_with_agency
    async def records(self) -> list[RunRecord]:
        """What is recorded of the run by now, in order; see `events`.

        Raises:
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        self._runtime.following.check()
        found = await told_by_now(self._runtime.journal, self._stream, self.id)
        if not found and self._entry() is None:
            raise gone(self.id)
        return found

    @ends_with_agency
    async def metadata(self) -> Mapping[str, Any]:
        """What the run was asked with, see `Agency.run`: by whoever asked first.

        Raises:
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        if self._metadata is None:
            await self._catch_up()
        if self._metadata is None:
            raise gone(self.id)
        return self._metadata

    async def question(self) -> tuple[Message, ...]:
        """What the run was asked, by whoever asked first.

        Raises:
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        await self.metadata()
        return self._messages

    def stream(self, *, after: str = "") -> AsyncGenerator[RunRecord | RunText]:
        """The run as a stream that can be gone on with: its records as `events` has them, and before the record of
        each completion what the model says, in pieces as it comes, where the run was started with ``stream=True`` and
        this process works on it, or has it made by another node; otherwise in one piece. Whoever answers is streamed,
        also where that is an agent to which the conversation was transferred.

        Each item has a ``cursor``. Whoever begins behind the last one that they have seen, in whichever process, misses
        nothing and is given nothing twice. A text that begins anew (`RunText.restarted`) is another one: the model was
        asked again, because its stream was cut or the process died. Who is slow to read is given larger pieces.
        Leaving the iteration leaves the run alone.

        Args:
            after: the cursor behind which to begin; empty for the beginning.

        Raises:
            DefinitionError: that is no cursor, here, before the iteration; or it is none of this run, as it begins.
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        check_type(after, str, "the place after which to begin", "a cursor, as a text, empty for the beginning")
        return resumable(self._runtime, self._stream, self.id, Cursor.read(after), after)

    def so_far(self) -> str:
        """The text that the model has said by now in the completion under way, as far as it may be shown: for those who
        come to watch later. Empty where nothing is known of it here: in a run that is not streamed, or that another
        process works on. On the loop's thread only."""
        entry = self._entry()
        session = None if entry is None else entry.session
        while session is not None and (entry := session.taken_over_by()) is not None:
            session = entry.session
        if session is None or session.over or session.spoken is None:
            return ""
        turn = session.state.turn
        under_way = turn.phase == "completing" and session.spoken.step == turn.steps + 1
        return session.spoken.text("text") if under_way else ""

    @ends_with_agency
    async def answer(self, timeout: float | None = None) -> Answer[V_co]:
        """Wait for the answer. May be called any number of times, also when the run ended long ago.

        Args:
            timeout: seconds to wait at most; the run goes on.

        Raises:
            TimeoutError: the time is up.
            UnknownRun: the conversation was released before the run had ended.
            AgencyClosed: the agency has stopped before it had.
            JournalError: the conversation cannot be read.
            AgentError: what the run ended in, as `Agency.run` raises it.
        """
        check_type(timeout, int | float | None, "timeout", "a number of seconds, or None")
        if timeout is None:
            outcome = await self._ended()
        else:
            async with asyncio.timeout(timeout):
                outcome = await self._ended()
        if outcome.error is not None:
            raise outcome.error
        return outcome.answer

    @ends_with_agency
    async def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Have the run ended in `RunCancelled`, wherever it is worked on. Nothing happens if it has ended.

        Returns once that is written down: in this process the end, or after 5 seconds; for another one the request.

        Raises:
            UnknownRun: its conversation was released.
            AgencyClosed: the agency has stopped.
            JournalError: the conversation cannot be read.
        """
        check_type(reason, str, "reason", "a text")
        runtime = self._runtime
        await self._catch_up()
        if self._outcome is not None:
            return
        entry = self._entry()
        if entry is not None:
            runtime.register.cancel(self.id, reason)
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCEL_GRACE):
                    await _settled(entry)
        elif not self._accepted:
            raise gone(self.id)
        elif not await cancel_abandoned(runtime, self._stream, self.id, reason):
            await at_hand(runtime.journal.post(self._stream, Cancel(self.conversation, self.id, reason)))

    # -- within --------------------------------------------------------------------------------------------------------

    @property
    def _state(self) -> ConversationState:
        """The conversation, as far as it was read by this handle."""
        if self._read is None:
            self._read = ConversationState(self.agent, self.conversation)
        return self._read

    def _entry(self) -> Entry | None:
        """What this process knows of it, while it has no outcome."""
        entry = self._runtime.register.get(self.id)
        return entry if entry is not None and entry.open else None

    def _keep_outcome_of(self, entry: Entry, *, delivers: bool = False) -> None:
        """Whoever holds the handle has the outcome, also where the journal does not keep it for long.

        Args:
            entry: of the run.
            delivers: whether the run is over with that, where nobody waits for it.
        """
        self._metadata, self._messages = entry.run.metadata, entry.run.messages
        entry.reply.when_done(_AtEnd(self, entry, delivers))

    async def _ended(self) -> Outcome:
        if self._outcome is not None:
            return self._outcome
        self._runtime.following.check()
        entry = self._entry()
        if entry is not None:
            outcome = await _settled(entry)
            if entry.final:
                self._outcome = outcome
            return outcome
        following = self._runtime.following.follow(self._runtime.journal, self._stream, after=self._version)
        try:
            async for record in following:
                self._see(record)
                if self._outcome is not None:
                    return self._outcome
        finally:
            await following.aclose()
        raise gone(self.id)

    async def _catch_up(self) -> None:
        """Read what has been recorded by now, as far as the run's end."""
        if self._outcome is not None:
            return
        runtime = self._runtime
        page = PAGE
        while page == PAGE and self._outcome is None:
            runtime.following.check()
            records = await at_hand(runtime.journal.read(self._stream, after=self._version, limit=PAGE))
            page = len(records)
            for record in records:
                self._see(record)
        if self._version and not page and not await at_hand(runtime.journal.read(self._stream, limit=1)):
            raise gone(self.id)

    def _see(self, record: Record) -> None:
        if self._outcome is not None or record.version <= self._version:
            return  # two may wait for the answer at once
        self._version = record.version
        event = record.event
        try:
            self._state.apply(event)
        except Exception as error:
            raise unfit(self._stream, error) from error
        if type(event) is Accepted and event.run.id == self.id:
            self._accepted, self._metadata, self._messages = True, event.run.metadata, event.run.messages
        elif type(event) is Ended and event.run == self.id:
            outcome = self._state.outcome_of(self.id)
            if outcome is not None:
                self._outcome = self._runtime.typed(self.agent, outcome, self._output)
            self._read = None  # it may be large

    async def _delegate_waits(self, stream: str, depth: int) -> bool:
        """Whether an agent at work for the conversation waits for a person, as the journal has it."""
        journal = self._runtime.journal
        for header in await at_hand(journal.headers(labels={"parent": stream}, unfinished=True)):
            state = (await read(journal, header.name)).state
            if not state.queue or state.queue[0].root != self.id:
                continue
            if state.approvals or (depth and await self._delegate_waits(header.name, depth - 1)):
                return True
        return False


class _AtEnd:
    """What is done at the end of a run, see `RunHandle._keep_outcome_of`. One object, as closures and partials of the
    same have 500 bytes, and there may be thousands."""

    __slots__ = ("_delivers", "_entry", "_handle")

    def __init__(self, handle: RunHandle, entry: Entry, delivers: bool) -> None:
        self._handle = handle
        self._entry = entry
        self._delivers = delivers

    def __call__(self, _: Future[Answer]) -> None:
        handle, entry = self._handle, self._entry
        if entry.final and handle._outcome is None:
            handle._outcome = entry.outcome
        if self._delivers and not entry.waiters:
            handle._runtime.delivered(entry)


async def start_run(
    runtime: AgencyRuntime,
    run: RunRequest,
    output: Output | None,
    deps: Any,
    context: ContextStrategy | None,
    *,
    asked_before: bool,
) -> RunHandle:
    """Have a run made in the background. Returns once it is accepted; with a durable journal: recorded.

    Args:
        runtime: of the agency.
        run: the request.
        output: the type that its answer must fit.
        deps: what its tools depend on.
        context: what its model is shown of the conversation.
        asked_before: whether it may have been asked for before.

    Raises:
        AgentError: it was not accepted.
        DefinitionError: its id belongs to a run of another conversation.
        QuotaExceeded: the caller has nothing left.
    """
    register = runtime.register
    handle = RunHandle(runtime, run.id, run.stream_name, output)
    if asked_before and await runtime.is_claimed(run):
        return handle
    fresh = register.get(run.id) is None
    if fresh and runtime.pools:
        with serving(register):
            await check_quotas(runtime.pools, run.caller)
    token = active_context.set(None)  # it goes on when the caller's time is up
    entry = register.submit(run, output, deps, context)
    active_context.reset(token)
    handle._keep_outcome_of(entry, delivers=not entry.background)
    entry.background = True
    try:
        if not entry.recorded and entry.open:
            if entry.when_recorded is None:
                entry.when_recorded = Future()
            await _passed_on(entry.when_recorded)
    except asyncio.CancelledError:
        if fresh and not entry.waiters:
            register.cancel(run.id, "its caller was cancelled before it was accepted")
        raise
    error = entry.outcome.error if entry.outcome is not None else None
    if error is not None and not entry.recorded and not await runtime.is_claimed(run):
        raise error
    return handle


async def find_run(runtime: AgencyRuntime, run_id: str, caller: Caller | None) -> RunHandle:
    """A handle on a run that is under way, or is kept.

    Args:
        runtime: of the agency.
        run_id: the run's.
        caller: who wants it; None for the application itself.

    Raises:
        UnknownRun: nothing is kept of it.
        NotAllowed: it is another's.
        AgencyClosed: the agency is not running.
        JournalError: its conversation cannot be read.
    """
    check_id(run_id, "run", UnknownRun)
    runtime.following.check()
    entry = runtime.register.get(run_id)
    if entry is not None and entry.open and runtime.keeps(entry.run):
        await runtime.check_whose(entry.run.stream_name, caller, run_id)
        handle = RunHandle(runtime, run_id, entry.run.stream_name)
        handle._keep_outcome_of(entry)
        return handle
    stream = await at_hand(runtime.journal.find(run_id))
    if stream is not None:
        await runtime.check_whose(stream, caller, run_id)
        handle = RunHandle(runtime, run_id, stream)
        await handle._catch_up()
        if handle._accepted:
            return handle
    raise UnknownRun(
        f"no run {run_id!r:.100} is kept here; only those with a run_id, or in the background, are found again"
    )


async def _settled(entry: Entry) -> Outcome:
    """How a run ends here. Others wait for the same: cancelling one leaves them alone."""
    while entry.outcome is None:
        await _passed_on(entry.reply)
        entry.renew()
    return entry.outcome


async def _passed_on(future: Future[Any]) -> None:
    """Wait for a future, and leave it alone when cancelled."""
    bell = Bell()
    future.when_done(lambda _: bell.ring())
    await bell.wait()
