"""What earlier processes left in a journal, and what workers that have died left to those alive."""

from __future__ import annotations

from typing import Any

from ....core.base.errors import CoreError
from ....core.base.log import logger_of
from ....core.mail.future import Future
from ....journal.errors import JournalError, StreamFenced, StreamOwned
from ....journal.store import Header, Stream, at_hand
from ...answer import Answer
from ...errors import AgentError, UnknownAgent
from ...turns.loop.machine import advance
from ...turns.outcome import Outcome, cancelled, finished, unanswered
from ...turns.records import RunRequest
from ...turns.state import rules_of
from ...turns.steps import Fail, Interrupted
from ..reading.folding import folded, header_of, is_conversation, read
from ..runtime.messages import TakeUp
from ..runtime.register import Entry, not_kept
from ..runtime.runtime import AgencyRuntime

logger = logger_of()


async def recover(runtime: AgencyRuntime) -> dict[str, Future[Answer]]:
    """Expect the runs that are unfinished and that nobody alive works on, or whose answer nobody has taken.

    Returns:
        the futures of their answers, by run id.
    """
    resumed: dict[str, Future[Answer]] = {}
    for entry in await take_up_abandoned(runtime):
        resumed[entry.run.id] = entry.reply
    return resumed


async def take_up_abandoned(runtime: AgencyRuntime) -> list[Entry]:
    """Have conversations gone on with that are unfinished and that nobody alive owns.

    Returns:
        the runs that are expected now.
    """
    taken: list[Entry] = []
    nested: list[tuple[str, str]] = []
    for header in await at_hand(runtime.journal.headers(unfinished=True, abandoned=True)):
        agent, _, conversation = header.name.partition("/")
        if header.damaged or header.name in runtime.damaged or not is_conversation(header):
            continue
        if not runtime.takes_up(agent, conversation):
            continue
        if "parent" in header.labels:
            await _if_orphaned(runtime, header)
            continue
        try:
            state = (await read(runtime.journal, header.name)).state
        except JournalError as error:
            runtime.damaged.add(header.name)
            logger.error("conversation %s is set aside: it cannot be read", header.name, exc_info=error)
            continue
        if state.queue and state.queue[0].parent:  # of a version that did not say whose part it is
            nested.append((header.name, state.queue[0].root))
            continue
        expected = [runtime.register.expect(run) for run in state.queue]
        taken.extend(expected)
        for entry in expected:
            if entry.waiters == 0 and not entry.background:
                entry.reply.add_done_callback(_Forget(runtime, entry))
                entry.background = entry.run.background
        if agent not in runtime.directory.agents:
            there = ", ".join(runtime.directory.agents)
            for run in list(state.queue):
                await close_run(runtime, run, UnknownAgent(f"no agent is called {agent!r}; there are {there}"))
        elif state.queue:
            _go_on(runtime, agent, conversation)
        elif (last := state.last) is not None and "ephemeral" in header.labels:
            taken.append(_undelivered(runtime, agent, conversation, last))
    runtime.drop(*(name for name, root in nested if not runtime.register.is_open(root)))
    return taken


async def close_run(runtime: AgencyRuntime, run: RunRequest, error: AgentError) -> None:
    """Record the end of a run that has no actor which could, and tell whoever waits for it."""
    outcome = unanswered(run, error)
    journal = runtime.journal
    try:
        stream = await at_hand(journal.open(run.stream_name))
        state = folded(run.stream_name, stream.events)
        recorded = state.outcome_of(run.id)
        if recorded is None:
            await at_hand(stream.append((outcome.recorded(run),), unfinished=len(state.queue) > 1))
            runtime.found_failed(run, error)
        else:
            outcome = recorded
        await at_hand(stream.release())
    except StreamOwned:
        return  # somebody else works on it, and ends it
    except JournalError as failed:
        runtime.register.settle(unanswered(run, not_kept(failed)), final=False)
        return
    runtime.register.settle(outcome)


async def cancel_abandoned(runtime: AgencyRuntime, stream: str, run_id: str, reason: str) -> bool:
    """Record the end of a run whose conversation nobody alive works on. Returns False where somebody does."""
    journal = runtime.journal
    header = await header_of(journal, stream)
    if header is None or header.owner:
        return False
    try:
        opened = await at_hand(journal.open(stream))
        try:
            await _cancel(opened, run_id, reason)
        finally:
            await at_hand(opened.release())
    except (StreamOwned, StreamFenced):
        return False
    return True


async def _cancel(stream: Stream, run_id: str, reason: str) -> None:
    kept = stream.events if stream.snapshot is None else (stream.snapshot, *stream.events)
    state = folded(stream.name, kept)
    run = next((one for one in state.queue if one.id == run_id), None)
    if run is None:
        return
    events: list[Any] = []
    if state.begun and run is state.queue[0]:
        error = cancelled(reason)
        turn = state.turn
        if turn.phase != "ended":
            events.append(Interrupted(error))
            turn, _ = advance(turn, events[0], rules_of(run))
        outcome = finished(run, turn, Fail(error), state.used)
    else:
        outcome = unanswered(run, cancelled(reason, begun=False))
    events.append(outcome.recorded(run))
    await at_hand(stream.append(events, unfinished=len(state.queue) > 1))


def _go_on(runtime: AgencyRuntime, agent: str, conversation: str) -> None:
    ref = runtime.agents.get(agent)
    if ref is not None:  # otherwise its actor finds the runs in the register as it starts
        try:
            ref.tell(TakeUp(conversation))
        except CoreError:
            logger.debug("agent %s is being restarted, and takes %s up then", agent, conversation)


def _undelivered(runtime: AgencyRuntime, agent: str, conversation: str, last: Outcome) -> Entry:
    """A run whose answer nobody has taken."""
    run = RunRequest(last.run, last.run, agent, conversation, (), (agent,), once=True)
    entry = runtime.register.expect(run)
    entry.reply.add_done_callback(_Forget(runtime, entry))
    runtime.register.settle(runtime.typed(agent, last))
    return entry


async def _if_orphaned(runtime: AgencyRuntime, header: Header) -> None:
    """What was begun for a run that has ended since is of no use to anybody."""
    parent = await header_of(runtime.journal, header.labels["parent"])
    if (parent is None or not parent.unfinished) and "ephemeral" in header.labels:
        runtime.drop(header.name)


class _Forget:
    """Lets go of an entry once its outcome is there: whoever wants it has its future."""

    def __init__(self, runtime: AgencyRuntime, entry: Entry) -> None:
        self._runtime = runtime
        self._entry = entry

    def __call__(self, _: Future[Answer]) -> None:
        self._runtime.delivered(self._entry)
