"""Makes a failing plan small: delta debugging over its holds and faults (Zeller, Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", 2002), then shorter holds and earlier faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from ...faults.faults import Fault
from ...schedules.plan import Hold, Interrupt
from ..running.run import Run

Item: TypeAlias = Hold | Interrupt | Fault
Attempt: TypeAlias = Callable[[Sequence[Hold | Interrupt], Sequence[Fault]], Run]


class Budget:
    """What making small may cost. In steps of the loop, so that large flows take no longer than small ones, and the
    outcome is the same on slow machines.
    """

    def __init__(self, steps: int) -> None:
        self._left = steps

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self._left <= 0

    def take(self, run: Run) -> None:
        """Take off what a run cost."""
        self._left -= run.steps


class _Shrinker:
    def __init__(self, attempt: Attempt, failing: Run, fixed: Sequence[Fault], budget: Budget) -> None:
        self.attempt = attempt
        self.best = failing
        self.fixed = tuple(fixed)
        self.budget = budget
        self.failure = failing.failure
        self.seen: set[tuple[Item, ...]] = set()

    def items(self) -> list[Item]:
        return [*self.best.holds, *(fault for fault in self.best.faults if fault not in self.fixed)]

    def fails(self, items: Sequence[Item]) -> bool:
        key = tuple(items)
        if self.budget.spent or key in self.seen:
            return False
        self.seen.add(key)
        holds = [item for item in items if isinstance(item, Hold | Interrupt)]
        faults = [item for item in items if not isinstance(item, Hold | Interrupt)]
        run = self.attempt(holds, [*self.fixed, *faults])
        self.budget.take(run)
        if run.failure != self.failure:
            return False
        # A hold that no longer comes up has no part in the failure.
        run.holds = tuple(hold for hold in run.holds if hold.key not in run.unused)
        self.best = run
        return True

    def remove(self) -> None:
        """Leave out as many items as possible, large parts first."""
        if self.fails([]):
            return
        items = self.items()
        size = max(1, len(items) // 2)
        while items:
            start = 0
            while start < len(items):
                candidate = items[:start] + items[start + size :]
                if self.fails(candidate):
                    items = self.items()
                else:
                    start += size
            if size == 1:
                return
            size //= 2

    def lessen(self) -> bool:
        """Make each hold as short and each fault as early as possible; True if anything was made smaller."""
        smaller = False
        for index in range(len(self.items())):
            items = self.items()
            if index >= len(items):
                break
            for candidate in _lesser(items[index]):
                if self.fails([*items[:index], candidate, *items[index + 1 :]]):
                    smaller = True
                    break
        return smaller


def _lesser(item: Item) -> list[Item]:
    if isinstance(item, Hold):
        return [
            replace(item, times=times)
            for times in sorted({1, 2, item.times // 2, item.times - 1})
            if 0 < times < item.times
        ]
    if isinstance(item, Interrupt):
        return []
    nth = item.nth or 1
    return [replace(item, nth=earlier) for earlier in sorted({1, nth // 2, nth - 1}) if 0 < earlier < nth]


def shrink(attempt: Attempt, failing: Run, budget: Budget, *, fixed: Sequence[Fault] = ()) -> Run:
    """Return the smallest run found that fails in the same way.

    Args:
        attempt: runs the scenario under holds and faults.
        failing: the run to start from, its holds counted.
        budget: what may be spent.
        fixed: faults that belong to the scenario and stay.
    """
    shrinker = _Shrinker(attempt, failing, fixed, budget)
    while True:
        shrinker.remove()
        if not shrinker.lessen() or budget.spent:
            return shrinker.best
