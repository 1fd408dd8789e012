"""The state of a conversation between two inputs, and what it is read as. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from .....providers.messages import Message, Usage
from ...answer import NO_USAGE, HandoffRecord
from ..history import EMPTY, History, with_results, without_calls
from ..rules import NOTHING, Limits, Rules
from .trail import NO_TRAIL, Trail

Phase: TypeAlias = Literal["idle", "completing", "acting", "held", "ended"]

NOT_RUN = "Not run: the run ended before this call had a result."


class Turn(NamedTuple):
    """The state of a conversation between two inputs.

    Attributes:
        history: the committed messages; always valid.
        message: the assistant message whose calls are being carried out, not yet in the history.
        results: for each call of ``message`` its result, or None.
        approved: ids of calls a person has approved.
        start: where in the history this run's own messages begin.
        steps, usage, cost, handoffs: of this run so far.
        repairs: corrections of the final text asked for so far.
        notes: what providers reported having changed on the way.
        steering: what was said to the run meanwhile, and is not in the history yet.
        limits: what a person has raised the run's limits to, if one has.
        trail: what happened in the run so far, from which its steps follow: completions, results, decisions.
    """

    phase: Phase = "idle"
    history: History = EMPTY
    message: Message | None = None
    results: tuple[Message | None, ...] = ()
    approved: frozenset[str] = NOTHING
    start: int = 0
    steps: int = 0
    usage: Usage = NO_USAGE
    cost: float = 0.0
    handoffs: tuple[HandoffRecord, ...] = ()
    repairs: int = 0
    notes: tuple[str, ...] = ()
    steering: tuple[Message, ...] = ()
    limits: Limits | None = None
    trail: Trail = NO_TRAIL


def cut(turn: Turn) -> tuple[Message, ...]:
    """The history if the conversation stopped here, valid for every vendor; what was said meanwhile is its end."""
    if turn.message is None:
        return turn.history.as_tuple() + turn.steering
    return (*turn.history, *with_results(turn.message, turn.results, NOT_RUN), *turn.steering)


def so_far(turn: Turn) -> tuple[Message, ...]:
    """The messages that there are: a call that has no result yet has none."""
    if turn.message is None:
        return cut(turn)
    there = (result for result in turn.results if result is not None)
    return (*turn.history, turn.message, *there, *turn.steering)


def reopened(messages: tuple[Message, ...]) -> Turn:
    """The turn of a conversation that has these messages: calls at their end that have no result wait for it."""
    place = next((place for place in reversed(range(len(messages))) if messages[place].role != "tool"), -1)
    if place >= 0 and (calls := messages[place].tool_calls):
        given = {result.tool_call_id: result for result in messages[place + 1 :]}
        results = tuple(given.get(call.id) for call in calls)
        if None in results:
            return Turn("ended", History(messages[:place]), message=messages[place], results=results)
    return Turn("ended", History(messages))


def closed(turn: Turn) -> Turn:
    """The turn if it ended here."""
    history = turn.history
    if turn.message is not None:
        history = history.plus(*with_results(turn.message, turn.results, NOT_RUN))
    if turn.steering:
        history = history.plus(*turn.steering)
    return turn._replace(phase="ended", history=history, message=None, results=(), steering=())


def transferred(turn: Turn, rules: Rules) -> tuple[Message, ...]:
    """The conversation as it is handed over: every earlier handoff call and its result is left out, so that it does
    not grow from hop to hop."""
    return without_calls(cut(turn), rules.transfers | rules.delegates)
