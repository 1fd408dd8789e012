"""Schedules by chance: who runs next where several could.

A schedule sees the ready lanes oldest first and returns an index; 0 is the oldest. No single strategy finds every
bug soonest, so ``mix`` cycles through three:

- `PCT`: random priorities with few changes; finds bugs that need few, long delays (Burckhardt et al., "A Randomized
  Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
- `Uniform`: a fair coin at each step; finds bugs that need many small delays.
- `POS`: a fresh random priority for each step (after Yuan, Yang, Gu, "Partial Order Aware Concurrency Sampling",
  CAV 2018).
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Iterable
from heapq import heappop, heappush

from ..loop.lanes.lanes import Lane, Schedule


class Drawn:
    """A schedule by chance; also chooses where threads are interrupted."""

    strategy, seed = "mix", 0

    def fresh(self) -> Schedule:
        """Return the same schedule, not used yet."""
        return schedule(self.strategy, self.seed)

    def interrupts(self, lane: str) -> Iterable[int]:
        """Return at which of its points a thread is interrupted: at a few, early ones rather than late."""
        rng = random.Random(f"{self.seed}:interrupts:{lane}")
        reach = rng.choice((3, 6, 10))
        return [int(2 ** rng.uniform(0, reach)) for _ in range(rng.choice((0, 1, 1, 2, 3)))]


class Fifo:
    """Always the oldest."""

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        return 0


class Uniform(Drawn):
    """Any ready lane with equal chance."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        return int(self._random() * len(order))


class Prompt(Drawn):
    """Any ready lane with equal chance, but as a rule none of a task's while another can run: what has been sent is
    taken up before more is sent, so that each choice decides what comes next."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        first = [index for index, age in enumerate(order) if not isinstance(lanes[age].source, asyncio.Task)]
        if first and self._random() < 0.9:
            return first[int(self._random() * len(first))]
        return int(self._random() * len(order))


class _ByPriority(Drawn):
    """The ready lane of the highest priority, from a heap whose stale entries are dropped when they surface."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random
        self._heap: list[tuple[float, int]] = []

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        heap = self._heap
        while heap[0][1] not in lanes:
            heappop(heap)
        age = heap[0][1]
        # The usual case is a handful of lanes, where a linear search in C beats a bisection.
        return order.index(age) if len(order) < 64 else bisect_left(order, age)


class POS(_ByPriority):
    """A fresh random priority for each step of each lane."""

    def ready(self, lane: Lane) -> None:
        heappush(self._heap, (self._random(), lane.handles[0][0]))


class PCT(_ByPriority):
    """A random priority for each lane, and ``depth - 1`` moments at which the leading lane falls to the last place.

    Args:
        rng: where the chances come from.
        depth: how many orderings a bug may need.
        horizon: contested steps within which the priority changes lie; four times later chances become equal, so
            that a lane that is waited for is not starved for ever.
    """

    def __init__(self, rng: random.Random, *, depth: int = 3, horizon: int = 60) -> None:
        super().__init__(rng)
        self._changes = set(rng.sample(range(horizon), depth - 1))
        self._end = 4 * horizon
        self._step = 0
        self._last = 1.0

    def ready(self, lane: Lane) -> None:
        if lane.priority is None:
            lane.priority = self._random()
        heappush(self._heap, (lane.priority, lane.handles[0][0]))

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        step = self._step
        self._step = step + 1
        if step > self._end:
            return int(self._random() * len(order))
        pick = super().pick(order, lanes)
        if step in self._changes:
            lane = lanes[order[pick]]
            heappop(self._heap)
            self._last += 1.0
            lane.priority = self._last
            self.ready(lane)
            pick = super().pick(order, lanes)
        return pick


STRATEGIES = ("mix", "pct", "pos", "uniform", "fifo", "feedback")


def check(strategy: object) -> None:
    """Refuse what is no strategy.

    Raises:
        ValueError: there is none of this name.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is not one of {', '.join(STRATEGIES)}")


def schedule(strategy: str, seed: int) -> Schedule:
    """Return the schedule with that number.

    Args:
        strategy: one of `STRATEGIES`; ``mix`` cycles through PCT, uniform and POS; ``feedback``, where it starts
            afresh, through uniform and POS, whose runs differ more from each other than those of PCT.
        seed: which one.
    """
    kind = ("pct", "uniform", "pos")[seed % 3] if strategy == "mix" else strategy
    if strategy == "feedback":
        kind = ("uniform", "pos")[seed % 2]
    if kind == "fifo":
        return Fifo()
    rng = random.Random(seed)
    chosen: Uniform | POS | PCT
    if kind == "pct":
        # Shallow and deep bugs, short and long flows: the depth and horizon go round as well.
        chosen = PCT(rng, depth=2 + seed // 3 % 3, horizon=(20, 60, 200)[seed // 9 % 3])
    else:
        chosen = Uniform(rng) if kind == "uniform" else POS(rng)
    chosen.strategy, chosen.seed = strategy, seed
    return chosen
