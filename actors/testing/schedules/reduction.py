"""Which schedules need not run: dynamic partial-order reduction over the steps of lanes.

Two schedules are equivalent where one becomes the other by swapping neighbouring steps that do not depend on each
other; all of a class end alike, so one of each is enough. What steps touch is seen as they run: of each pair that
depends and that nothing else puts in order, a *race*, the other order is tried as well (Flanagan, Godefroid, "Dynamic
Partial-Order Reduction for Model Checking Software", POPL 2005), at a lane with which that order can begin, unless one
such is to be tried already (source sets: Abdulla, Aronis, Jonsson, Sagonas, "Optimal Dynamic Partial Order Reduction",
POPL 2014). Sleep sets keep an order that has been tried from coming again (Godefroid, 1996). That messages to different
actors need no order is what Tasharofi et al. use in "TransDPOR" (FMOODS/FORTE 2012).

Nothing here knows of actors or event loops: a step is a lane, what it touches, and what had to come before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Step:
    """One step of a run.

    Args:
        lane: whose step it is; steps of one lane keep their order.
        after: indices of earlier steps without which this one could not have been.
        floor: all steps before this index had to be over: until then time stood still.
        reads, reach, writes: what it touches; what it reaches it may read. Two steps depend on each other where one
            writes what the other touches.
        alone: whether it depends on every other step.
        perhaps: what it may turn out to have written, once later steps have been made.
        late: whether it did, so that ``writes`` has grown after later steps were made.
    """

    lane: int
    after: set[int] = field(default_factory=set)
    floor: int = 0
    reads: set[Hashable] = field(default_factory=set)
    writes: set[Hashable] = field(default_factory=set)
    reach: frozenset[Hashable] = frozenset()
    alone: bool = False
    perhaps: set[Hashable] = field(default_factory=set)
    late: bool = False

    def may_depend(self, other: Step) -> bool:
        """Whether the order of the two may matter, as far as can be said before the run is over."""
        return not self.perhaps.isdisjoint(other.perhaps) or self.depends(other)

    def depends(self, other: Step) -> bool:
        """Whether the order of the two may matter."""
        if self.alone or other.alone:
            return True
        writes, others = self.writes, other.writes
        return not (
            writes.isdisjoint(others)
            and writes.isdisjoint(other.reads)
            and others.isdisjoint(self.reads)
            and writes.isdisjoint(other.reach)
            and others.isdisjoint(self.reach)
        )


class Parted(Exception):
    """A run did not go as an earlier one with the same choices: something else decides as well."""


@dataclass(slots=True)
class _Node:
    """A moment of the current run at which one of the lanes that are ready goes on.

    Args:
        ready: the lanes that are.
        asleep: those whose turn now leads to nothing new, and the step each would make.
        lane: the one that goes on.
        wanted: lanes to try here, or tried.
        tried: those whose schedules have all run, and the step each made.
    """

    ready: tuple[int, ...]
    asleep: dict[int, Step]
    lane: int
    wanted: set[int]
    tried: dict[int, Step] = field(default_factory=dict)

    def open(self) -> list[int]:
        """The lanes still to try."""
        return [lane for lane in self.ready if self._is_open(lane)]

    def _is_open(self, lane: int) -> bool:
        return lane in self.wanted and lane != self.lane and lane not in self.tried and lane not in self.asleep


class Reduction:
    """Goes through the schedules of a program, at least one of each class of equivalent ones, depth first.

    For each run, call `choose` before each step, and `ran` when it is over; `advance` says whether there is another.
    """

    def __init__(self) -> None:
        self._nodes: list[_Node] = []
        self._steps: Sequence[Step] = ()
        self._before: list[int] = []
        """For each step of the last run, the set of those that had to come before it, as bits."""
        self._fixed = 0
        """How many nodes the next run has in common with the last one."""

    @property
    def left(self) -> int:
        """How many orders are known that have not been tried; each may lead to more."""
        return sum(len(node.open()) for node in self._nodes)

    def choose(self, index: int, ready: Sequence[int], last: Step | None) -> int | None:
        """Return the lane that makes the step with that index.

        Args:
            index: the step's, from 0.
            ready: the lanes that can go on, in the order in which the run would take them.
            last: the step before, as it was.

        Returns:
            one of ``ready``, or None: whichever goes on, the run is equivalent to one that was.

        Raises:
            Parted: the lane whose turn it is now in the run's own choices is not ready.
        """
        if index < self._fixed:
            node = self._nodes[index]
            if node.lane not in ready:
                raise Parted
            return node.lane
        del self._nodes[index:]  # of a run that began anew
        asleep: dict[int, Step] = {}
        if index:
            assert last is not None
            node = self._nodes[index - 1]
            for lane, step in (node.asleep | node.tried).items():
                if lane != node.lane and not step.may_depend(last):
                    asleep[lane] = step
        for lane in ready:
            if lane not in asleep:
                self._nodes.append(_Node(tuple(ready), asleep, lane, {lane}))
                return lane
        return None

    def ran(self, steps: Sequence[Step]) -> None:
        """Learn from a run, also from one that `choose` or a failure has ended, which orders are to be tried.

        Args:
            steps: all that were made, in order, one for each `choose`.
        """
        start = max(0, self._fixed - 1)  # what happened before is known from the run before
        start = next((index for index in range(start) if steps[index].late), start)  # but for what is learnt now
        before = self._before
        del before[start:]
        last: dict[int, int] = {step.lane: index for index, step in enumerate(steps[:start])}
        for index in range(start, len(steps)):
            step = steps[index]
            earlier = (1 << step.floor) - 1
            if step.lane in last:
                step.after.add(last[step.lane])
            for cause in step.after:
                earlier |= before[cause] | 1 << cause
            for other in range(index - 1, step.floor - 1, -1):
                if not earlier >> other & 1 and step.depends(steps[other]):
                    self._reverse(steps, other, index, earlier)
                    earlier |= before[other] | 1 << other
            before.append(earlier)
            last[step.lane] = index
        self._steps = steps

    def _reverse(self, steps: Sequence[Step], first: int, second: int, earlier: int) -> None:
        """Have ``second`` be tried before ``first``, at a lane with which a run can begin in which it is.

        Args:
            earlier: what comes before ``second`` as far as is known, ``first`` not included.
        """
        node = self._nodes[first]
        before = self._before
        free = [index for index in range(first + 1, second) if not before[index] >> first & 1]
        among = sum(1 << index for index in free)
        begins = [steps[index].lane for index in free if not before[index] & among]
        if not earlier & among:
            begins.append(steps[second].lane)
        ready = [lane for lane in begins if lane in node.ready]
        if not ready:  # what made it ready is not known: whatever was ready may have to go first
            node.wanted.update(node.ready)
        elif not any(lane in node.wanted or lane in node.asleep for lane in ready):
            node.wanted.add(ready[0])

    def advance(self) -> bool:
        """Go to the next schedule; False if there is none."""
        nodes = self._nodes
        for index in range(len(nodes) - 1, -1, -1):
            node = nodes[index]
            todo = node.open()
            if todo:
                node.tried[node.lane] = self._steps[index]
                node.lane = todo[0]
                del nodes[index + 1 :]
                self._fixed = index + 1
                return True
        self._nodes.clear()
        return False
