"""Schedules written down: oldest first, except for holds.

Counting, for each turn of each lane, how often younger lanes went first gives the holds of any schedule, and the plan
made of them is that schedule again (it is the inversion table of a permutation); and unlike a list of choices it still
means something after one hold is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..loop.lanes.lanes import Before, Lane, Schedule


@dataclass(frozen=True, slots=True, order=True)
class Hold:
    """A lane is passed over: ``lane``'s turn number ``turn`` waits until ``times`` younger steps have run first."""

    lane: str
    turn: int
    times: int

    @property
    def key(self) -> tuple[str, int]:
        """What it holds back."""
        return self.lane, self.turn

    def __str__(self) -> str:
        return f"hold back {self.lane} (turn {self.turn}) for {self.times} turn{'s' if self.times > 1 else ''}"


@dataclass(frozen=True, slots=True, order=True)
class Interrupt:
    """A thread is interrupted before a point of its code: what else is ready goes first.

    Args:
        lane: the thread's, or ``the loop``.
        nth: which of its points (lines and stores; of the loop, locks and declared points), from 1 on.
        place: where that was, for people.
    """

    lane: str
    nth: int
    place: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from others, and from the turns of lanes."""
        return f"{self.lane}, point", self.nth

    def __str__(self) -> str:
        return f"interrupt {self.lane} before point {self.nth}{self.place and f' ({self.place})'}"


class _Written:
    """Interrupts threads where that is written down."""

    _interrupts: Sequence[Interrupt]

    def interrupts(self, lane: str) -> Iterable[int]:
        """Return at which of its points a thread is interrupted."""
        return [it.nth for it in self._interrupts if it.lane == lane]


class Recorded(_Written):
    """The choices of an earlier run, counted into holds: `holds` describes the same schedule as a plan."""

    def __init__(self, picks: list[int], interrupts: Iterable[Interrupt] = ()) -> None:
        self._picks = picks
        self._interrupts = tuple(interrupts)
        self._step = 0
        self._passed: dict[tuple[str, int], int] = {}

    @property
    def holds(self) -> list[Hold | Interrupt]:
        """The interrupts, and the holds counted so far, in the order in which they began."""
        return [*self._interrupts, *(Hold(label, turn, times) for (label, turn), times in self._passed.items())]

    def fresh(self) -> Recorded:
        """Return the same schedule, not used yet."""
        return Recorded(self._picks, self._interrupts)

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        step = self._step
        self._step = step + 1
        # A run that goes on where the recorded one ended is compared afterwards; here it just takes the oldest.
        pick = self._picks[step] if step < len(self._picks) else 0
        pick = min(pick, len(order) - 1)
        for age in order[:pick]:
            lane = lanes[age]
            key = (lane.label, lane.turn + 1)
            self._passed[key] = self._passed.get(key, 0) + 1
        return pick


class Plan(_Written):
    """Oldest first, except for holds and interrupts."""

    def __init__(self, holds: Iterable[Hold | Interrupt]) -> None:
        self._holds = holds = list(holds)
        self._left = {hold.key: hold.times for hold in holds if isinstance(hold, Hold)}
        self._interrupts = [hold for hold in holds if isinstance(hold, Interrupt)]
        self.unused = {hold.key for hold in holds}
        """The holds whose lane and turn, and the interrupts whose point, have not come up."""

    def fresh(self) -> Plan:
        """Return the same schedule, not used yet."""
        return Plan(self._holds)

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        left = self._left
        if not left:
            return 0
        passed: list[tuple[str, int]] = []
        for index, age in enumerate(order):
            lane = lanes[age]
            key = (lane.label, lane.turn + 1)
            if key not in left:
                for held in passed:
                    left[held] -= 1
                    if not left[held]:
                        del left[held]
                return index
            self.unused.discard(key)
            passed.append(key)
        del left[passed[0]]  # everything is held back: the oldest goes
        return 0


class Prefix(Before):
    """The choices of an earlier run, and after them another schedule's.

    Args:
        picks: the choices.
        then: the other schedule.
    """

    def __init__(self, picks: Sequence[int], then: Schedule) -> None:
        super().__init__(then)
        self._picks = picks
        self._step = 0

    def fresh(self) -> Prefix:
        """Return the same schedule, not used yet."""
        return Prefix(self._picks, fresh(self._schedule))

    def pick(self, order: list[int], lanes: dict[int, Lane]) -> int:
        step = self._step
        if step == len(self._picks):
            return self._schedule.pick(order, lanes)
        self._step = step + 1
        return min(self._picks[step], len(order) - 1)


def fresh(schedule: Schedule) -> Schedule:
    """Return the same schedule, not used yet."""
    again: Schedule = schedule.fresh() if hasattr(schedule, "fresh") else schedule
    return again
