"""All actors of a system at a glance: flat, and cheap enough to be asked for every second."""

from __future__ import annotations

from typing import Any, Final

from ..base.events import ActorState
from ..base.lifecycle import NAMES
from ..mail.cell import Cell, below
from .observing import Observer, oldest

MOST_WATCHES: Final = 500
"""Mailboxes that are watched from one time on; each takes 2 µs. Others in which messages wait still come the next time.
"""


def survey(root: Cell, observer: Observer, now: float, most: int) -> tuple[dict[str, ActorState], int]:
    """How the actors below a cell are, level by level, by their paths, and how many there are. On the loop's thread.

    Of 10,000 actors it takes 5 ms, where `System.tree` takes 15, and its nodes keep the garbage collector busy besides.

    Args:
        root: the cell.
        observer: of the system; mailboxes in which messages wait are watched until the next time.
        now: the system's time.
        most: of more actors those nearest to the top are told.
    """
    found: dict[str, ActorState] = {}
    kinds: dict[Any, str] = {}
    count = watches = 0
    level: list[tuple[str, Cell]] = [("", root)]
    while level:
        deeper: list[tuple[str, Cell]] = []
        for above, parent in level:
            for cell in below(parent):
                count += 1
                details = cell.details
                has_children = details is not None and bool(details.children)
                if count > most:
                    if has_children:
                        deeper.append(("", cell))
                    continue
                path = f"{above}{cell.name if details is None or details.name is None else details.name}"
                kind = kinds.get(cell.actor_class)
                if kind is None:
                    kind = kinds[cell.actor_class] = _kind(cell)
                waiting, age = len(cell.queue or ()), 0.0
                if waiting:
                    age = oldest(cell, now)
                    if watches < MOST_WATCHES:
                        watches += observer.watch_waiting(cell)
                restarts = 0 if details is None else details.incarnation - 1
                found[path] = (path, kind, NAMES[cell.phase], waiting, age, restarts)
                if has_children:
                    deeper.append((f"{path}/", cell))
        level = deeper
    return found, count


def _kind(cell: Cell) -> str:
    kind = cell.actor_class if isinstance(cell.actor_class, type) else type(cell.actor)
    return kind.__name__
