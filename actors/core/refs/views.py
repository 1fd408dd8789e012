"""What pykka's code looks at: a mailbox with its inbox's interface, and whether an actor has stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base.errors import AskTimeout
from ..mail.cell import DEAD, Cell
from ..mail.future import Future


class Inbox:
    """A mailbox as pykka's code sees it.

    Args:
        cell: whose mailbox.
        tell, ask: how a message gets into it.
    """

    __slots__ = ("_ask", "_cell", "_tell")

    def __init__(self, cell: Cell, tell: Callable[[Any], None], ask: Callable[[Any], Future[Any]]) -> None:
        self._cell = cell
        self._tell = tell
        self._ask = ask

    def put(self, envelope: Any) -> None:
        """Add a pykka envelope, as another runtime's `ask` would."""
        reply = envelope.reply_to
        if reply is None:
            self._tell(envelope.message)
        else:
            self._ask(envelope.message).when_done(lambda ask: _forward(ask, reply))

    def empty(self) -> bool:
        """Whether nothing waits."""
        self._cell.runtime.viewed()
        return not self._cell.queue


def _forward(ask: Future[Any], reply: Any) -> None:
    try:
        reply.set(ask.result())
    except BaseException as error:
        reply.set_exception((type(error), error, error.__traceback__))


class Stopped:
    """Whether an actor has stopped, with the interface of `threading.Event` that pykka's code uses."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def is_set(self) -> bool:
        """Whether it has stopped."""
        return self._cell.state == DEAD

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread until it has.

        Args:
            timeout: seconds.
        """
        if self.is_set():
            return True
        dead = when_changed(self._cell, lambda: self._cell.state == DEAD)
        try:
            dead.get(timeout=timeout)
        except AskTimeout:
            dead.cancel()
            return False
        return True


def when_changed(cell: Cell, holds: Callable[[], bool]) -> Future[None]:
    """Return a future that is done when something is true of an actor, looked at as it starts, ends or dies.

    Giving the future up leaves nothing behind.
    """
    changed: Future[None] = Future(cell.runtime)

    def look() -> None:
        if changed.done():
            return
        if holds() or cell.state == DEAD:
            changed.set(None)
        else:
            cell.more().on_change[look] = None

    def forget() -> None:
        details = cell.details
        if details is not None and details.has("on_change"):
            details.on_change.pop(look, None)

    if not holds():
        changed.when_done(lambda _: None if cell.runtime.closed else cell.runtime.post(forget))
    cell.runtime.post(look)
    return changed
