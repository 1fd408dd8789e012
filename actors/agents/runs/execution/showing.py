"""What of its conversation a run's model is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .....providers.messages import Message, Request
from ...memory.context.size import ContextSize
from ...memory.context.strategy import ContextStrategy
from ...memory.context.view import ContextView
from ...turns.shape import WHOLE
from .session import Session


class Change(NamedTuple):
    """Less is to be shown.

    Args:
        request: what the model would be asked before it is.
        before, after: what is shown, and what is to be shown.
        reason: why.
    """

    request: Request
    before: ContextView
    after: ContextView
    reason: str


def strategy_of(session: Session) -> ContextStrategy | None:
    """What the run, or its agent, says is to be shown; None where neither does."""
    entry = session.entry
    if entry is not None and entry.context is not None:
        return entry.context
    return session.base.agent.context


def shown_history(session: Session, strategy: ContextStrategy | None) -> Sequence[Message]:
    """What of the history the model is shown.

    Args:
        session: the run.
        strategy: see `strategy_of`.
    """
    state = session.state
    history = state.turn.history
    if session.shown.own or (strategy is None and state.shape is WHOLE):
        return history
    return size_of(session).follow(history, state.shape)


def size_of(session: Session) -> ContextSize:
    """How large the conversation is, as far as it was counted."""
    state = session.state
    if state.size is None:
        state.size = ContextSize()
    size: ContextSize = state.size
    return size
