"""Who works on a conversation: opening its stream, waiting while somebody else holds it, letting go of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ....core.mail.future import Future
from ....journal.errors import StreamOwned
from ....journal.store import Journal, Stream, at_hand
from ...errors import ConversationBusy
from ...turns.arrivals import NEWER, rejected, replaced
from ...turns.outcome import unanswered
from ...turns.records import Cancel, GiveUp, RunRequest
from ...turns.state import ConversationState
from ..runtime.register import Entry, RunRegister

FIRST_LOOK: Final = 0.02
LAST_LOOK: Final = 1.0
"""Seconds between two looks at a conversation that is worked on elsewhere; each wait is twice the one before."""


class Unkept:
    """The stream of a conversation that nobody could go on with after the process: its state is all that is kept.

    A run without a conversation on a journal of the agency's own, in memory, needs no more: writing events only to
    drop them was a fifth of what such a run cost.
    """

    __slots__ = ("version",)

    events: Any = ()
    snapshot = None

    def __init__(self) -> None:
        self.version = 0

    def append(self, events: Any, **_: Any) -> None:
        """Nothing is kept."""
        self.version += 1

    def release(self) -> None:
        """Nobody else wants it."""


async def own(
    journal: Journal,
    register: RunRegister,
    agent: str,
    conversation: str,
    opening: Stream | Future[Stream] | StreamOwned,
    now: Callable[[], float],
) -> Stream | None:
    """Become the owner of a conversation's stream, waiting as long as somebody else works on it.

    Meanwhile the runs that wait for it here get the outcomes that the other one records, are cancelled over there when
    they are cancelled here, and end in `ConversationBusy` when their time is up. Where whoever waits here gives up, the
    other one is told, and decides.

    Returns:
        the stream, or None where nobody waits for it any more.

    Raises:
        JournalError: it cannot be opened at all.
    """
    name = f"{agent}/{conversation}"
    elsewhere = ConversationState(agent, conversation)
    version, wait = 0, FIRST_LOOK
    told: set[str] = set()
    seen: set[str] = set()
    asked = False
    while True:
        try:
            if isinstance(opening, StreamOwned):
                raise opening
            return await at_hand(opening)
        except StreamOwned as error:
            held = error
        for record in await at_hand(journal.read(name, after=version)):
            version = record.version
            elsewhere.apply(record.event)
        for entry in register.open(agent, conversation):
            run = entry.run
            _look_after(entry, elsewhere, register, now(), held)
            if entry.given_up and entry.accepted:
                if not elsewhere.in_background(run.id):
                    reason = entry.cancelled
                    await at_hand(journal.post(name, Cancel(conversation, run.id, reason, given_up=True)))
                entry.goes_on()
            elif entry.cancelled and entry.accepted and run.id not in told:
                told.add(run.id)
                await at_hand(journal.post(name, Cancel(conversation, run.id, entry.cancelled, entry.rollback)))
            if run.id in seen or entry.accepted:
                continue
            seen.add(run.id)  # what begins over there later is not older
            for old in replaced(elsewhere.queue, elsewhere.ending, run):
                await at_hand(journal.post(name, Cancel(conversation, old.id, NEWER, run.when_busy == "rollback")))
        if not asked or not elsewhere.queue:  # again where it is idle: somebody else may have had it meanwhile
            asked = True
            await at_hand(journal.post(name, GiveUp()))
        if not register.open(agent, conversation):
            return None
        await asyncio.sleep(wait)
        wait = min(LAST_LOOK, wait * 2)
        try:
            opening = journal.open(name)
        except StreamOwned as error:
            opening = error


def _look_after(
    entry: Entry, elsewhere: ConversationState, register: RunRegister, now: float, held: StreamOwned
) -> None:
    """Report what the other one has recorded of a run; end one whose time is up."""
    run = entry.run
    outcome = elsewhere.outcome_of(run.id)
    if outcome is not None:
        register.settle(outcome)
        return
    entry.accepted = entry.accepted or elsewhere.knows(run.id)
    if not entry.accepted and rejected(elsewhere.queue, run):
        register.settle(unanswered(run, busy(run)))
        return
    seconds = run.limits.seconds if run.limits is not None else None
    if not entry.accepted and seconds is not None and now - entry.submitted >= seconds:
        error = ConversationBusy(
            f"conversation {run.conversation!r:.100} of {run.agent} is worked on by another process "
            f"({held.owner}); it was not free within {seconds:g} seconds"
        )
        register.settle(unanswered(run, error))


def busy(run: RunRequest) -> ConversationBusy:
    """The named error of a run that was to begin at once or not at all."""
    return ConversationBusy(f"conversation {run.conversation!r:.100} of {run.agent} is at work on another message")
