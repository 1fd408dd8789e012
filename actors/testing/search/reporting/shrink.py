"""Makes a failing plan small: delta debugging over its holds and faults (Zeller, Hildebrandt, "Simplifying and
Isolating Failure-Inducing Input", 2002), then one hold for two, shorter holds and earlier faults."""

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
        self.left = steps

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0

    def take(self, run: Run) -> None:
        """Take off what a run cost."""
        self.left -= run.steps


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

    def merge(self) -> None:
        """Leave out each hold where another one stands in that lasts as long as can be."""
        for hold in self.items():
            items = self.items()
            others = [item for item in items if isinstance(item, Hold) and item != hold]
            for other in others if isinstance(hold, Hold) and hold in items else ():
                longest = replace(other, times=self.best.steps)
                if self.fails([longest if item == other else item for item in items if item != hold]):
                    break

    def lessen(self) -> bool:
        """Make each hold as short and each fault as early as possible, by bisection; True if any was made smaller."""
        smaller = False
        index = 0
        while index < (count := len(items := self.items())):
            low, size = 0, _size(items[index])
            while low + 1 < size:
                middle = (low + size) // 2
                if not self.fails([*items[:index], _of_size(items[index], middle), *items[index + 1 :]]):
                    low = middle
                    continue
                smaller = True
                items, size = self.items(), middle
                if len(items) != count:  # others no longer come up
                    break
            index += 1
        return smaller


def _size(item: Item) -> int:
    if isinstance(item, Hold):
        return item.times
    return 1 if isinstance(item, Interrupt) else item.nth or 1


def _of_size(item: Item, size: int) -> Item:
    return replace(item, times=size) if isinstance(item, Hold) else replace(item, nth=size)


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
        shrinker.merge()
        if not shrinker.lessen() or budget.spent:
            return shrinker.best
