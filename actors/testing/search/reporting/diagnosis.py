"""What is made of a run that failed: it is run again, counted into holds, made small, and reported with a token."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence

from ...errors import Nondeterministic
from ...schedules import sampling
from ...schedules.plan import Hold, Interrupt, Prefix, Recorded
from ...trace.rendering import shown
from ...trace.trace import Parting
from .. import token
from ..coverage import Coverage
from ..coverage import counted as counted_of
from ..drawn import example
from ..frames import own
from ..running.run import Run
from ..running.runner import Runner
from ..settings import settings
from .failed import SimulationFailed
from .inevitable import inevitable
from .report import LAST_EVENTS, differs, report
from .shrink import Budget, shrink

_FEW = 2
"""Deviations at which a report is small enough not to look for a smaller one."""
_STEPS = 150_000
"""Steps of the loop that making small may cost: one to two seconds of CPU."""
_OTHER_SEEDS = 200
_OTHER_STARTS = 5


def diagnose(runner: Runner, run: Run, found: str, covered: Coverage, *, read: bool) -> SimulationFailed:
    """Return the failure to raise.

    Args:
        runner: runs the scenario again.
        run: the run that failed.
        found: how it was found.
        covered: what the search had covered by then.
        read: whether somebody reads it: it is made small then, and told.

    Raises:
        Nondeterministic: it did not fail again, or in another way.
    """
    schedules = runner.runs
    counted, parting = _count(runner, run)
    history = f"found with {found}, schedule {schedules} ({covered.kinds()})"
    if read:
        before = counted.deviations
        smallest = _smallest(runner, counted)
        # Where runs differ, a plan may have failed by luck: it has to fail once more.
        again = smallest if parting is None else runner.plan(smallest.holds, smallest.faults)
        if again.failure == run.failure:
            counted, parting = smallest, smallest.trace.parting(again.trace) or parting
            history += f"; made small from {counted_of(before, 'deviation')} in {runner.runs - schedules} more"
        else:
            history += "; not made small, because smaller schedules do not fail each time"
    counted.coverage = covered
    return failed(runner, counted, history, schedules, parting, read=read)


def failed(
    runner: Runner, run: Run, history: str, schedules: int, parting: Parting | None, *, read: bool
) -> SimulationFailed:
    """Return the failure of a run whose holds are counted, with its report and token.

    Args:
        runner, run: the run, and what runs the scenario again.
        history: how it was found.
        schedules: how many schedules ran until then.
        parting: where another run of the same schedule parts from this one.
        read: whether somebody reads it: the run is told then.
    """
    same = run.trace if parting is None else run.trace.upto(parting.index)
    prefixes = tuple(same.prefixes())
    drawn = example(settings.draws) if read else None
    text = token.Token(
        runner.name, runner.order, run.holds, runner.moved(run), prefixes, parting is None, drawn
    ).encode()
    lost = None
    if read:
        covered, run = run.coverage, runner.told(run, parting)
        run.coverage = covered
        if parting is None and run.picked_at:
            lost = inevitable(run, functools.partial(_branch, runner, run))
    if run.error is not None:
        own(run.error)
    return SimulationFailed(report(run, history, text, parting, lost, drawn), run, text, schedules, lost)


def _branch(runner: Runner, run: Run, picks: Sequence[int], seed: int) -> Run:
    """Run the first choices of a run, and then another schedule."""
    return runner.run(Prefix(picks, sampling.schedule("mix", seed)), faults=run.faults)


def _smallest(runner: Runner, failing: Run) -> Run:
    """Make a failing plan small. If much is left of it, start again from other schedules that fail likewise:
    what delta debugging leaves of one may be less than what it leaves of another."""
    budget = Budget(_STEPS)
    best = shrink(runner.plan, failing, budget, fixed=runner.fixed)
    cost = _STEPS - budget.left
    starts = 0
    for seed in range(_OTHER_SEEDS):
        # One that could not be made as small for what is left is not begun.
        if best.deviations - len(runner.fixed) <= _FEW or starts == _OTHER_STARTS or budget.left < cost:
            break
        faults = (*runner.fixed, *runner.moved(best))
        other = runner.run(sampling.schedule("mix", seed), faults=faults)
        budget.take(other)
        if other.failure == failing.failure:
            starts += 1
            with contextlib.suppress(Nondeterministic):
                shrunk = shrink(runner.plan, _count(runner, other)[0], budget, fixed=runner.fixed)
                best = min(best, shrunk, key=lambda run: run.deviations)
    return best


def _count(runner: Runner, run: Run) -> tuple[Run, Parting | None]:
    """Run the same schedule again as a plan of holds.

    Returns:
        a run of it that failed alike, and where the runs part, if their traces are not the same.

    Raises:
        Nondeterministic: it did not fail again, or in another way.
    """
    again, holds = run, list[Hold | Interrupt]()
    if any(run.picks) or run.interrupts:
        recorded = Recorded(run.picks, run.interrupts)
        again = runner.run(recorded, faults=run.faults)
        _check_alike(run, again)
        holds = recorded.holds
        again.holds = tuple(holds)
    planned = runner.plan(holds, run.faults)
    if again is run:
        _check_alike(run, planned)
    partings = [parting_of(run, again), parting_of(again, planned)]
    first = min((parting for parting in partings if parting is not None), key=lambda it: it.index, default=None)
    return planned if planned.failure == run.failure else again, first


def _check_alike(run: Run, again: Run) -> None:
    if run.failure == again.failure:
        return
    parting = parting_of(run, again)
    assert parting is not None
    raise Nondeterministic(
        f"a schedule failed with {shown(run.error)}, and when it ran again it "
        f"{'did not fail' if again.ok else f'failed with {shown(again.error)}'}.\n\n"
        f"trace of the failure ({len(run.trace)} events):\n{run.trace.text(last=LAST_EVENTS)}\n\n"
        + "\n".join(differs(parting))
    ) from run.error


def parting_of(run: Run, again: Run) -> Parting | None:
    """Return where two runs of one schedule part; their ends count too."""
    found = run.trace.parting(again.trace)
    if found is None and run.failure != again.failure:
        return Parting(len(run.trace), f"the end, with {shown(run.error)}", f"the end, with {shown(again.error)}")
    return found
