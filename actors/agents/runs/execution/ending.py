"""What a run ends in: its answer, or an error by name."""

from __future__ import annotations

from typing import Final

from ...errors import OutcomeUnknown, RunError, RunFailed, named
from ...turns.loop.turn import Turn
from ...turns.outcome import Outcome, finished
from ...turns.steps import Fail, Finish, Input
from .session import Session

MAX_CRASHES: Final = 3
"""Crashes at one and the same step after which the run is given up: more of them would not help."""

MAX_RESUMED: Final = 20
"""Times a run is taken up, by this process or others, without getting a step further, before it is given up."""

PATIENCE: Final = 10.0
"""Seconds that a run's end may take to be written down before its caller is told that it is not known."""


def outcome_of(session: Session, turn: Turn, verdict: Finish | Fail, happened: Input | None = None) -> Outcome:
    """How a run has ended whose turn has."""
    owner, agent, value = session.handed_over(happened)
    seconds = session.time() - session.started
    outcome = finished(session.run, turn, verdict, seconds, agent=agent, value=value)
    return outcome._replace(owner=owner) if owner is not None else outcome


def given_up(session: Session) -> RunFailed | None:
    """Why a run is not tried again that has got no step further for so long; None where it is."""
    crashes, cause = session.runtime.crashes.get(session.stream, (0, None))
    resumed = session.state.resumed
    if crashes <= MAX_CRASHES and resumed <= MAX_RESUMED:
        return None
    last = f", the last time on {named(cause)}" if cause is not None else ""
    error = RunFailed(f"the conversation crashed {max(crashes, resumed)} times at one step{last}; given up")
    error.__cause__ = cause
    return error


def failed(error: BaseException) -> RunError:
    """The named error of a run in which something raised that ought not to."""
    if isinstance(error, RunError):
        return error
    named_error = RunFailed(named(error))
    named_error.__cause__ = error
    return named_error


def not_known(outcome: Outcome) -> Outcome:
    """What is told of an outcome that the store has not taken for a long time."""
    error = OutcomeUnknown(
        f"run {outcome.run} has ended, but the journal could not be written within {PATIENCE:g} seconds; "
        "ask again with the same run_id to learn its outcome"
    )
    error.partial = outcome.answer
    return outcome._replace(error=error)
