"""The choices that have been tried, so that none is run twice, and a small flow is known to have no others.

A run is a way down a tree: at each contested step it takes one of the ready lanes. Where all that lies below a choice
has been run, the next run takes another one there. Sampling thus goes without replacement; with replacement, flows of
a few schedules are drawn many times over before the last of them comes up (the coupon collector's problem).
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import TypeAlias

from ..loop.lanes.lanes import Before, Lane, Schedule
from .plan import fresh


class _Node:
    """A contested step. What lies below a choice is another step, the rest of the one run there was, or all run."""

    __slots__ = ("below", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.below: dict[int, _Below] = {}

    def other(self, pick: int) -> int:
        """Return the next choice below which something is left."""
        others: list[int] = [*range(pick + 1, self.width), *range(pick)]
        return next(itertools.filterfalse(self.all_run, others))

    def all_run(self, pick: int) -> bool:
        """Whether nothing is left below a choice."""
        return self.below.get(pick) == _ALL_RUN

    def finished(self) -> bool:
        return len(self.below) == self.width and all(map(self.all_run, self.below))


_Below: TypeAlias = _Node | tuple[int, ...]
_ALL_RUN: _Below = ()
_ORIGIN = 0


class Tree:
    """What has been run, for each set of faults.

    Attributes:
        sound: whether runs behave as the tree says; if not, chance decides elsewhere too, and it is of no use.
    """

    def __init__(self) -> None:
        self._roots: dict[Hashable, _Node] = {}
        self.sound = True
        self._forks = 0

    @property
    def ways(self) -> int:
        """How many schedules there are at least, as far as two have parted: those run, and the choices left out."""
        return len(self._roots) + self._forks

    def all_run(self, faults: Hashable) -> bool:
        """Whether nothing is left to run under these faults."""
        root = self._roots.get(faults)
        return root is not None and root.finished()

    def fork(self, width: int) -> None:
        """Count a step at which two runs have parted, or a second may."""
        self._forks += width - 1

    def walk(self, faults: Hashable, schedule: Schedule) -> Walk:
        """Return a schedule that follows another one, except where that leads only to what has been run."""
        return Walk(self, self._roots.setdefault(faults, _Node(1)), schedule)


class Walk(Before):
    """A way down the tree, as another schedule chooses, but to an end where nothing has been yet."""

    def __init__(self, tree: Tree, root: _Node, schedule: Schedule) -> None:
        super().__init__(schedule)
        self._tree = tree
        self._path: list[tuple[_Node, int]] = [(root, _ORIGIN)]
        # Where the way is new, nothing stands between the loop and the schedule any more.
        self.pick = self._known if _ORIGIN in root.below else schedule.pick

    def fresh(self) -> Walk:
        """Return the same schedule, not used yet."""
        return Walk(self._tree, self._path[0][0], fresh(self._schedule))

    def _known(self, order: list[int], lanes: dict[int, Lane]) -> int:
        pick = self._schedule.pick(order, lanes)
        node = self._step(len(order))
        if node is None:
            return pick
        if node.all_run(pick):
            pick = node.other(pick)
        self._path.append((node, pick))
        if pick not in node.below:
            self.pick = self._schedule.pick
        return pick

    def _step(self, width: int) -> _Node | None:
        """Return the node of this contested step; None if there should be no such step."""
        above, pick = self._path[-1]
        below = above.below[pick]
        if isinstance(below, tuple):
            if not below:
                self._lost()
                return None
            node = above.below[pick] = _Node(width)
            node.below[below[0]] = below[1:]
            self._tree.fork(width)
            return node
        if below.width != width:
            self._lost()
            return None
        return below

    def _lost(self) -> None:
        self._tree.sound = False
        self.pick = self._schedule.pick

    def end(self, picks: list[int]) -> None:
        """Take down the run that went this way.

        Args:
            picks: all its choices.
        """
        path = self._path
        node, pick = path[-1]
        if not self._tree.sound or pick in node.below:  # it ended sooner than the one before it on this way
            self._tree.sound = False
            return
        node.below[pick] = tuple(picks[len(path) - 1 :])
        while node.all_run(pick) and len(path) > 1 and node.finished():
            path.pop()
            node, pick = path[-1]
            node.below[pick] = _ALL_RUN
