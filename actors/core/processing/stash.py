"""A message put aside by its handler, until the actor takes it up again: which one it is, and when it may be."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import get_ident
from typing import Any

from ..base.errors import CoreError, MailboxFull
from ..base.lifecycle import Phase
from ..base.scope import active
from ..mail.ask import PUT_ASIDE, Ask
from ..mail.cell import Cell
from ..mail.envelope import DEFERRED, Envelope, Mark
from ..mail.mailbox import capacity, enqueue_first
from ..mail.queue import is_unseen
from .dispatcher import Leader


def stash(cell: Cell, message: Any) -> Any:
    """Put the message at work aside; return what the handler answers.

    Raises:
        CoreError: no handler of the actor is at work here, or it has put its message aside already.
        MailboxFull: as many are put aside as the mailbox holds.
    """
    handler = _handler_here(cell)
    if handler is None:
        raise CoreError(f"{cell.place}: only a handler can stash, and only the message it was given")
    details = cell.more()
    if details.stashed_by is handler:
        raise CoreError(f"{cell.place}: the message at work is stashed already")
    if details.stash is None:
        details.stash = deque()
    most = capacity(cell)
    if len(details.stash) >= most and sum(not is_unseen(item) for item in details.stash) >= most:
        raise MailboxFull(f"{cell.place} has stashed {most} messages, as many as its mailbox holds")
    details.stashed_by = handler
    if handler is cell:
        if cell.signals is None:
            cell.signals = deque()
        cell.signals.appendleft(lambda: _first_step_over(cell))
    item: Any = cell.current
    if item is not None:
        cell.current = None
        item.work = PUT_ASIDE
    else:
        taken, scope = details.taken, active.get()
        if taken is not None and taken.message is message:
            item = taken
        else:
            item = message if scope is None else Envelope(message, scope)
    details.stash.append(item)
    probe = cell.runtime.probe
    if probe is not None:
        probe.event("stashed", actor=cell.path, id=getattr(item, "id", 0), message=message)
    return DEFERRED


def unstash_all(cell: Cell) -> None:
    """Put back what is stashed, in its order, before all that waits."""
    details = cell.details
    if details is not None and details.stash:
        stashed, details.stash = details.stash, None
        enqueue_first(cell, stashed)


def taken_up_again(cell: Cell) -> Ask | None:
    """Return what is done when all that is stashed has been taken up again, or the actor is dead; None if none is.

    On the loop's thread only.
    """
    details = cell.details
    if details is None or not details.stash:
        return None
    mark = Ask(cell, Mark(), None)
    details.stash.append(mark)
    return mark


def _handler_here(cell: Cell) -> Any:
    """Return what stands for the handler this is called in: its driver, or the cell in its first step. None for hooks,
    work beside the mailbox, and other threads."""
    runtime = cell.runtime
    driver = cell.driver
    if get_ident() != runtime.thread:
        return None
    if driver is not None:
        here = driver.__class__ is Leader and asyncio.current_task(runtime.loop) is driver.task
        return driver if here else None
    details = cell.details
    hook = cell.phase == Phase.STARTING or (details is not None and details.ending is not None)
    return cell if runtime.active is cell and not hook else None


def _first_step_over(cell: Cell) -> None:
    """The handler that has stashed in its first step has ended, or has been handed to a driver."""
    cell.more().stashed_by = cell.driver
