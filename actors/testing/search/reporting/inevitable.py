"""From which event on a failure could not be avoided any more: by branching off the failing run.

A prefix of the run's choices is taken again and then other schedules go on from there. Where they all fail, the race is
lost already; a binary search finds the shortest such prefix. It is no proof: a schedule that was not tried may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..running.run import Run

CONTINUATIONS = 20
"""Schedules that must fail before a failure is called inevitable."""
_PROBES = 5
"""Those that must while it is looked for."""
_BUDGET = 60_000
"""Steps of the loop that may be spent."""


@dataclass(frozen=True, slots=True)
class Inevitable:
    """When a failure became inevitable.

    Args:
        event: the first event of the trace after the choice that made it so; 0 if it always was.
        tried: how many schedules went on from there; all failed.
    """

    event: int
    tried: int


def inevitable(run: Run, attempt: Callable[[Sequence[int], int], Run]) -> Inevitable | None:
    """Return from where on every schedule that was tried failed; None where that is not known.

    Args:
        run: the failing run, told.
        attempt: runs the first choices of the run and then the schedule of that number.
    """
    ended = len(run.trace)  # what was chosen afterwards only stopped the system
    picks = [pick for pick, event in zip(run.picks, run.picked_at, strict=True) if event < ended]
    left = _BUDGET

    def fails(count: int, seeds: range) -> bool | None:
        nonlocal left
        for seed in seeds:
            if left < 0:
                return None
            other = attempt(picks[:count], seed)
            left -= other.steps
            if other.ok:
                return False
        return True

    low, high = 0, len(picks)  # fewer than `low` choices leave a way out; `high` leave none
    known = None
    while low < high:
        middle = (low + high) // 2
        lost = fails(middle, range(_PROBES)) and fails(middle, range(_PROBES, CONTINUATIONS))
        if lost is None:
            break
        if lost:
            high = known = middle
        else:
            low = middle + 1
    if known is None:
        return None
    return Inevitable(run.picked_at[known - 1] if known else 0, CONTINUATIONS)
