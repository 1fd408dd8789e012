"""The state of a conversation, folded from what its journal holds: the same while it lives and after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .machine import Turn, advance, cut
from .records import Accepted, Ended, Run, Snapshot, ToolsStarted
from .rules import Rules
from .steps import Commands

_IDLE = Turn()


@dataclass(slots=True, eq=False)
class ConversationState:
    """A conversation between two events.

    Attributes:
        turn: the state of the run under way, or of the last one.
        queue: the runs without an outcome, in the order accepted; the first may be under way.
        owner: agent and conversation that took the conversation over, if one did.
        last: the outcome of the run that ended last.
        begun: whether the first run of the queue has begun its turn.
        interrupted: ids of the calls of that run which have been started.
    """

    turn: Turn = _IDLE
    queue: list[Run] = field(default_factory=list)  # an empty deque takes 0.6 kB
    owner: tuple[str, str] | None = None
    last: Ended | None = None
    begun: bool = False
    interrupted: frozenset[str] = frozenset()


def fold(state: ConversationState, event: Any, rules_of: Callable[[Run], Rules]) -> Commands:
    """Take in one event of the journal.

    Args:
        state: changed in place.
        event: an input of a turn, or one of `records`.
        rules_of: the rules of a run.

    Returns:
        the commands that follow from an input.
    """
    kind = type(event)
    if kind is Accepted:
        if not knows(state, event.run.id):  # whoever waits for it may have sent it again after a restart
            state.queue.append(event.run)
    elif kind is ToolsStarted:
        state.interrupted |= set(event.call_ids)
    elif kind is Ended:
        close(state, event)
        answer = event.answer if event.answer.messages else replace(event.answer, messages=cut(state.turn))
        if event.error is not None:
            event.error.partial = answer
        state.last = event._replace(answer=answer)
    elif kind is Snapshot:
        state.turn = Turn("ended", event.history)
        state.owner = event.owner
        state.last = event.last
    else:
        state.begun = True
        state.turn, commands = advance(state.turn, event, rules_of(state.queue[0]))
        return commands
    return ()


def close(state: ConversationState, ended: Ended) -> None:
    """Take in a run's outcome."""
    state.last = ended
    state.owner = ended.owner or state.owner
    queue = state.queue
    if queue and queue[0].id == ended.run:
        del queue[0]
        if state.begun and state.turn.phase != "ended":  # ended by others while it had no actor
            state.turn = Turn("ended", cut(state.turn))
        state.begun = False
        state.interrupted = frozenset()
        return
    for run in queue:  # cancelled before its time
        if run.id == ended.run:
            queue.remove(run)
            return


def knows(state: ConversationState, run_id: str) -> bool:
    """Whether the run is waiting or under way, or is the one that ended last."""
    return (state.last is not None and state.last.run == run_id) or any(run.id == run_id for run in state.queue)


def compacted(state: ConversationState, ended: Ended, events: Iterable[Any]) -> tuple[Any, ...]:
    """What is to be kept between two runs: the messages, and the runs that have been accepted meanwhile.

    Args:
        state: of the conversation.
        ended: the outcome of the run that ended last.
        events: all that the journal holds.
    """
    accepted: dict[str, Accepted] = {}
    for event in events:
        if type(event) is Accepted:
            accepted[event.run.id] = event
        elif type(event) is Ended:
            accepted.pop(event.run, None)
    return (Snapshot(state.turn.history, state.owner, ended), *accepted.values())


def owner_of(events: Iterable[Any]) -> tuple[str, str] | None:
    """Agent and conversation that took a conversation over, as its journal says."""
    owners = [event.owner for event in events if isinstance(event, Ended | Snapshot) and event.owner is not None]
    return owners[-1] if owners else None


def is_unfinished(events: Iterable[Any]) -> bool:
    """Whether a conversation's journal holds a run that has no outcome."""
    accepted: dict[str, None] = {}
    for event in events:
        if isinstance(event, Accepted):
            accepted[event.run.id] = None
        elif isinstance(event, Ended):
            accepted.pop(event.run, None)
        elif isinstance(event, Snapshot) and event.last is not None:
            accepted.pop(event.last.run, None)
    return bool(accepted)
