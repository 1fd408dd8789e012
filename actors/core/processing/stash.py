"""A message put aside by its handler, until the actor takes it up again: which one it is, and when it may be."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import get_ident
from typing import Any

from ..base.errors import CoreError, MailboxFull, brief
from ..base.lifecycle import Phase
from ..mail.ask import PUT_ASIDE, Ask
from ..mail.cell import Cell
from ..mail.envelope import DEFERRED, PYKKA_MESSAGES, Envelope, Mark
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
    probe = cell.runtime.probe
    item: Any = cell.more().taken  # under a probe
    if item is None:
        item = (cell.runtime.leader if handler is cell else handler).item_at_work()
    given = item.message if isinstance(item, (Ask, Envelope)) else item
    if given is not message and not (isinstance(item, Ask) and given.__class__ in PYKKA_MESSAGES):
        raise CoreError(f"{cell.place}: {brief(message)} is not the message at work; only that one can be stashed")
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
    if isinstance(item, Ask):
        cell.current = None
        item.work = PUT_ASIDE
    details.stash.append(item)
    if probe is not None:
        probe.event("stashed", actor=cell.path, id=getattr(item, "id", 0), message=message)
    return DEFERRED


def unstash_all(cell: Cell) -> None:
    """Put back what is stashed, in its order, before all that waits."""
    details = cell.details
    if details is not None and details.stashed_by is cell:  # the message at work is among them: when its step is over
        assert cell.signals is not None
        cell.signals.append(lambda: unstash_all(cell))
    elif details is not None and details.stash:
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
        here = isinstance(driver, Leader) and asyncio.current_task(runtime.loop) is driver.task
        return driver if here else None
    details = cell.details
    hook = cell.phase == Phase.STARTING or (details is not None and details.ending is not None)
    return cell if runtime.active is cell and not hook else None


def _first_step_over(cell: Cell) -> None:
    """The handler that has stashed in its first step has ended, or has been handed to a driver."""
    cell.more().stashed_by = cell.driver
