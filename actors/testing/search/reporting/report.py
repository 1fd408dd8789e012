"""The report of a failure, for people."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ....core.base.errors import text_of
from ...errors import SimulationError, UnhandledFailure
from ...faults.faults import describe
from ...trace.rendering import printable
from ...trace.trace import Parting
from ..drawn import Example
from ..frames import where
from ..running.run import Run
from ..settings import settings
from .inevitable import Inevitable

LAST_EVENTS = 60
"""Lines of the trace, from its end."""
LONGEST_MESSAGE = 4_000
"""Characters of a failure's own words."""


def report(
    run: Run,
    history: str,
    token: str,
    parting: Parting | None = None,
    lost: Inevitable | None = None,
    drawn: Example | None = None,
) -> str:
    """Return the report.

    Args:
        run: the failing run.
        history: how it was found.
        token: replays it.
        parting: where another run of the same schedule, which failed alike, parts from this one.
        lost: from where on the failure was inevitable.
        drawn: what Hypothesis had drawn for it.
    """
    deviations = [*map(str, run.holds), *map(describe, run.faults)]
    schedule = "schedule: the oldest ready first"
    if deviations:
        schedule += ", except:"
    text = "\n".join(
        [
            *_what(run.error),
            "",
            schedule,
            *(f"  {deviation}" for deviation in deviations),
            "",
            f"trace ({len(run.trace)} events, {run.time:.3f} virtual seconds, {run.steps} steps):",
            run.trace.text(last=LAST_EVENTS, fold=True, mark=None if lost is None else (lost.event, mark(lost))),
            "",
            *([] if parting is None else [*differs(parting), ""]),
            *_one_step(run.atomic),
            f"{history}.",
            f'replay: simulate(scenario, replay="{token}"){"" if drawn is None else f" under {drawn}"}',
            *([f"    or: pytest --sim-replay={token}{_test()}"] if drawn is None or drawn.test else []),
        ]
    )
    return printable(text)


def mark(lost: Inevitable) -> str:
    """Say of a place in the trace that the failure was inevitable from there on."""
    tried = f"every schedule tried failed ({lost.tried} of {lost.tried})"
    return f"from event {lost.event} on, {tried}" if lost.event else f"from the start, {tried}"


def _one_step(atomic: Sequence[str]) -> list[str]:
    return [f"ran as one step, there is no switch point in it: {', '.join(atomic)}", ""] if atomic else []


def differs(parting: Parting) -> list[str]:
    """Say that and where two runs of one schedule are not the same."""
    return [
        f"This trace is not the same in every run of its schedule. Event {parting.index} was",
        f"  {parting.first}",
        "and, when the schedule ran again,",
        f"  {parting.second}",
        "Something outside the simulation decides: a counter that outlives a run, id(), the order of a set.",
    ]


def _what(error: BaseException | None) -> list[str]:
    if error is None:
        return ["no failure"]
    if isinstance(error, BaseExceptionGroup):
        lines = [f"{type(error).__name__}: {error.message}"]
        return lines + [f"  {line}" for inner in error.exceptions for line in _what(inner)]
    said = text_of(error)
    more = f"… ({len(said) - LONGEST_MESSAGE:,} more characters)" if len(said) > LONGEST_MESSAGE else ""
    lines = [f"{type(error).__name__}: {said[:LONGEST_MESSAGE]}{more}"]
    if isinstance(error, UnhandledFailure) and error.__cause__ is not None:
        error = error.__cause__
    if (place := where(error)) and not isinstance(error, SimulationError):
        lines.append(f"  {place}")
    return lines


def _test() -> str:
    return f" {shlex.quote(settings.test)}" if settings.test else ""
