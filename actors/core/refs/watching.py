"""Being told, once, that another actor is dead for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..life.death import Down
from ..mail.cell import DEAD, Cell
from ..mail.mailbox import signal
from .ref import ActorRef


@dataclass(frozen=True, slots=True)
class Terminated:
    """Sent once to an actor that watches another, when that one is dead for good.

    Args:
        ref: the actor that ended.
        reason: ``stopped``, or what it failed with.
    """

    ref: ActorRef[Any]
    reason: str


def watch(watcher: Cell, watched: Cell) -> None:
    """Have ``watcher`` told, once, that ``watched`` is dead; at once if it is already."""
    watching = watcher.more().watching
    if watched in watching:
        return
    watching[watched] = None

    def add() -> None:
        if watched.state != DEAD:
            watched.more().watched_by[watcher] = None
        else:
            watcher.runtime.post(tell)

    def tell() -> None:
        if watched in watching:
            reason = watched.details.exit_reason if watched.details is not None else ""
            signal(watcher, Down(watched, reason or "stopped"))

    watched.runtime.post(add)


def unwatch(watcher: Cell, watched: Cell) -> None:
    """Take `watch` back; nothing happens if it is not watched."""
    watcher.more().watching.pop(watched, None)

    def forget() -> None:
        details = watched.details
        if details is not None and details.has("watched_by"):
            details.watched_by.pop(watcher, None)

    watched.runtime.post(forget)


def delivered(cell: Cell, down: Down) -> Terminated | None:
    """Return the message for a signal; None if nobody watches any more.

    The watch ends as it is delivered, so that it is told once however often it was asked for.
    """
    if cell.more().watching.pop(down.cell, cell) is not None:
        return None
    return Terminated(down.cell.ref, down.reason)
