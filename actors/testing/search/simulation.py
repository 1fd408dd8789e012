"""`simulate`: search for a schedule under which a scenario fails, make it small, and report it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import random
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import Nondeterministic, SimulationError, TimingRefused, TokenRefused
from ..faults.drawing import Chances, chances, is_settled, place, settle
from ..faults.faults import Crash, Fault, check_kind
from ..faults.struck import nothing, unstruck, why
from ..loop.lanes import Schedule
from ..loop.loop import Order
from ..loop.timing import Timing, Variation
from ..schedules import sampling
from ..schedules.plan import Hold, Interrupt, Plan, Recorded
from ..schedules.sampling import Fifo
from ..trace.invariants import Invariant
from ..trace.trace import Parting
from . import token
from .failed import SimulationFailed
from .frames import own
from .inevitable import Branch, inevitable
from .report import LAST_EVENTS, differs, report
from .run import Run, execute, reproducible
from .scenario import Scenario, takes_simulation
from .settings import settings
from .shrink import shrink

_COLLECT_EVERY = 32
"""Runs between two collections of young garbage: the collector itself is off, so that it never comes in the middle."""


_FEW = 2
"""Deviations at which a report is small enough not to look for a smaller one."""
_OTHER_SEEDS = 200
_OTHER_STARTS = 5


def simulate(
    scenario: Scenario,
    *,
    seeds: int | Iterable[int] = 20,
    strategy: str = "mix",
    faults: Sequence[Fault] = (),
    invariants: Sequence[Invariant] = (),
    replay: str | None = None,
    max_steps: int = 20_000,
    order: Order = "contract",
    timing: Timing | None = None,
) -> Run:
    """Run a scenario under the ordinary schedule and then under many others, until one fails.

    Args:
        scenario: ``async def scenario(sim)``, given a `Simulation` with a started system; or a coroutine function
            without arguments that starts what it needs. It is called once a schedule and must start afresh each time.
        seeds: how many schedules to try, or which.
        strategy: ``mix``, ``pct``, ``pos``, ``uniform``, or ``fifo`` (only faults vary).
        faults: what may go wrong; see the page, or `callboard.actors.testing.faults.faults`.
        invariants: what must hold for each run's trace, beside the runtime's own promises.
        replay: a token; only that schedule is run.
        max_steps: steps of the loop after which a run counts as a livelock.
        order: ``contract``: any schedule the ordering contract allows. ``asyncio``: only that of a stock loop.
        timing: what may vary about time; None has it pass only where nothing can run.

    Returns:
        the last run, which did not fail.

    Raises:
        SimulationFailed: a schedule under which the scenario raises, an invariant breaks, or nothing can go on.
        FaultRefused: something in ``faults`` is no fault.
        FaultStruckNothing: a fault struck nothing in any schedule, and is not ``optional``.
        Nondeterministic: a schedule failed, and when it ran again it did not, or failed otherwise.
        TimingRefused: ``timing`` is no `Timing`.
        SimulationError: an event loop is running here already.
        TokenRefused: the token belongs to another scenario, or to another version of the code or workload.
    """
    if asyncio._get_running_loop() is not None:
        raise SimulationError("simulate() runs a loop of its own: call it from an ordinary test, not from an async one")
    faults = tuple(faults)
    for fault in faults:
        check_kind(fault)
    if timing is not None and not isinstance(timing, Timing):
        raise TimingRefused(f"timing={timing!r}: it is a Timing")
    search = _Search(scenario, faults, tuple(invariants), max_steps, order, timing)
    try:
        with reproducible():
            return _simulate(search, seeds, strategy, replay)
    except SimulationError as error:
        __tracebackhide__ = True  # pytest shows the test, which called this
        raise error.with_traceback(None) from error.__cause__


def _simulate(search: _Search, seeds: int | Iterable[int], strategy: str, replay: str | None) -> Run:
    if replay is not None:
        return search.replay(token.Token.decode(replay))
    if settings.replay is not None:
        try:
            run = search.replay(token.Token.decode(settings.replay))
        except TokenRefused as refused:
            settings.refused.append(refused)  # perhaps another simulation of this test is the one
            return search.run(Fifo())
        settings.replayed = True
        return run
    if settings.seeds is not None:
        seeds = settings.seeds
    return search.search(range(seeds) if isinstance(seeds, int) else seeds, strategy)


class _Search:
    def __init__(
        self,
        scenario: Scenario,
        faults: tuple[Fault, ...],
        invariants: tuple[Invariant, ...],
        max_steps: int,
        order: Order,
        timing: Timing | None,
    ) -> None:
        self.scenario = scenario
        self.name = token.scenario_name(scenario)
        self.faults = faults
        self.fixed = tuple(filter(is_settled, faults))
        # After the handler: so the ordinary run still shows where it waits, and may crash in it.
        self.ordinary = tuple(settle(fault, fault.nth, "after") for fault in faults if fault.nth is not None)
        self.invariants = invariants
        self.max_steps = max_steps
        self.order = order
        self.timing = timing
        self.argument = takes_simulation(scenario)
        self.runs = 0

    def run(
        self,
        schedule: Schedule | None,
        holds: Sequence[Hold | Interrupt] = (),
        faults: Sequence[Fault] | None = None,
        tell: bool = False,
    ) -> Run:
        self.runs += 1
        if not self.runs % _COLLECT_EVERY:
            gc.collect(1)
        return execute(
            self.scenario,
            schedule,
            holds=holds,
            faults=self.ordinary if faults is None else faults,
            watched=self.faults,
            invariants=self.invariants,
            order=self.order,
            max_steps=self.max_steps,
            argument=self.argument,
            tell=tell,
            timing=self.timing,
        )

    def plan(self, holds: Sequence[Hold | Interrupt], faults: Sequence[Fault]) -> Run:
        return self.run(Plan(holds), holds, faults)

    def told(self, run: Run, parting: Parting | None) -> Run:
        """Run a failing plan once more for its report, whose trace says more; or the run itself, should that differ."""
        told = self.run(Plan(run.holds), run.holds, run.faults, tell=True)
        alike = told.failure == run.failure and (parting is not None or told.trace.parting(run.trace) is None)
        return told if alike else run

    def search(self, seeds: Iterable[int], strategy: str) -> Run:
        run = self.run(Fifo())
        if not run.ok:
            self.fail(run, "the ordinary schedule")
        counts, waits = chances(run.trace, run.found), run.waits
        struck = set(run.struck)
        tried: tuple[Fault, ...] = tuple(fault for fault in self.faults if fault.nth is not None)
        for seed in seeds:
            tried = self.faults
            faults = (
                self.faults if self.fixed == self.faults else place(self.faults, counts, waits, random.Random(~seed))
            )
            if self.timing is not None:
                faults = (*faults, *self.timing.drawn(seed))
            run = self.run(sampling.schedule(strategy, seed), faults=faults)
            if not run.ok:
                self.fail(run, f"seed {seed} ({strategy})")
            struck |= run.struck
        if tried:
            for key, count in chances(run.trace, run.found).items():
                counts[key] = max(counts[key], count)
            self.check_struck(tried, struck, counts)
        return run

    def check_struck(self, faults: Sequence[Fault], struck: set[Fault], counts: Chances) -> None:
        """Fail if a fault struck nothing, though not by chance: what leaves something open gets a sure chance first.

        Where Hypothesis draws the workload, the test as a whole is judged, at its end: a small example may well have
        nothing to strike.
        """
        drawn = _drawn() is not None
        for fault in unstruck(faults, struck):
            judged = is_settled(fault) or (drawn and fault in settings.struck)
            if not judged and counts[fault.strikes, fault.target]:
                struck |= self.struck_first(fault)
        left = {fault: why(fault, counts) for fault in unstruck(faults, struck)}
        if not drawn:
            if left:
                raise nothing(left.items(), f"any of {self.runs} schedules")
            return
        settings.struck.update(fault for fault in faults if fault not in left)
        for fault, reason in left.items():
            settings.unstruck[fault] = max((counts.total(), reason), settings.unstruck.get(fault, (-1, "")))

    def struck_first(self, fault: Fault) -> frozenset[Fault]:
        """Run the ordinary schedule with a fault at the first message that it can strike."""
        nth = 1
        while True:
            run = self.plan((), (*self.fixed, settle(fault, nth)))
            if not run.ok:
                self.fail(run, "a fault at the first message it can strike")
            waits = run.waits.get(fault.target) if isinstance(fault, Crash) and fault.when == "in" else None
            if fault.nth is not None or run.struck or not waits or min(waits) <= nth:
                return run.struck
            nth = min(waits)

    def fail(self, run: Run, found: str) -> None:
        schedules_run = self.runs
        counted, parting = self.count(run)
        history = f"found with {found}, schedule {schedules_run}"
        if _worth_shrinking():
            before = counted.deviations
            small = self.smallest(counted)
            # Where runs differ, a plan may have failed by luck: it has to fail once more.
            again = small if parting is None else self.plan(small.holds, small.faults)
            if again.failure == run.failure:
                counted, parting = small, small.trace.parting(again.trace) or parting
                history += f"; made small from {before} deviations in {self.runs - schedules_run} more"
            else:
                history += "; not made small, because smaller schedules do not fail each time"
        failure = self.failed(counted, history, schedules_run, parting)
        raise failure from failure.run.error

    def smallest(self, failing: Run) -> Run:
        """Make a failing plan small. If much is left of it, start again from other schedules that fail likewise:
        what delta debugging leaves of one may be less than what it leaves of another."""
        best, _ = shrink(self.plan, failing, fixed=self.fixed)
        starts = 0
        for seed in range(_OTHER_SEEDS):
            if best.deviations - len(self.fixed) <= _FEW or starts == _OTHER_STARTS:
                break
            faults = (*self.fixed, *self.moved(best))
            other = self.run(sampling.schedule("mix", seed), faults=faults)
            if other.failure == failing.failure:
                starts += 1
                with contextlib.suppress(Nondeterministic):
                    shrunk, _ = shrink(self.plan, self.count(other)[0], fixed=self.fixed)
                    best = min(best, shrunk, key=lambda run: run.deviations)
        return best

    def count(self, run: Run) -> tuple[Run, Parting | None]:
        """Run the same schedule again as a plan of holds.

        Returns:
            a run of it that failed alike, and where the runs part, if their traces are not the same.

        Raises:
            Nondeterministic: it did not fail again, or in another way.
        """
        again, holds = run, list[Hold | Interrupt]()
        if any(run.picks) or run.interrupts:
            recorded = Recorded(run.picks, run.interrupts)
            again = self.run(recorded, faults=run.faults)
            self.check_alike(run, again)
            holds = recorded.holds
            again.holds = tuple(holds)
        planned = self.plan(holds, run.faults)
        if again is run:
            self.check_alike(run, planned)
        partings = [_parting(run, again), _parting(again, planned)]
        first = min((parting for parting in partings if parting is not None), key=lambda it: it.index, default=None)
        return planned if planned.failure == run.failure else again, first

    def check_alike(self, run: Run, again: Run) -> None:
        if run.failure == again.failure:
            return
        parting = _parting(run, again)
        assert parting is not None
        raise Nondeterministic(
            f"a schedule failed with {run.error!r}, and when it ran again it "
            f"{'did not fail' if again.ok else f'failed with {again.error!r}'}.\n\n"
            f"trace of the failure ({len(run.trace)} events):\n{run.trace.text(last=LAST_EVENTS)}\n\n"
            + "\n".join(differs(parting))
        ) from run.error

    def failed(self, run: Run, history: str, schedules_run: int, parting: Parting | None) -> SimulationFailed:
        same = run.trace if parting is None else run.trace.upto(parting.index)
        prefixes = tuple(same.prefixes())
        text = token.Token(self.name, self.order, run.holds, self.moved(run), prefixes, parting is None).encode()
        lost = None
        if _worth_shrinking():
            run = self.told(run, parting)
            if parting is None and run.picked_at:
                lost = inevitable(run, functools.partial(self.branch, run))
        if run.error is not None:
            own(run.error)
        return SimulationFailed(report(run, history, text, parting, lost), run, text, schedules_run, lost)

    def branch(self, run: Run, picks: Sequence[int], seed: int) -> Run:
        """Run the first choices of a run, and then another schedule."""
        return self.run(Branch(picks, sampling.schedule("mix", seed)), faults=run.faults)

    def moved(self, run: Run) -> tuple[Fault, ...]:
        return tuple(fault for fault in run.faults if fault not in self.fixed)

    def replay(self, given: token.Token) -> Run:
        given.check_scenario(self.name)
        varies = () if self.timing is None else self.timing.kinds
        for fault in given.faults:
            if isinstance(fault, Variation) and fault.what not in varies:
                raise TokenRefused(f"in the token's run {fault}: replay it with a timing=Timing({fault.what}=…)")
        self.order = given.order  # type: ignore[assignment]
        run = self.plan(given.holds, (*self.fixed, *given.faults))
        given.check_trace(run.trace, run.unused)
        if not run.ok:
            settings.replayed = True
            parting = None if given.whole else _parting(run, self.plan(run.holds, run.faults))
            failure = self.failed(run, "replayed", 1, parting)
            raise failure from failure.run.error
        return run


def _parting(run: Run, again: Run) -> Parting | None:
    """Where two runs of one schedule part; their ends count too."""
    found = run.trace.parting(again.trace)
    if found is None and run.failure != again.failure:
        return Parting(len(run.trace), f"the end, with {run.error!r}", f"the end, with {again.error!r}")
    return found


def _worth_shrinking() -> bool:
    """Whether somebody will read this failure: while Hypothesis still looks for a smaller workload, nobody does."""
    context = _drawn()
    return context is None or bool(context.is_final)


def _drawn() -> Any:
    """Hypothesis' build context where it draws the workload, or None."""
    if "hypothesis" in sys.modules:
        from hypothesis import control

        with contextlib.suppress(Exception):
            if control.currently_in_test_context():
                return control.current_build_context()
    return None
