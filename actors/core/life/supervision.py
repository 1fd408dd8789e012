"""Carries a supervisor's verdict out: again, with its group, or give up. The verdict itself is `base.restart`'s."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from ..base.errors import RestartLimit, SpecError, StartFailed, brief
from ..base.lifecycle import Phase, allows
from ..base.restart import AT_ONCE, Again, GiveUp, Group, History, Intensity, affected, decide
from ..mail.cell import Cell, describe
from ..mail.children import Children
from .crash import crash_soon
from .death import die
from .ending import stop_waits, suspend
from .starting import restart


def down(cell: Cell) -> None:
    """Do what is to be done about an actor whose incarnation is over and which no one asked to stop."""
    details = cell.details or cell.more()
    error = details.error
    spec = details.spec
    parent = cell.parent
    assert parent is not None
    if spec is None or parent.phase > Phase.RUNNING:
        die(cell, _reason(error))
        return
    runtime = cell.runtime
    siblings = parent.children
    intensity = siblings.intensity
    if intensity is None:
        supervision = siblings.supervision
        intensity = siblings.intensity = Intensity(supervision.intensity, supervision.period)
    history = details.history
    if history is None:
        history = details.history = History()
    to_start = error.__class__ is StartFailed
    verdict = decide(
        siblings.supervision,
        intensity,
        history,
        spec.restart,
        spec.backoff,
        error is not None,
        to_start,
        runtime.time(),
        runtime.rng,
    )
    if verdict is AT_ONCE and not to_start:
        restart(cell)
    elif isinstance(verdict, Again):
        _again(cell, verdict.delay)
    elif isinstance(verdict, Group):
        group = siblings.group or GroupRestart(parent, siblings)
        group.add(cell, verdict.delay)
    elif isinstance(verdict, GiveUp):
        _give_up(parent, siblings, cell, error)
    else:
        die(cell, _reason(error))


def restart_child(parent: Cell, child: Any) -> None:
    """Start a healthy child again in its place; this is no failure and does not count as one.

    Args:
        parent: whose child.
        child: its ref, or its name.

    Raises:
        SpecError: there is no such child, or none any more, or it has no child spec, so that nobody knows how it is
            made.
    """
    cell = parent.children.find(child) if isinstance(child, str) else getattr(child, "_cell", None)
    if cell is None or cell.parent is not parent or cell.phase == Phase.DEAD:
        raise SpecError(f"{parent.place or parent.runtime.name} has no child {brief(child)} to start again")
    check_restartable(cell)
    restart_in_place(cell)


def check_restartable(cell: Cell) -> None:
    """Raises `SpecError` where an actor was started without a child spec, so that nobody knows how it is made."""
    if cell.details is None or cell.details.spec is None:
        raise SpecError(f"{describe(cell)} was not started from a ChildSpec: it cannot be started again")


def restart_in_place(cell: Cell) -> None:
    """Start a healthy actor that has a child spec again in its place."""
    if not allows(cell.phase, "suspend"):
        return  # it is being started again already, is stopping, or dead
    details = cell.more()

    def again() -> None:
        if cell.phase == Phase.RESTARTING:
            group = None if cell.parent is None else cell.parent.children.group
            if group is not None and group.takes(cell):
                return  # a sibling has failed meanwhile: it is started in its turn among them
            cell.runtime.loop.call_soon(restart, cell)
        elif cell.phase == Phase.SUSPENDING:
            details.on_change[again] = None

    suspend(cell)
    again()


def _reason(error: BaseException | None) -> str:
    return "stopped" if error is None else f"crashed: {brief(error)}"


def _again(cell: Cell, delay: float) -> None:
    """Start it again later; also where there is no delay, off the stack: one that cannot start must not recurse."""
    if stop_waits(cell):
        die(cell, "stopped")
        return
    cell.more().restart_timer = cell.runtime.loop.call_later(delay, restart, cell)


def _give_up(parent: Cell, siblings: Children[Cell], cell: Cell, error: BaseException | None) -> None:
    supervision = siblings.supervision
    runtime = parent.runtime
    root = error
    while isinstance(root, RestartLimit) and root.__cause__ is not None:
        root = root.__cause__  # the first failure only: a text that tells each level's text grows with the depth
    limit = RestartLimit(
        f"{parent.place or runtime.name}: more than {supervision.intensity} restarts "
        f"in {supervision.period} s, the last was {cell.place}: {brief(root)}"
    )
    limit.__cause__ = error
    if siblings.group is not None:
        siblings.group.end()
    die(cell, _reason(error))
    runtime.emit("escalated", parent.path, str(limit))
    if parent.parent is None:
        runtime.on_failed(limit)
    else:
        crash_soon(parent, limit)


class GroupRestart:
    """Several siblings on their way from the end of their incarnations to the next ones.

    The healthy ones are stopped, the last one first; after the wait all are started, each when the one before is up.

    Args:
        parent: whose children they are.
        siblings: all of them.
    """

    __slots__ = ("_again", "_delay", "_due", "_failed", "_parent", "_siblings", "_steps", "_timer")

    def __init__(self, parent: Cell, siblings: Children[Cell]) -> None:
        self._parent = parent
        self._siblings = siblings
        self._failed: dict[Cell, None] = {}
        self._due: dict[Cell, None] = {}
        self._delay = 0.0
        self._again = False
        self._timer: asyncio.TimerHandle | None = None
        self._steps: Iterator[None] | None = self._restart()
        siblings.group = self
        siblings.on_change = self._on_change

    def add(self, cell: Cell, delay: float) -> None:
        """Take in a child that has failed; it may be the second time."""
        self._failed[cell] = None
        self._delay = max(self._delay, delay)
        self._again = True
        self._soon()

    def takes(self, cell: Cell) -> bool:
        """Whether a child is among those that are still to be started again."""
        return cell in self._due

    def end(self) -> None:
        """Give it up: nobody is started any more."""
        self._steps = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._siblings.group is self:
            self._siblings.group = None
            self._siblings.on_change = None

    def _soon(self) -> None:
        self._parent.runtime.loop.call_soon(self._go_on)  # off the stack: the child that ended is still on it

    def _go_on(self) -> None:
        steps: Any = self._steps
        if steps is None or steps.gi_running:
            return
        if self._parent.phase > Phase.RUNNING or next(steps, self) is self:
            self.end()

    def _on_change(self) -> None:
        """A sibling is dead: if it was the last of those who wait, so is the waiting over."""
        if self._timer is not None and not any(cell.phase == Phase.RESTARTING for cell in reversed(self._siblings)):
            self.end()
        else:
            self._go_on()

    def _members(self) -> list[Cell]:
        siblings = self._siblings
        alive = [cell for cell in self._failed if cell.phase != Phase.DEAD]
        return affected(siblings.supervision.strategy, siblings.supervised_latest_first(), alive)

    def _waited(self) -> None:
        self._timer = None
        self._go_on()

    def _wait_for(self, cell: Cell) -> None:
        cell.more().on_change[self._soon] = None

    def _restart(self) -> Iterator[None]:
        loop = self._parent.runtime.loop
        while self._again:
            self._again = False
            members = self._members()
            self._due = dict.fromkeys(members)
            for cell in reversed(members):
                if allows(cell.phase, "suspend"):
                    suspend(cell)
                while cell.phase in (Phase.SUSPENDING, Phase.FAILING, Phase.STOPPING):
                    self._wait_for(cell)
                    yield
            if self._delay:
                self._timer = loop.call_later(self._delay, self._waited)
                self._delay = 0.0
                while self._timer is not None:
                    yield
            for cell in members:
                if self._again or self._steps is None:  # one has failed again, or it was once too often
                    break
                del self._due[cell]
                if cell.phase != Phase.RESTARTING:
                    continue
                spec = cell.more().spec
                if spec is not None and spec.restart == "temporary":
                    die(cell, "stopped: a sibling was restarted")
                    continue
                restart(cell)
                while cell.phase == Phase.STARTING:
                    self._wait_for(cell)
                    yield
            if self._again:  # the loop has its turn between two tries
                self._soon()
                yield
