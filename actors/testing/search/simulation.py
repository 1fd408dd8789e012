"""`simulate`: search for a schedule under which a scenario fails, make it small, and report it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import Nondeterministic, SimulationError, TimingRefused, TokenRefused
from ..faults.drawing import DRAWS, Chances, Drawing, chances, is_settled, settle
from ..faults.faults import Crash, Fault
from ..faults.struck import misnamed, nothing, unstruck, why
from ..loop.lanes.lanes import Schedule
from ..loop.loop import Order
from ..loop.timing import Timing, Variation
from ..schedules import sampling
from ..schedules.feedback import Feedback
from ..schedules.sampling import Fifo
from ..schedules.tree import Tree
from ..trace.invariants import Invariant
from ..trace.names import Key
from . import drawn, token
from .coverage import Coverage, Covered
from .drawn import is_read
from .processes import check, spread
from .reporting.diagnosis import diagnose, failed, parting_of
from .running.arguments import checked_seeds
from .running.behaviour import Behaviour
from .running.run import Run, check_outside, reproducible
from .running.runner import Runner
from .running.scenario import Scenario
from .settings import settings
from .stopping import deferred
from .unseen import Unseen, saw_nothing
from .verdicts import verdict

_FEW_WAYS = 2_000
"""Schedules up to which each is run once; beyond, one that comes up twice is rare and costs less than to look out."""
_PART = 64
"""Seeds that a process runs before it says how that went."""


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
    processes: int = 1,
) -> Run:
    """Run a scenario under the ordinary schedule and then under many others, until one fails.

    Args:
        scenario: ``async def scenario(sim)``, given a `Simulation` with a started system; or a coroutine function
            without arguments that starts what it needs. It is called once a schedule and must start afresh each time.
        seeds: how many schedules to try, or which.
        strategy: ``mix``, ``pct``, ``pos``, ``uniform``, or ``fifo`` (only faults vary); or ``feedback``, which goes
            back to where something new happened, for bugs behind several rare steps.
        faults: what may go wrong; see the page, or `callboard.actors.testing.faults.faults`.
        invariants: what must hold for each run's trace, beside the runtime's own promises.
        replay: a token; only that schedule is run.
        max_steps: steps of the loop after which a run counts as a livelock.
        order: ``contract``: any schedule the ordering contract allows. ``asyncio``: only that of a stock loop.
        timing: what may vary about time; None has it pass only where nothing can run.
        processes: in how many processes to search where a flow has many schedules; what is found is the same.

    Returns:
        the last run, which did not fail.

    Raises:
        SimulationFailed: a schedule under which the scenario raises, an invariant breaks, or nothing can go on.
        FaultRefused: something in ``faults`` is no fault, or makes no sense where it was to strike.
        FaultStruckNothing: a fault struck nothing in any schedule, and is not ``optional``.
        OracleSawNothing: an actor, tool, field or kind of event that an oracle names came up in no schedule.
        Nondeterministic: a schedule failed, and when it ran again it did not, or failed otherwise.
        TimingRefused: ``timing`` is no `Timing`.
        SimulationError: an event loop is running here already; or there cannot be so many processes.
        ValueError: there is no such strategy, or order, or number of seeds or steps.
        TypeError: the scenario, or an invariant, is no function.
        TokenRefused: the token belongs to another scenario, or to another version of the code or workload.
    """
    check_outside("simulate")
    sampling.check(strategy)
    check(processes)
    if processes > 1 and strategy == "feedback":
        raise SimulationError("strategy='feedback' learns from each run before the next: leave processes out")
    checked = checked_seeds(seeds if settings.seeds is None else settings.seeds)
    if timing is not None and not isinstance(timing, Timing):
        raise TimingRefused(f"timing={timing!r}: it is a Timing")
    search = Search(Runner(scenario, faults, invariants, max_steps, order, timing), strategy)
    try:
        with deferred(), reproducible():
            return _simulate(search, checked, replay, processes)
    except SimulationError as error:
        __tracebackhide__ = True  # pytest shows the test, which called this
        raise error.with_traceback(None) from error.__cause__


def _simulate(search: Search, seeds: Iterator[int], replay: str | None, processes: int) -> Run:
    if replay is not None:
        return search.replay(token.Token.decode(replay))
    if settings.replay is not None:
        return search.replay_asked(settings.replay)
    return search.search(seeds, processes)


@dataclass(slots=True)
class _Part:
    """How a part of a search went: what it covered, the faults that struck, the names that came up, and how many seeds
    passed in a row."""

    covered: Covered
    struck: set[Fault]
    seen: set[Key]
    passed: int


class Search:
    """Runs one scenario again and again, and ends with the report of the first run that fails.

    Args:
        runner: of the scenario.
        strategy: as for `simulate`.
    """

    def __init__(self, runner: Runner, strategy: str) -> None:
        self.runner = runner
        self.strategy = strategy
        self.fixed = runner.fixed
        self.covered = Covered(runner.faults)
        self.unseen = Unseen(runner.invariants)
        self.tree = Tree()
        self.feedback = Feedback() if strategy == "feedback" else None
        self.drawing = Drawing((), Counter(), {})

    def search(self, seeds: Iterator[int], processes: int) -> Run:
        runner = self.runner
        run = self.run(Fifo(), runner.ordinary)
        if not run.ok:
            self.fail(run, "the ordinary schedule")
        counts = chances(run.trace, run.found)
        self.drawing = Drawing(runner.faults, counts, run.waits)
        self.covered.know(counts, run.waits)
        struck = set(run.struck)
        # Without seeds the others strike nothing; but a name that there is not, there is not.
        tried = tuple(fault for fault in runner.faults if fault.nth is not None or misnamed(fault, counts))
        failed_elsewhere = False
        for number in seeds:
            seed, tried = number, runner.faults
            if processes > 1 and not self.looks_out and (rest := list(seeds)):
                seed, failed_elsewhere = self.spread([seed, *rest], struck, processes)
            if (following := self.following(seed)) is None:
                if not self.open:  # there is no other schedule
                    break
                continue
            run = self.run(*following)
            if not run.ok:
                self.fail(run, f"seed {seed} ({self.strategy})")
            if failed_elsewhere:
                raise Nondeterministic(f"seed {seed} failed in another process, and when it ran again it did not fail")
            struck |= run.struck
        if tried:
            for key, count in chances(run.trace, run.found).items():
                counts[key] = max(counts[key], count)
            self.check_struck(tried, struck, counts)
        self.check_names()
        return self.ended(run)

    def spread(self, seeds: list[int], struck: set[Fault], processes: int) -> tuple[int, bool]:
        """Run all seeds but the last in other processes, up to the first that fails.

        Returns:
            the seed that is still to run here, the one that failed or the last, and whether it failed.
        """
        *others, last = seeds
        size = max(1, min(_PART, len(others) // (4 * processes)))
        parts = [others[first : first + size] for first in range(0, len(others), size)]
        with contextlib.closing(spread(self.part, parts, processes)) as results:
            for part, result in zip(parts, results, strict=True):
                self.covered.join(result.covered)
                self.runner.runs += result.passed
                struck |= result.struck
                self.unseen.seen |= result.seen
                if result.passed < len(part):
                    return part[result.passed], True
        return last, False

    def part(self, seeds: list[int]) -> _Part:
        """Run seeds until one fails."""
        covered, struck = Covered(self.runner.faults), set[Fault]()
        for passed, seed in enumerate(seeds):
            following = self.following(seed)
            assert following is not None
            schedule, faults = following
            run = self.runner.run(schedule, faults=faults)
            if not run.ok:
                return _Part(covered, struck, self.unseen.seen, passed)
            covered.add(run)
            self.unseen.look(run)
            struck |= run.struck
        return _Part(covered, struck, self.unseen.seen, len(seeds))

    @property
    def open(self) -> bool:
        """Whether more than the schedule differs from run to run."""
        return self.fixed != self.runner.faults or self.runner.timing is not None

    def following(self, seed: int) -> tuple[Schedule, tuple[Fault, ...]] | None:
        """Return the schedule of a seed and its faults; None if what they lead to has been run already."""
        if self.feedback is None:
            schedule, faults = sampling.schedule(self.strategy, seed), None
        else:
            schedule, faults = self.feedback.schedule(seed)
        if faults is None or self.all_run(faults):
            faults = self.placed(seed)
        return None if faults is None else (schedule, faults)

    def placed(self, seed: int) -> tuple[Fault, ...] | None:
        """Draw what faults and time leave open, so that something is left to run."""
        timing = self.runner.timing
        varied = () if timing is None else timing.drawn(seed)

        def of_use(faults: tuple[Fault, ...]) -> bool:
            return not self.all_run((*faults, *varied))

        found: tuple[Fault, ...] | None
        if self.fixed == self.runner.faults:
            found = self.fixed if of_use(self.fixed) else None
        elif self.feedback is not None:
            found = self.drawing.least_tried(seed, of_use)
        else:
            found = next(filter(of_use, (self.drawing.of_seed(seed, again) for again in range(DRAWS))), None)
        return None if found is None else (*found, *varied)

    def run(self, schedule: Schedule, faults: tuple[Fault, ...]) -> Run:
        """Run a schedule, or where it comes to nothing new, one that parts from it there."""
        behaviour = None if self.feedback is None else Behaviour()
        if not self.looks_out:
            run = self.runner.run(schedule, faults=faults, behaviour=behaviour)
        else:
            walk = self.tree.walk(faults, schedule)
            run = self.runner.run(walk, faults=faults, behaviour=behaviour)
            if run.threaded:  # where threads are interrupted is no choice among lanes
                self.tree.sound = False
            walk.end([] if self.strategy == "fifo" else run.picks)
        self.covered.add(run)
        self.unseen.look(run)
        if self.feedback is not None and behaviour is not None:
            self.feedback.learn(behaviour.seen(run.trace), run.picks, faults)
        return run

    @property
    def looks_out(self) -> bool:
        return self.tree.sound and self.tree.ways <= _FEW_WAYS

    def all_run(self, faults: tuple[Fault, ...]) -> bool:
        return self.looks_out and self.tree.all_run(faults)

    def ended(self, run: Run) -> Run:
        run.coverage = self.count(all_run=not self.open and self.all_run(self.fixed))
        return run

    def count(self, *, all_run: bool) -> Coverage:
        """Return what the search has covered, which also counts for the summary of the tests."""
        coverage = self.covered.coverage(exhausted=all_run)
        settings.covered.append(coverage)
        return coverage

    def check_struck(self, faults: Sequence[Fault], struck: set[Fault], counts: Chances) -> None:
        """Fail if a fault struck nothing, though not by chance: what leaves something open gets a sure chance first.

        Where Hypothesis draws the workload, the test as a whole is judged, at its end: a small example may well have
        nothing to strike.
        """
        draws = drawn.context() is not None
        for fault in unstruck(faults, struck):
            judged = is_settled(fault) or (draws and fault in settings.struck)
            if not judged and counts[fault.strikes, fault.target]:
                struck |= self.struck_first(fault)
        left = {fault: why(fault, counts, struck) for fault in unstruck(faults, struck)}
        if not draws:
            if left:
                raise nothing(left.items(), f"any of {self.runner.runs} schedules")
            return
        settings.struck.update(fault for fault in faults if fault not in left)
        for fault, reason in left.items():
            settings.unstruck[fault] = max((counts.total(), reason), settings.unstruck.get(fault, (-1, "")))

    def check_names(self) -> None:
        """Fail if a name that an oracle goes by came up in no schedule; where Hypothesis draws the workload, the
        test as a whole is judged, at its end."""
        left = self.unseen.left()
        if drawn.context() is not None:
            settings.seen |= self.unseen.seen
            settings.unseen.update(left)
        elif left:
            raise saw_nothing(left.values(), f"any of {self.runner.runs} schedules")

    def struck_first(self, fault: Fault) -> frozenset[Fault]:
        """Run the ordinary schedule with a fault at the first message that it can strike."""
        nth = 1
        while True:
            run = self.runner.plan((), (*self.fixed, settle(fault, nth)))
            self.covered.add(run)
            if not run.ok:
                self.fail(run, "a fault at the first message it can strike")
            waits = run.waits.get(fault.target) if isinstance(fault, Crash) and fault.when == "in" else None
            if fault.nth is not None or run.struck or not waits or min(waits) <= nth:
                return run.struck
            nth = min(waits)

    def fail(self, run: Run, found: str) -> None:
        if (told := verdict(run.error)) is not None:
            raise told
        _check_refused(run)
        failure = diagnose(self.runner, run, found, self.ended(run).coverage, read=is_read())
        raise failure from failure.run.error

    def replay_asked(self, text: str) -> Run:
        """Replay the command line's token, or where it belongs elsewhere, run the ordinary schedule."""
        try:
            run = self.replay(token.Token.decode(text))
        except TokenRefused as refused:
            settings.refused.append(refused)  # perhaps another simulation of this test is the one
            return self.runner.run(Fifo())
        settings.replayed = True
        return run

    def replay(self, given: token.Token) -> Run:
        runner = self.runner
        given.check_scenario(runner.name)
        varies = () if runner.timing is None else runner.timing.kinds
        for fault in given.faults:
            if isinstance(fault, Variation) and fault.what not in varies:
                raise TokenRefused(f"in the token's run {fault}: replay it with a timing=Timing({fault.what}=…)")
        runner.order = given.order  # type: ignore[assignment]
        run = runner.plan(given.holds, (*self.fixed, *given.faults))
        _check_refused(run)
        try:
            given.check_trace(run.trace, run.unused)
        except TokenRefused:
            if drawn.context() is not None and not settings.redraws:
                given.check_example(drawn.example(""))
            raise
        if not run.ok:
            if (told := verdict(run.error)) is not None:
                raise told
            settings.replayed = True
            parting = None if given.whole else parting_of(run, runner.plan(run.holds, run.faults))
            failure = failed(runner, run, "replayed", 1, parting, read=is_read())
            raise failure from failure.run.error
        return run


def _check_refused(run: Run) -> None:
    if run.refused:
        assert run.error is not None
        raise run.error
