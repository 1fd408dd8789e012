"""Going through what a journal keeps of a conversation again, event by event, without carrying anything out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .inner import INNER, InnerCalled, outer_of
from .loop.machine import advance, outstanding
from .loop.turn import Turn
from .records import Accepted, ApprovalAsked, Ended, NotSteered, Resumed, Rewound, Snapshot, ToolsStarted
from .remembered import NOTHING_REMEMBERED, Remembered
from .shape import WHOLE, Shape
from .state import ConversationState, rules_of
from .steps import (
    INPUTS,
    Begin,
    Commands,
    Completed,
    CompletionFailed,
    Condensed,
    Decided,
    Fail,
    HandoffReturned,
    Stopped,
    ToolReturned,
)


class ReplayStep(NamedTuple):
    """One recorded event, and what it means where it stands.

    Args:
        number: which event of the conversation, counted from 1.
        event: what was recorded.
        run: the id of the run that it belongs to; empty where it belongs to none.
        before, after: the turn on both sides of it.
        commands: what the turn machine wants done then, by the rules that were recorded: limits, and the tools that
            the caller runs. Whether a call was a tool's or a handoff the record does not say; it counts as a tool's.
        divergence: why the event cannot have come from what stands before it; empty if it can. What comes after one
            that could not be applied is not gone through.
        remembered: what the prompt function remembers before it.
        shape: what of the history the model is shown before it.
    """

    number: int
    event: Any
    run: str
    before: Turn
    after: Turn
    commands: Commands
    divergence: str = ""
    remembered: Remembered = NOTHING_REMEMBERED
    shape: Shape = WHOLE


def replay(events: Iterable[Any], agent: str = "", conversation: str = "") -> Iterator[ReplayStep]:
    """Go through a conversation's events.

    Args:
        events: from the first on, as the journal keeps them.
        agent, conversation: whose they are.
    """
    state = ConversationState(agent, conversation)
    accepted: set[str] = set()
    for number, event in enumerate(events, 1):
        before, run, remembered, shape = state.turn, _run_of(state, event), state.prompt, state.shape
        divergence = _divergence(state, event, accepted)
        commands: Commands = ()
        try:
            if isinstance(event, INPUTS):
                happened: Any = event
                if type(event) is Begin and event.messages is None:
                    happened = Begin(state.queue[0].messages)
                rules = rules_of(state.queue[0])
                turn, commands = advance(before, happened, rules)
                state.begun = True
                state.stepped(turn, commands, event)
            else:
                state.apply(event)
                if type(event) is Resumed:
                    commands = outstanding(state.turn, rules_of(state.queue[0]))
        except (TypeError, LookupError, ValueError) as error:
            wrong = divergence or f"it cannot be applied: {type(error).__name__}: {error}"
            yield ReplayStep(number, event, run, before, before, (), wrong)
            return
        yield ReplayStep(number, event, run, before, state.turn, commands, divergence, remembered, shape)


def _run_of(state: ConversationState, event: Any) -> str:
    if type(event) is Accepted:
        return event.run.id
    if type(event) is Ended:
        return event.run
    if type(event) in (NotSteered, Rewound, Snapshot):
        return ""
    return state.queue[0].id if state.queue else ""


def _divergence(state: ConversationState, event: Any, accepted: set[str]) -> str:
    """Why an event cannot come next; empty if it can."""
    kind = type(event)
    if kind is NotSteered:  # it concerns whoever came too late, and no run
        return ""
    if kind is Accepted:
        accepted.add(event.run.id)
        known = any(run.id == event.run.id for run in state.queue)
        return f"run {event.run.id} is accepted a second time" if known else ""
    if kind is Snapshot or kind is Rewound:
        if state.begun:
            return f"{kind.__name__} comes while run {state.queue[0].id} is under way"
        if kind is Rewound and event.messages > len(state.turn.history):
            return f"it keeps {event.messages} messages, and there are {len(state.turn.history)}"
        return ""
    if kind is Ended:
        return _end_diverges(state, event, accepted)
    if not state.queue:
        return f"{kind.__name__} comes while no run is under way"
    return _step_diverges(state, event)


def _step_diverges(state: ConversationState, event: Any) -> str:
    kind, turn, run = type(event), state.turn, state.queue[0].id
    if kind is Begin:
        return f"run {run} begins a second time" if state.begun else ""
    if not state.begun:
        return f"{kind.__name__} comes before run {run} has begun"
    if turn.phase == "ended":
        return f"{kind.__name__} comes after the turn of run {run} has ended" if kind is not Resumed else ""
    if kind in (Completed, CompletionFailed, Condensed, Stopped):
        return "" if turn.phase == "completing" else f"{kind.__name__} comes while calls have no result yet"
    named: tuple[str, ...] = ()
    if kind in (ToolReturned, HandoffReturned, Decided):
        named = (event.call_id,)
    elif kind is ToolsStarted:
        named = event.call_ids
    elif kind is ApprovalAsked:
        named = (event.call_id,)
    elif kind in INNER:
        named = (outer_of(event.call_id) if kind is InnerCalled else event.call_id,)
    open_calls = _open_calls(turn)
    if state.inner is not None:
        open_calls += state.inner.ids()
    strange = [call for call in named if call not in open_calls]
    if strange:
        there = ", ".join(open_calls) or "none"
        return f"{kind.__name__} is about the call {strange[0]!r}, which is not open; there are: {there}"
    return ""


def _end_diverges(state: ConversationState, event: Ended, accepted: set[str]) -> str:
    queue = state.queue
    if all(run.id != event.run for run in queue):
        # Cancelled before it began, it may have been ended by two at once: the first end counts.
        twice = event.run in accepted and event.error is not None
        return "" if twice else f"run {event.run} ends, and is not under way"
    if queue[0].id != event.run or not state.begun:
        return ""
    verdict = state.verdict
    if isinstance(verdict, Fail) and event.error is None:
        failed = type(verdict.error).__name__
        return f"run {event.run} has an answer, and the recorded steps end it in {failed}: {verdict.error}"
    if state.turn.phase != "ended" and event.error is None:
        return f"run {event.run} has an answer, and its last step is not over"
    return ""


def _open_calls(turn: Turn) -> list[str]:
    if turn.message is None:
        return []
    return [call.id for call, result in zip(turn.message.tool_calls, turn.results, strict=True) if result is None]
