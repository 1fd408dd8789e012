"""Nothing of an actor will run again: all that waits for it is settled. Also the last resort, an end without hooks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from ..base.errors import ActorDead, SystemClosed
from ..base.lifecycle import Phase, allows, move
from ..base.registry import unregister
from ..mail.cell import DEAD, Cell
from ..mail.mailbox import dead, refuse, signal


@dataclass(frozen=True, slots=True)
class Down:
    """The signal that a watched actor is dead; its watcher's handler gets a `Terminated` made from it.

    Args:
        cell: of the actor that ended.
        reason: ``stopped``, or what it failed with.
    """

    cell: Cell
    reason: str


def die(cell: Cell, reason: str) -> None:
    """Settle all that waits for an actor: queued messages, senders, watchers, stoppers. Its name is free."""
    if cell.phase == Phase.DEAD:
        return
    if cell.phase != Phase.STOPPING:
        move(cell, "stop")
    move(cell, "ended")
    cell.state = DEAD
    runtime = cell.runtime
    if runtime.probe is not None:
        runtime.probe.event("dead", actor=cell.path)
    unregister(cell.ref)
    cell.actor = None
    cell.signals = None
    queue, cell.queue = cell.queue, None
    details = cell.details
    # A ref's text makes its URN, which costs more than the rest of this: only if somebody is to be told.
    told = queue or (details is not None and (details.waiting or details.stash))
    why = f"{cell.ref} stopped before handling the message" if told else ""
    for item in queue or ():
        refuse(cell, item, why)
    if cell.parent is not None:
        cell.parent.children.remove(cell)
    if runtime.events.observed:
        runtime.emit("stopped", cell.path, reason)
    if details is None:
        return
    details.ending = None
    details.previous = None
    details.exit_reason = reason  # for those who begin to watch it now
    stash, details.stash = details.stash, None
    for item in stash or ():
        refuse(cell, item, why)
    waiting, details.waiting = details.waiting, None
    for admitted in list(waiting or ()):
        if not admitted._state:
            admitted.set_exception(dead(cell, why))
    if details.has("watched_by"):
        for watcher in list(details.watched_by):
            _tell_down(watcher, Down(cell, reason))
        details.watched_by.clear()
    answer_stops(cell)
    tell_changed(cell)


def answer_stops(cell: Cell) -> None:
    """Answer those who asked for the actor's stop."""
    details = cell.details
    if details is not None and details.has("stopping"):
        stopping = details.stopping[:]
        details.stopping.clear()
        for ask in stopping:
            ask.answer(True)


def tell_changed(cell: Cell) -> None:
    """Tell those who wait for the incarnation to start or to end."""
    details = cell.details
    if details is not None and details.has("on_change"):
        callbacks = list(details.on_change)
        details.on_change.clear()
        for callback in callbacks:
            callback()


def _tell_down(watcher: Cell, down: Down) -> None:
    def tell() -> None:
        if watcher.details is not None and down.cell in watcher.details.watching:
            signal(watcher, down)

    if watcher.runtime is down.cell.runtime:
        tell()
    else:
        with contextlib.suppress(SystemClosed):  # its loop was closed under it: there is nobody to tell
            watcher.runtime.post(tell)


def bury(cell: Cell) -> None:
    """End an actor and all below it now, without their hooks: the last resort when the time to stop is over."""
    buried: list[Cell] = []
    pending = [cell]
    while pending:  # a list, not the stack: trees are as deep as they like
        top = pending.pop()
        if top.phase != Phase.DEAD:
            buried.append(top)
            if top.details is not None and top.details.children is not None:
                if allows(top.phase, "stop"):
                    move(top, "stop")  # and takes no more children
                pending.extend(top.details.children)
    for top in reversed(buried):
        _end_now(top)


def _end_now(cell: Cell) -> None:
    details = cell.details
    if details is not None:
        details.ending = None
        if details.restart_timer is not None:
            details.restart_timer.cancel()
            details.restart_timer = None
    ask, cell.current = cell.current, None
    if ask is not None:
        ask.work = None
        ask.fail(ActorDead(f"{cell.place} was killed before it answered"))
    driver, cell.driver = cell.driver, None
    if driver is not None:
        driver.on_done = None
        driver.kill()
    discard(cell)
    die(cell, "killed: it did not stop in time")


def discard(cell: Cell) -> None:
    """End the timers and jobs of an actor that is not to be waited for, and its children."""
    details = cell.details
    if details is None:
        return
    if details.made:
        for timer in list(details.timers) if details.has("timers") else ():
            timer.cancel()
        for job in list(details.jobs) if details.has("jobs") else ():
            job.kill()
        if details.has("jobs"):
            details.jobs.clear()
    if details.patience is not None:
        details.patience.cancel()
    if details.children is not None:
        for child in details.children.latest_first():
            bury(child)


def unwatch_all(cell: Cell) -> None:
    """End the watches of an incarnation."""
    details: Any = cell.details
    if details is not None and details.has("watching"):
        for watched in details.watching:
            if watched.details is not None and watched.details.has("watched_by"):
                watched.details.watched_by.pop(cell, None)
        details.watching.clear()
