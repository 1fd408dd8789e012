"""What a parent does about its children: keeps them in order, and restarts them by strategy and intensity."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import life
from .errors import RestartLimit, SpecError, StartFailed
from .lifecycle import Phase, allows
from .restart import Intensity, affected, wants_restart
from .spec import Strategy, check_strategy

if TYPE_CHECKING:
    from .cell import Cell

logger = logging.getLogger("callboard")


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a parent restarts its children.

    Args:
        strategy: which siblings are restarted with a child that ended.
        intensity: how many restarts ``period`` may see; one more ends the parent with `RestartLimit`.
        period: seconds.

    Raises:
        SpecError: the strategy is unknown, or a number is out of range.
    """

    strategy: Strategy = "one_for_one"
    intensity: int = 3
    period: float = 5.0

    def __post_init__(self) -> None:
        check_strategy(self.strategy)
        if self.intensity < 0 or self.period <= 0:
            raise SpecError(f"{self!r}: intensity must be at least 0 and period more than 0 seconds")


ONE_FOR_ONE = Supervision()


class Children:
    """The children of one parent, in start order."""

    __slots__ = (
        "_again",
        "_delay",
        "_group",
        "_steps",
        "_timer",
        "cells",
        "intensity",
        "names",
        "numbering",
        "parent",
        "supervision",
        "together",
    )

    def __init__(self, parent: Cell, supervision: Supervision) -> None:
        self.parent = parent
        self.supervision = supervision
        self.intensity: Intensity | None = None
        self.cells: dict[Cell, None] = {}
        self.names: dict[str, Cell] = {}
        self.numbering: dict[str, int] = {}
        self.together = False
        self._group: list[Cell] = []
        self._steps: Iterator[None] | None = None
        self._again = False
        self._delay = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, cell: Cell, name: str | None) -> None:
        """Take a child in.

        Raises:
            SpecError: a sibling has that name.
        """
        if name is not None:
            holder = self.names.setdefault(name, cell)  # in one step: actors are spawned from other threads too
            if holder is not cell:
                raise SpecError(f"there is already an actor named {holder.path!r}; names are unique among siblings")
        self.cells[cell] = None

    def make_name(self, cell: Cell, kind: str) -> str:
        """Return a name for a child that was given none: its class's, and a number."""
        while True:
            self.numbering[kind] = number = self.numbering.get(kind, 0) + 1
            name = f"{kind}-{number}"
            if cell not in self.cells:  # dead: nobody can look it up
                return name
            if self.names.setdefault(name, cell) is cell:
                return name

    def remove(self, cell: Cell) -> None:
        """Forget a child that is dead."""
        self.cells.pop(cell, None)
        rare = cell.rare
        if rare is not None and rare.name is not None and self.names.get(rare.name) is cell:
            del self.names[rare.name]
        if self._steps is not None:
            self._advance()

    def find(self, name: str) -> Cell | None:
        """Return the child of that name."""
        return self.names.get(name)

    # -- a child has ended -----------------------------------------------------------------------------------------

    def down(self, cell: Cell, error: BaseException | None) -> None:
        """Decide about a child whose incarnation is over and which no one asked to stop."""
        rare = cell.more()
        spec = rare.spec
        if (
            spec is None
            or self.parent.phase > Phase.RUNNING
            or not wants_restart(spec.restart, failed=error is not None)
        ):
            life.die(cell, "stopped" if error is None else f"crashed: {error!r}")
            return
        if self.intensity is None:
            self.intensity = Intensity(self.supervision.intensity, self.supervision.period)
        system = self.parent.system
        if not self.intensity.record(system.loop.time()):
            self._give_up(cell, error)
            return
        delay = self._delay_of(cell, error)
        if self.supervision.strategy == "one_for_one":
            if delay or isinstance(error, StartFailed):  # off the stack: an actor that cannot start must not recurse
                if life.stop_waits(cell):
                    life.die(cell, "stopped")
                    return
                rare.restart_timer = system.loop.call_later(delay, life.restart, cell)
            else:
                life.restart(cell)
            return
        supervised = [c for c in self.cells if c.rare is not None and c.rare.spec is not None]
        hit = {*affected(self.supervision.strategy, supervised, cell), *self._group}
        self._group = [c for c in self.cells if c in hit]
        self._delay = max(self._delay, delay)
        self._again = True
        if self._steps is None:
            self._steps = self._restart_group()
        # Off the stack: the child that ended is still on it.
        system.loop.call_soon(self._advance)

    def _delay_of(self, cell: Cell, error: BaseException | None) -> float:
        """Return the wait before this restart: it grows with each one until the child has stayed up for a period."""
        rare = cell.more()
        assert rare.spec is not None
        system = self.parent.system
        if not isinstance(error, StartFailed) and system.loop.time() - rare.since > self.supervision.period:
            rare.row = 0
        delay = rare.spec.backoff.delay(rare.row, system.rng)
        rare.row += 1
        return delay

    def _give_up(self, cell: Cell, error: BaseException | None) -> None:
        supervision = self.supervision
        limit = RestartLimit(
            f"{self.parent.path or self.parent.system.name}: more than {supervision.intensity} restarts "
            f"in {supervision.period} s, the last was {cell.path}: {error!r}"
        )
        limit.__cause__ = error
        self._end_group()
        life.die(cell, f"crashed: {error!r}")
        self.parent.system.emit("escalated", self.parent, str(limit))
        self.parent.system.escalate(self.parent, limit)

    # -- restarting several together ---------------------------------------------------------------------------------

    def _advance(self) -> None:
        steps = self._steps
        if steps is None or steps.gi_running:  # type: ignore[attr-defined]
            return
        if self.parent.phase > Phase.RUNNING or next(steps, self) is self:
            self._end_group()

    def _end_group(self) -> None:
        self._steps, self._group, self._delay, self._again = None, [], 0.0, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for(self, cell: Cell) -> None:
        cell.more().settled.append(lambda: self.parent.system.loop.call_soon(self._advance))

    def _restart_group(self) -> Iterator[None]:
        loop = self.parent.system.loop
        while self._again:
            self._again = False
            for cell in reversed(self._group):
                if allows(cell.phase, "suspend"):
                    life.suspend(cell)
                while cell.phase in (Phase.SUSPENDING, Phase.FAILING, Phase.STOPPING):
                    self._wait_for(cell)
                    yield
            if self._delay:
                self._timer = loop.call_later(self._delay, self._waited)
                self._delay = 0.0
                while self._timer is not None:
                    yield
            for cell in list(self._group):
                if self._again or self._steps is None:  # one has failed again, or it was once too often
                    break
                if cell.phase != Phase.RESTARTING:
                    continue
                spec = cell.more().spec
                if spec is not None and spec.restart == "temporary":
                    life.die(cell, "stopped: a sibling was restarted")
                    continue
                life.restart(cell)
                while cell.phase == Phase.STARTING:
                    self._wait_for(cell)
                    yield
            if self._again:  # the loop has its turn between two tries
                loop.call_soon(self._advance)
                yield

    def _waited(self) -> None:
        self._timer = None
        self._advance()
