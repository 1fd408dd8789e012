"""Showing a model less of a long conversation: what its strategy wants, and what a vendor asks for that says it is too
long.

What is shown changes by an event of the journal, before the model is asked; so it is the same after a crash, and a
summary is made once.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ......providers.errors import ContextTooLong, NoProvider
from ......providers.messages import Completion, Request
from .....core.base.send_context import active as active_context
from .....core.mail.future import Future
from ....answer import NO_USAGE
from ....context import UsageRecord
from ....errors import AgentError, ContextOverflow, RunFailed, named, said
from ....events import ContextReduced
from ....memory.context.strategy import ContextStrategy, DropToolOutput, KeepAll, Window
from ....memory.context.summary import summary_of
from ....memory.context.view import ContextView
from ....turns.history import problems
from ....turns.shape import shown
from ....turns.steps import Condensed
from ..calling import raised_by
from ..reports import SummaryArrived
from ..session import Happened, Session
from ..showing import size_of, strategy_of

MOST_REFUSALS: Final = 3
"""Times that a step is asked for again with less because a vendor says that it is too long."""
MOST_CHANGES: Final = 8
"""Times that a strategy may change what is shown before one completion: one that never has enough would not end."""
AFTER_OVERFLOW: Final[ContextStrategy] = DropToolOutput() | Window()
"""What is done once a vendor says that a conversation is too long, where nobody has said anything."""


def condensed(session: Session, request: Request, happened: Happened) -> bool:
    """Have less shown, if the strategy wants it: whether it does. Then the model is asked once that is recorded.

    Args:
        session: the run.
        request: what the model would be asked now.
        happened: takes what happened.

    Raises:
        RunFailed: the strategy raised, or what it wants cannot be.
    """
    strategy = strategy_of(session)
    if strategy is None or session.shows_own or session.changes >= MOST_CHANGES:
        return False
    size = size_of(session)
    turn = session.state.turn
    view = size.view(turn.history, turn.start, request, session.failed, forced=False)
    return _changed(session, strategy, view, request, happened, f"{strategy!r}")


def refused_as_too_long(error: Exception) -> ContextTooLong | None:
    """What a vendor says who finds the conversation too long; where a pool has asked several, the one that takes most.
    None if that is not what went wrong."""
    if isinstance(error, ContextTooLong):
        return error
    causes = error.causes.values() if isinstance(error, NoProvider) else ()
    said_so = [cause for cause in causes if isinstance(cause, ContextTooLong)]
    return max(said_so, key=lambda cause: cause.allowed or 0, default=None)


def too_long(session: Session, error: ContextTooLong, happened: Happened) -> ContextOverflow | None:
    """Have less shown because a vendor has said that it is too long.

    Returns:
        None where that is done, otherwise the error in which the run ends.
    """
    strategy = strategy_of(session) or AFTER_OVERFLOW
    request = session.request
    if session.shows_own or isinstance(strategy, KeepAll) or request is None:
        return _overflow(error, "its strategy, or its prompt function, shows all there is; leave something out")
    if session.refusals >= MOST_REFUSALS:
        return _overflow(error, f"it was asked for with less {MOST_REFUSALS} times")
    session.refusals += 1
    size, turn, state = size_of(session), session.state.turn, session.state
    size.follow(turn.history, state.shape)
    size.view(turn.history, turn.start, request, session.failed, forced=True)  # counts what was sent
    size.refused(error.used, error.allowed)
    view = size.view(turn.history, turn.start, request, session.failed, forced=True)
    try:
        if _changed(session, strategy, view, request, happened, "the vendor says that it is too long"):
            return None
    except RunFailed as failed:
        return _overflow(failed, "")
    return _overflow(
        error, f"nothing more can be left out by {strategy!r}; of single long messages ChunkLong shows parts"
    )


def _overflow(error: Exception, why: str) -> ContextOverflow:
    text = f"the conversation is too long for the model: {said(error)}"
    overflow = ContextOverflow(f"{text} ({why})" if why else text)
    overflow.__cause__ = error
    return overflow


def _changed(
    session: Session, strategy: ContextStrategy, view: ContextView, request: Request, happened: Happened, why: str
) -> bool:
    try:
        wanted: Any = strategy.apply(view)
    except AgentError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may be the user's
        raise raised_by(f"the context strategy of {session.prepared.name}", error) from error
    if not isinstance(wanted, ContextView):
        raise RunFailed(
            f"the context strategy of {session.prepared.name} returned {type(wanted).__name__}, not a ContextView"
        )
    if wanted.shape == view.shape:
        return False
    wrong = problems([message for message in shown(view.history, wanted.shape) if message.role != "system"])
    if wrong:
        raise RunFailed(f"the context strategy of {session.prepared.name} tears the conversation apart: {wrong[0]}")
    session.changes += 1
    if wanted.wanted is None:
        _record(session, view, wanted, Condensed(wanted.shape, used=session.used()), why, happened)
    else:
        _summarize(session, view, wanted, request, why)
    return True


def _record(
    session: Session, before: ContextView, after: ContextView, event: Condensed, why: str, happened: Happened
) -> None:
    if event.shape is not before.shape or event.cost or event.usage is not NO_USAGE:
        session.emit(
            ContextReduced,
            step=session.state.turn.steps + 1,
            before=before.tokens,
            after=after.tokens,
            left_out=len(after.history) - after.shown,
            summarized=event.shape.summary != before.shape.summary,
            usage=event.usage,
            cost=event.cost,
            reason=why,
        )
    session.condensed = len(session.state.turn.history)
    happened(session, event)


def _summarize(session: Session, before: ContextView, after: ContextView, request: Request, why: str) -> None:
    """Have the model make the summary that a strategy wants."""
    wanted, model = after.wanted, session.model
    assert wanted is not None
    assert model is not None
    token = active_context.set(session.send_context)
    ask = session.ask = model.ask(wanted.by.request(after, wanted, request.model))
    active_context.reset(token)
    ask.when_done(partial(_when_made, session, before, after, why))


def _when_made(session: Session, before: ContextView, after: ContextView, why: str, ask: Future[Completion]) -> None:
    if not ask.cancelled():
        session.send(SummaryArrived(session, before, after, why, ask))


def summary_arrived(message: SummaryArrived, happened: Happened) -> None:
    """Take a summary, or go on without it."""
    session, before, after, why, outcome = message
    session.ask = None
    completion: Completion | None = None
    wanted = after.wanted
    assert wanted is not None
    try:
        given: Any = outcome.result()
        completion = given if isinstance(given, Completion) else None
        if completion is None:
            raise RunFailed(f"the model's actor answered {type(given).__name__}, not a Completion")
        text = summary_of(completion)
    except Exception as error:
        session.failed = (*session.failed, wanted.by)
        note = f"the conversation could not be summarized: {named(error)}"
        event, after = Condensed(before.shape, used=session.used(), notes=(note,)), before
    else:
        after = after.summarized(text)
        event = Condensed(after.shape, used=session.used())
    if completion is not None:
        event = event._replace(
            usage=completion.usage,
            cost=completion.cost or 0.0,
            model=completion.model,
            provider=completion.provider,
        )
        session.context.usage.append(
            UsageRecord(session.run.agent, completion.model, completion.provider, completion.usage, completion.cost)
        )
    _record(session, before, after, event, why, happened)
