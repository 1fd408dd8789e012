"""`explore`: all schedules of a small scenario, one of each class of equivalent ones, or how much is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import FaultRefused, Nondeterministic, SimulationError
from ...faults.drawing import Chances, chances, is_settled
from ...faults.faults import Fault, Pause, describe
from ...loop.loop import Order
from ...loop.watched import WatchedLoop
from ...schedules.reduction import Parted, Reduction
from ...trace.checks import is_whole
from ...trace.invariants import Invariant
from ..running.run import check_outside, reproducible
from ..running.runner import Runner
from ..running.scenario import Scenario
from ..settings import settings
from ..simulation import Search
from ..stopping import deferred
from .footprint import Footprints, GivenUp
from .watched import WatchedSimulation


@dataclass(frozen=True, slots=True)
class Exploration:
    """What is known of a scenario after `explore`: nothing has failed.

    Args:
        schedules: how many ran, no two of them equivalent.
        left: how many further ones are known that have not run, each of which may lead to more; 0 where all have run.
        repeated: runs that were given up on the way, because they had become equivalent to an earlier one.
    """

    schedules: int
    left: int = 0
    repeated: int = 0

    @property
    def complete(self) -> bool:
        """Whether every schedule is equivalent to one that ran."""
        return not self.left

    def __str__(self) -> str:
        if self.left:
            return f"{self.schedules:,} schedules hold; at least {self.left:,} more are left"
        return "the only schedule holds" if self.schedules == 1 else f"all {self.schedules:,} schedules hold"


def explore(
    scenario: Scenario,
    *,
    faults: Sequence[Fault] = (),
    invariants: Sequence[Invariant] = (),
    max_schedules: int = 10_000,
    max_steps: int = 20_000,
    order: Order = "contract",
    shared: bool = False,
) -> Exploration:
    """Run a small scenario under all schedules, one of each class of equivalent ones, until one fails.

    Schedules are equivalent where only the order of steps differs that do not depend on each other: messages that
    different actors take up, tasks that touch nothing in common (dynamic partial-order reduction, see
    `callboard.actors.testing.schedules.reduction`). What the steps of a run touch is watched; what actors or tasks
    share through module globals, class attributes or random numbers is not seen.

    Args:
        scenario, invariants, max_steps, order: as for `simulate`.
        faults: each with the number of its message, and a crash with its phase: they strike in every schedule.
        max_schedules: after how many to stop.
        shared: whether tasks that belong to no actor may share what is not seen: each step of one then depends on those
            of all others.

    Returns:
        how many schedules ran, and whether they are all: as text, "all 24 schedules hold".

    Raises:
        SimulationFailed: as from `simulate`, which also replays its token.
        FaultRefused: a fault leaves open where it strikes.
        FaultStruckNothing: a fault struck nothing in any schedule, and is not ``optional``.
        OracleSawNothing: an actor, tool, field or kind of event that an oracle names came up in no schedule.
        Nondeterministic: something outside decides too, so that schedules cannot be told apart.
        ValueError: ``max_schedules`` or ``max_steps`` is no whole number from 1, or there is no such order.
        TypeError: the scenario, or an invariant, is no function, or ``shared`` neither True nor False.
    """
    check_outside("explore")
    if not is_whole(max_schedules) or max_schedules < 1:
        raise ValueError(f"max_schedules is a whole number from 1, not {max_schedules!r}")
    if not isinstance(shared, bool):
        raise TypeError(f"shared={shared!r:.80}: it is True or False")
    runner = Runner(scenario, faults, invariants, max_steps, order, None)
    for fault in runner.faults:
        if isinstance(fault, Pause):
            raise FaultRefused(
                f"explore() takes no {describe(fault)}: it counts steps, which are not the same in schedules that are "
                "equivalent; use simulate()"
            )
        if not is_settled(fault):
            raise FaultRefused(
                f"explore() takes faults that leave nothing open, and {describe(fault)} does: "
                "give its nth, and a crash its phase (when), or use simulate(), which draws them"
            )
    search = Search(runner, "mix")
    try:
        with deferred(), reproducible():
            if settings.replay is not None:
                search.replay_asked(settings.replay)
                return Exploration(1, left=1)
            return _explore(search, max_schedules, shared)
    except SimulationError as error:
        __tracebackhide__ = True  # pytest shows the test, which called this
        raise error.with_traceback(None) from error.__cause__


def _explore(search: Search, most: int, shared: bool) -> Exploration:
    reduction = Reduction()
    struck: set[Fault] = set()
    counts: Chances = Counter()
    schedules = repeated = 0
    more = True
    while more and schedules < most:
        footprints = Footprints(reduction, shared=shared)
        run = search.runner.run(footprints, faults=search.fixed, kinds=(WatchedLoop, WatchedSimulation))
        if isinstance(run.error, Parted):
            raise Nondeterministic(
                "a schedule did not go as it went before, so that not all can be gone through: something outside the "
                "simulation decides, such as datetime.now, a counter that outlives a run, id(), or a set's order"
            )
        if isinstance(run.error, GivenUp):
            repeated += 1
        elif not run.ok:
            search.covered.add(run)
            search.fail(run, "explore()")
        else:
            search.covered.add(run)
            search.unseen.look(run)
            schedules += 1
            struck |= run.struck
            counts |= chances(run.trace, run.found)
        reduction.ran(footprints.steps)
        more = reduction.advance()
    if search.fixed:
        search.check_struck(search.fixed, struck, counts)
    search.check_names()
    search.count(all_run=not more)
    return Exploration(schedules, reduction.left + 1 if more else 0, repeated)
