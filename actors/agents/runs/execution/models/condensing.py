"""Showing a model less of a long conversation: what its strategy wants, and what a vendor asks for that says it is too
long.

What is shown changes by an event of the journal, before the model is asked; so it is the same after a crash, and a
summary is made once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ......providers.errors import ContextTooLong, NoProvider
from ......providers.messages import Completion, Request
from .....core.base.send_context import active as active_context
from ....answer import NO_USAGE
from ....context import UsageRecord
from ....errors import ContextOverflow, RunFailed, named, said
from ....events import ContextReduced
from ....hooks import SUMMARY
from ....memory.context.strategy import ContextStrategy, DropToolOutput, KeepAll, Window
from ....memory.context.summary import summary_of
from ....memory.context.view import ContextView, Wanted
from ....turns.history import problems
from ....turns.shape import misshapen, shown
from ....turns.steps import Condensed
from ..calling import raised_by
from ..reports import SummaryArrived
from ..session import Happened, Session
from ..showing import Change, size_of, strategy_of
from ..spending import settle

MOST_REFUSALS: Final = 3
"""Times that a step is asked for again with less because a vendor says that it is too long."""
MOST_CHANGES: Final = 8
"""Times that a strategy may change what is shown before one completion: one that never has enough would not end."""
AFTER_OVERFLOW: Final[ContextStrategy] = DropToolOutput() | Window()
"""What is done once a vendor says that a conversation is too long, where nobody has said anything."""


def wanted_change(session: Session, strategy: ContextStrategy, request: Request) -> Change | None:
    """What a strategy wants before the model is asked; None if nothing.

    Args:
        session: the run.
        strategy: its.
        request: what the model would be asked now.

    Raises:
        RunFailed: the strategy raised, or what it wants cannot be.
    """
    if session.shown.own or session.shown.changes >= MOST_CHANGES:
        return None
    turn = session.state.turn
    view = size_of(session).view(turn.history, turn.start, request, session.shown.failed, forced=False)
    return _applied(session, strategy, view, request, repr(strategy))


def refused_as_too_long(error: Exception) -> ContextTooLong | None:
    """What a vendor says who finds the conversation too long; where a pool has asked several, the one that takes most.
    None if that is not what went wrong."""
    if isinstance(error, ContextTooLong):
        return error
    causes = error.causes.values() if isinstance(error, NoProvider) else ()
    said_so = [cause for cause in causes if isinstance(cause, ContextTooLong)]
    return max(said_so, key=lambda cause: cause.allowed or 0, default=None)


def change_after(session: Session, error: ContextTooLong) -> Change:
    """What is to be shown because a vendor has said that it is too long.

    Raises:
        ContextOverflow: nothing more can be left out.
    """
    strategy = strategy_of(session) or AFTER_OVERFLOW
    request = session.shown.request
    if session.shown.own or isinstance(strategy, KeepAll) or request is None:
        raise _overflow(error, "its strategy, or its prompt function, shows all there is; leave something out")
    if session.shown.refusals >= MOST_REFUSALS:
        raise _overflow(error, f"it was asked for with less {MOST_REFUSALS} times")
    session.shown.refusals += 1
    size, turn, state = size_of(session), session.state.turn, session.state
    size.follow(turn.history, state.shape)
    size.view(turn.history, turn.start, request, session.shown.failed, forced=True)  # counts what was sent
    size.refused(error.used, error.allowed)
    view = size.view(turn.history, turn.start, request, session.shown.failed, forced=True)
    why = "the vendor says that it is too long"
    try:
        change = _applied(session, strategy, view, request, why)
        if change is None:  # the run goes on, as it would without a strategy
            change = _applied(session, AFTER_OVERFLOW, view, request, why)
    except RunFailed as failed:
        raise _overflow(failed, "") from error
    if change is None:
        raise _overflow(error, "nothing more can be left out; of single long messages ChunkLong shows parts")
    return change


def _overflow(error: Exception, why: str) -> ContextOverflow:
    text = f"the conversation is too long for the model: {said(error)}"
    overflow = ContextOverflow(f"{text} ({why})" if why else text)
    overflow.__cause__ = error
    return overflow


def _applied(
    session: Session, strategy: ContextStrategy, view: ContextView, request: Request, reason: str
) -> Change | None:
    """What a strategy wants, if it wants anything else than is shown."""
    who = f"the context strategy of {session.prepared.name}"
    try:
        wanted: Any = strategy.apply(view)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may be the user's
        raise raised_by(who, error) from error
    if not isinstance(wanted, ContextView):
        raise RunFailed(f"{who} returned {type(wanted).__name__}, not a ContextView")
    if wanted.shape == view.shape:
        return None
    if wrong := _wrong(view, wanted):
        raise RunFailed(f"{who} {wrong}")
    return Change(request, view, wanted, reason)


def _wrong(view: ContextView, wanted: ContextView) -> str:
    """What is wrong with the view that a strategy has made of another one; empty if nothing is."""
    if wanted.history is not view.history:
        return "returned a view of another conversation"
    if wanted.wanted is not None and not isinstance(wanted.wanted, Wanted):
        return f"wants {type(wanted.wanted).__name__}, not a summary"
    if wrong := misshapen(view.history, wanted.shape):
        return wrong
    torn = problems([message for message in shown(view.history, wanted.shape) if message.role != "system"])
    if torn:
        return f"tears the conversation apart: {torn[0]}"
    hidden = {position for start, end in wanted.shape.left_out for position in range(start, end)}
    if any(unit.pinned and not hidden.isdisjoint(range(unit.start, unit.end)) for unit in view.units()):
        return "leaves out what is always shown: a system message, what the run was asked, or the last messages"
    return ""


def carry_out_change(session: Session, change: Change, happened: Happened) -> None:
    """Have less shown. The model is asked once that is recorded; where a summary is wanted, that is made first."""
    session.shown.changes += 1
    if change.after.wanted is None:
        _record(session, change, change.after, Condensed(change.after.shape, used=session.stopwatch.used()), happened)
        return
    token = active_context.set(session.send_context)
    session.ask = session.actor.pipe(
        _summary(session, change), lambda outcome: SummaryArrived(session, change, outcome)
    )
    active_context.reset(token)


async def _summary(session: Session, change: Change) -> Completion:
    """The completion that is a summary. Hooks see it, and what is asked for it, as they do any other."""
    wanted, model = change.after.wanted, session.model
    assert wanted is not None
    assert model is not None
    request = wanted.by.request(change.after, wanted, change.request.model)
    request = (await session.hooked("request", model_request=request, why=SUMMARY)).model_request or request
    completion: Any = await model.ask(request)
    if not isinstance(completion, Completion):
        raise RunFailed(f"the model's actor answered {type(completion).__name__}, not a Completion")
    session.bought = completion
    seen = (await session.hooked("response", model_request=request, completion=completion, why=SUMMARY)).completion
    return completion if seen is None else replace(seen, usage=completion.usage, cost=completion.cost)


def summary_arrived(message: SummaryArrived, happened: Happened) -> None:
    """Take a summary, or go on without it."""
    session, change, outcome = message
    session.ask = None
    bought, session.bought = session.bought, None
    after, wanted = change.after, change.after.wanted
    assert wanted is not None
    settle(session, happened)
    try:
        after = after.summarized(summary_of(outcome.unwrap()))
        if after.total >= change.before.total:
            raise RunFailed("the summary is no shorter than what it is of")
    except Exception as error:
        session.shown.failed = (*session.shown.failed, wanted.by)
        size_of(session).failed(wanted.by)
        note = f"the conversation could not be summarized: {named(error)}"
        after = change.before
        event = Condensed(after.shape, used=session.stopwatch.used(), notes=(note,))
    else:
        event = Condensed(after.shape, used=session.stopwatch.used())
    if bought is not None:
        event = event._replace(
            usage=bought.usage, cost=bought.cost or 0.0, model=bought.model, provider=bought.provider
        )
        session.context.usage.append(
            UsageRecord(session.run.agent, bought.model, bought.provider, bought.usage, bought.cost)
        )
    _record(session, change, after, event, happened, made=after is not change.before)


def _record(
    session: Session, change: Change, after: ContextView, event: Condensed, happened: Happened, made: bool = False
) -> None:
    before = change.before
    if event.shape is not before.shape or event.cost or event.usage is not NO_USAGE:
        session.emit(
            ContextReduced,
            step=session.state.turn.steps + 1,
            before=before.tokens,
            after=after.tokens,
            left_out=len(after.history) - after.shown,
            summarized=made or event.shape.summary != before.shape.summary,  # a new one may say the same
            usage=event.usage,
            cost=event.cost,
            reason=change.reason,
        )
    session.shown.condensed = len(session.state.turn.history)
    happened(session, event)
