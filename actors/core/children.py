"""What a parent does about its children: keeps them in order, and restarts them by strategy and intensity."""

from __future__ import annotations

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
        "cells",
        "closing",
        "intensity",
        "names",
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
        self.closing = False
        self.together = False
        self._group: list[Cell] = []
        self._steps: Iterator[None] | None = None
        self._again = False
        self._delay = 0.0

    def add(self, cell: Cell, name: str | None) -> None:
        """Take a child in.

        Raises:
            SpecError: a sibling has that name.
        """
        if name is not None:
            if name in self.names:
                raise SpecError(
                    f"there is already an actor named {self.names[name].path!r}; names are unique among siblings"
                )
            self.names[name] = cell
        self.cells[cell] = None

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
        cell = self.names.get(name)
        if cell is None:  # names made by the runtime are not indexed: they are made when they are first asked for
            cell = next((c for c in self.cells if c.rare is not None and c.rare.name == name), None)
        return cell

    # -- a child has ended -----------------------------------------------------------------------------------------

    def down(self, cell: Cell, error: BaseException | None) -> None:
        """Decide about a child whose incarnation is over and which no one asked to stop."""
        rare = cell.more()
        spec = rare.spec
        gone = self.closing or self.parent.phase > Phase.RUNNING
        if spec is None or gone or not wants_restart(spec.restart, failed=error is not None):
            life.die(cell, "stopped" if error is None else f"crashed: {error!r}")
            return
        if self.intensity is None:
            self.intensity = Intensity(self.supervision.intensity, self.supervision.period)
        system = self.parent.system
        if not self.intensity.record(system.loop.time()):
            self._give_up(cell, error)
            return
        delay = spec.backoff.delay(self.intensity.recent - 1, system.rng) if spec.backoff.initial else 0.0
        if self._steps is None and self.supervision.strategy == "one_for_one":
            if delay or isinstance(error, StartFailed):  # off the stack: an actor that cannot start must not recurse
                rare.restart_timer = system.loop.call_later(delay, life.restart, cell)
            else:
                life.restart(cell)
            return
        supervised = [c for c in self.cells if c.rare is not None and c.rare.spec is not None]
        hit = affected(self.supervision.strategy, supervised, cell)
        self._group = [c for c in self.cells if c in hit or c in self._group]
        self._delay = max(self._delay, delay)
        self._again = True
        if self._steps is None:
            self._steps = self._restart_group()
        # Off the stack: the child that ended is still on it.
        system.loop.call_soon(self._advance)

    def _give_up(self, cell: Cell, error: BaseException | None) -> None:
        supervision = self.supervision
        limit = RestartLimit(
            f"{self.parent.path or self.parent.system.name}: more than {supervision.intensity} restarts "
            f"in {supervision.period} s, the last was {cell.path}: {error!r}"
        )
        limit.__cause__ = error
        self._steps, self._group = None, []
        life.die(cell, f"crashed: {error!r}")
        self.parent.system.emit("escalated", self.parent, str(limit))
        self.parent.system.escalate(self.parent, limit)

    # -- restarting several together ---------------------------------------------------------------------------------

    def _advance(self) -> None:
        steps = self._steps
        if steps is None or steps.gi_running:  # type: ignore[attr-defined]
            return
        if next(steps, self) is self:
            self._steps, self._group, self._delay = None, [], 0.0

    def _wait_for(self, cell: Cell) -> None:
        cell.more().settled.append(lambda: self.parent.system.loop.call_soon(self._advance))

    def _restart_group(self) -> Iterator[None]:
        while self._again:
            self._again = False
            for cell in reversed(self._group):
                if allows(cell.phase, "suspend"):
                    life.suspend(cell)
                while cell.phase in (Phase.SUSPENDING, Phase.FAILING, Phase.STOPPING):
                    self._wait_for(cell)
                    yield
            if self._delay:
                due = self.parent.system.loop.time() + self._delay
                self._delay = 0.0
                while (left := due - self.parent.system.loop.time()) > 0:
                    timer = self.parent.system.loop.call_later(left, self._advance)
                    yield
                    timer.cancel()
            for cell in list(self._group):
                if self._again:
                    break
                if cell.phase != Phase.RESTARTING:
                    continue
                spec = cell.more().spec
                if spec is not None and spec.restart == "temporary":
                    life.die(cell, "stopped: a sibling was restarted")
                    continue
                life.restart(cell)
                while not allows(cell.phase, "start") and allows(cell.phase, "started"):
                    self._wait_for(cell)
                    yield
