"""Hooks that look at a run's outcome before it is told, and for how long they may."""

from __future__ import annotations

from typing import Final

from ...errors import AgencyClosed, AgentError, GuardrailTripped, RunCancelled, RunError, TimeLimit
from ...turns.outcome import Outcome
from ..runtime.runtime import CANCEL_GRACE
from .reports import Finalized
from .session import Session, TimeLimitReached

JOB: Final = ""
"""Under which they are among the session's jobs; no call has that id."""


def finalize(session: Session, outcome: Outcome) -> None:
    """Let hooks look at the outcome. They have some seconds for one that was stopped."""
    session.finalizing = outcome
    session.jobs[JOB] = session.actor.pipe(_looked_at(session, outcome), lambda result: Finalized(session, result))
    if isinstance(outcome.error, RunCancelled | AgencyClosed | TimeLimit):
        session.stopwatch.ring_after(CANCEL_GRACE, session.send, TimeLimitReached(session))


def cut_short(session: Session, outcome: Outcome, error: AgentError) -> Outcome:
    """What a run ends in whose hooks are waited for no more. An answer that they have not let pass is only what was
    done: a guardrail may be among them. An error that was there stays.

    Args:
        session: of the run.
        outcome: as they were to see it.
        error: why they are not waited for.
    """
    session.finalizing = None
    session.jobs.pop(JOB).cancel()
    if isinstance(error, RunError):
        error.partial = outcome.answer
    return outcome._replace(error=outcome.error or error)


async def _looked_at(session: Session, outcome: Outcome) -> Outcome:
    try:
        said = () if outcome.owner else outcome.answer.messages[session.state.turn.start :]
        context = await session.hooked("finalize", answer=outcome.answer, error=outcome.error, messages=said)
    except GuardrailTripped as error:
        error.partial = outcome.answer
        return outcome._replace(error=outcome.error or error)
    if context.answer is None or context.answer is outcome.answer:
        return outcome
    return outcome._replace(answer=context.answer, derived=False)
