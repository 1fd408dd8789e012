"""What a run ends in: its answer, or an error by name."""

from __future__ import annotations

from typing import Final

from .....providers.errors import NoProvider
from ...errors import OutcomeUnknown, RunError, RunFailed, TimeLimit, named
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


def out_of_time(session: Session) -> TimeLimit:
    """The named error of a run whose time is up: what it was waiting for, and why that did not come."""
    seconds = session.rules.limits.seconds
    if session.finalizing is not None:
        return TimeLimit(f"a finalize hook has not returned within {seconds:g} seconds; raise limits.seconds")
    awaited, causes = _awaited(session)
    what = f"no answer within {seconds:g} seconds" + (f": it waited for {awaited}" if awaited else "")
    if not causes:
        return TimeLimit(f"{what}; raise limits.seconds")
    why = "; ".join(f"{name}: {named(cause)}" for name, cause in causes.items())
    error = TimeLimit(f"{what}, and no provider answered ({why})")
    error.__cause__ = NoProvider(f"no provider answered in time: {why}", causes=causes)
    return error


def _awaited(session: Session) -> tuple[str, dict[str, BaseException]]:
    """What a run waits for, in words, and the last error of each provider that it has had."""
    register, turn = session.runtime.register, session.state.turn
    agents: list[str] = []
    causes: dict[str, BaseException] = {}
    for delegation in session.delegations.values():
        agents.append(delegation.run.agent)
        entry = register.get(delegation.run.id)
        if entry is not None and entry.session is not None:
            causes |= _awaited(entry.session)[1]
    calls = zip(turn.message.tool_calls, turn.results, strict=True) if turn.message is not None else ()
    tools = [call.name for call, result in calls if result is None and call.id not in session.delegations]
    if session.ask is not None and not (agents or tools):
        request = session.shown.request
        model = request.model if request is not None else ""
        return f"the model {model!r:.80}" if model else "its model", dict(session.causes)
    names = [f"the agent {name}" for name in agents] + [f"the tool {name}" for name in tools]
    return ", ".join(dict.fromkeys(names)), causes


def not_known(outcome: Outcome) -> Outcome:
    """What is told of an outcome that the store has not taken for a long time."""
    error = OutcomeUnknown(
        f"run {outcome.run} has ended, but the journal could not be written within {PATIENCE:g} seconds; "
        "ask again with the same run_id to learn its outcome"
    )
    error.partial = outcome.answer
    return outcome._replace(error=error)
