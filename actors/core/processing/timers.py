"""Messages of an actor to itself, later: once, again and again, or when nothing else has come for a while."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ..base.behaviour import check_seconds
from ..base.errors import ActorDead, SpecError
from ..base.lifecycle import Phase
from ..mail.cell import DEAD, Cell, describe
from ..mail.envelope import Once
from ..mail.mailbox import own_message


@dataclass(frozen=True, slots=True)
class ReceiveTimeout:
    """Sent to an actor that has been without a message for as long as it asked to be told.

    Args:
        seconds: how long that was.
    """

    seconds: float


class Timer:
    """A message to an actor itself, later.

    Args:
        cell: of the actor.
        delay: seconds.
        message: what is sent.
        interval: seconds until it is sent again, or None.

    Raises:
        ActorDead: the actor has stopped.
    """

    __slots__ = ("_cell", "_handle", "_interval", "_message", "_waits")

    def __init__(self, cell: Cell, delay: float, message: Any, interval: float | None) -> None:
        if cell.state == DEAD:
            raise ActorDead(f"{describe(cell)} has stopped: nothing can be scheduled for it")
        self._cell = cell
        self._message = message
        self._interval = interval
        self._waits = False
        self._handle: asyncio.TimerHandle | None = cell.runtime.loop.call_later(delay, self._fire)
        cell.more().timers[self] = None

    def _fire(self) -> None:
        cell = self._cell
        if self._interval is None:
            cell.more().timers.pop(self, None)
            self._handle = None
            own_message(cell, self._message)
            return
        self._handle = cell.runtime.loop.call_later(self._interval, self._fire)
        if not self._waits:  # else the actor is behind: it gets one tick, not all it has missed
            self._waits = True
            own_message(cell, once(cell, self._message, self._taken))

    def _taken(self) -> None:
        self._waits = False

    def cancel(self) -> None:
        """Take it back; nothing happens if it has fired."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._cell.details is not None:
            self._cell.details.timers.pop(self, None)


def once(cell: Cell, message: Any, taken: Any) -> Once:
    """Return the item of a message of which only one may wait."""
    if cell.runtime.probe is None:
        return Once(message, taken)
    return Once(message, taken, cell.path, cell.runtime.next_id())


class Patience:
    """Sends `ReceiveTimeout` to an actor that has been without a message for a while; again after each message.

    One timer looks again when it fires; a message only notes the time. While one `ReceiveTimeout` waits, the mailbox is
    not empty, so that no other joins it.

    Args:
        cell: of the actor.
        seconds: how long it may be without one.

    Raises:
        SpecError: that is no number of seconds more than 0.
        ActorDead: the actor has stopped.
    """

    __slots__ = ("_cell", "_handle", "_seconds", "_since")

    def __init__(self, cell: Cell, seconds: float) -> None:
        seconds = check_seconds(seconds, f"{cell.place}: receive timeout")
        if seconds == 0:
            raise SpecError(f"{cell.place}: receive timeout is 0 seconds; it must be more")
        if cell.state == DEAD:
            raise ActorDead(f"{describe(cell)} has stopped: nothing is sent to it any more")
        self._cell = cell
        self._seconds = seconds
        self._since = cell.runtime.loop.time()
        self._handle: asyncio.TimerHandle | None = cell.runtime.loop.call_later(seconds, self._look)

    def touch(self) -> None:
        """The actor has processed something."""
        self._since = self._cell.runtime.loop.time()
        if self._handle is None and self._cell.phase == Phase.RUNNING:
            self._handle = self._cell.runtime.loop.call_later(self._seconds, self._look)

    def cancel(self) -> None:
        """Send nothing any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        cell = self._cell
        loop = cell.runtime.loop
        self._handle = None
        due = self._since + self._seconds
        if cell.driver is not None or cell.queue:  # it is at work, or behind
            due = loop.time() + self._seconds
        if loop.time() < due:
            self._handle = loop.call_at(due, self._look)
            return
        own_message(cell, ReceiveTimeout(self._seconds))
