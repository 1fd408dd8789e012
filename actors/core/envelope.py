"""What lies in a mailbox. A plain `tell` is the message itself; everything that carries more is one of these.

An `Ask` is envelope and reply future in one object: an ask allocates once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from .errors import AskTimeout
from .future import CANCELLED, ERROR, PENDING, VALUE, Future

if TYPE_CHECKING:
    from .cell import Cell
    from .scope import Scope
    from .stream import Channel
    from .system import System
    from .worker import Worker


class Envelope:
    """A told message with a scope, a priority, or an identity for the probe."""

    __slots__ = ("id", "message", "priority", "scope", "sender")

    def __init__(self, message: Any, scope: Scope | None, priority: int = 0, sender: str = "", id: int = 0) -> None:
        self.message = message
        self.scope = scope
        self.priority = priority
        self.sender = sender
        self.id = id


class Ask(Future[Any]):
    """A message that wants an answer, and the future of that answer."""

    __slots__ = ("cell", "message", "scope", "work")

    priority = 0

    def __init__(self, cell: Cell, message: Any, scope: Scope | None, priority: int = 0) -> None:
        # Not by the base's __init__: an ask is made for every message, and each store counts (150 ns in all).
        self._asyncio_future_blocking = False
        self._state = PENDING
        self._callbacks = None
        self.cell = cell
        self.message = message
        self.scope = scope
        self.work: Worker | None = None
        if priority:
            self.priority = priority

    @property
    def _system(self) -> System:  # type: ignore[override]
        return self.cell.system

    def __repr__(self) -> str:
        return (
            f"<ask {self.message!r} of {self.cell.path}: {('pending', 'answered', 'failed', 'cancelled')[self._state]}>"
        )

    def answer(self, value: Any) -> None:
        """Set the value unless the asker has given up: a late reply goes nowhere."""
        if self._state == PENDING:
            self._settle(VALUE, value)

    def fail(self, error: BaseException) -> None:
        """Set the error unless the asker has given up."""
        if self._state == PENDING:
            self._settle(ERROR, (error, error.__traceback__))

    def arm(self, deadline: float) -> None:
        """Have the ask end at ``deadline``, in the loop's seconds, unless it is answered before."""
        timer = self.cell.system.loop.call_at(deadline, self.expire)
        self.when_done(lambda _: timer.cancel())

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up: the answer is no longer wanted. A handler that works on it is cancelled; a queued ask is dropped."""
        if self._state != PENDING:
            return False
        system = self.cell.system
        if not system.owns_this_thread() and not system.closed:
            system.post(self.cancel, msg)  # a handler, and its task, are touched on their own loop only
            return True
        self._settle(CANCELLED, msg)
        self._call_off()
        return True

    def expire(self) -> None:
        """The deadline has come."""
        if self._state == PENDING:
            error = AskTimeout(f"{self.cell.path} did not answer {self.message!r:.200} within its deadline")
            self._settle(ERROR, (error, None))
            self._call_off()

    def _call_off(self) -> None:
        work = self.work
        if work is not None:
            work.cancel_softly()

    def __await__(self) -> Generator[Any, None, Any]:
        if self._state == PENDING:
            system = self.cell.system
            if system.loop is not asyncio._get_running_loop():
                yield from self._await_elsewhere()
            else:
                system.dispatcher.help()
                if self._state == PENDING:
                    asker = system.handling_here()
                    if asker is None:
                        self._asyncio_future_blocking = True
                        yield self
                    else:
                        asker.waiting_for = self
                        try:
                            asker.check_cycle()
                            self._asyncio_future_blocking = True
                            yield self
                        finally:
                            asker.waiting_for = None
        if self._state == VALUE:
            return self._value
        return self.result()

    __iter__ = __await__


class ProbedAsk(Ask):
    """An ask in a system with a probe, which is told how it ended."""

    __slots__ = ("id", "sender")

    def __init__(self, cell: Cell, message: Any, scope: Scope | None, priority: int = 0) -> None:
        super().__init__(cell, message, scope, priority)
        self.id = 0  # until it is sent
        self.sender = ""

    def __hash__(self) -> int:
        return self.id  # sets of asks iterate alike in every run

    def __eq__(self, other: object) -> bool:
        return self is other

    def _settle(self, state: int, value: Any) -> None:
        super()._settle(state, value)
        if not self.id:  # refused before it was sent
            return
        how, outcome = "reply", value
        if state == CANCELLED:
            how, outcome = "cancel", None
        elif state == ERROR:
            outcome = value[0]
            how = "timeout" if isinstance(outcome, AskTimeout) else "error"
        probe = self.cell.system.probe
        probe.event("ask_end", actor=self.cell.path, id=self.id, how=how, sender=self.sender, outcome=outcome)


class StreamAsk(ProbedAsk):
    """A request whose answer is a stream of items; the future is done when the stream has begun."""

    __slots__ = ("channel",)

    channel: Channel

    def _settle(self, state: int, value: Any) -> None:
        if self.cell.system.probe is None:
            Ask._settle(self, state, value)
        else:
            super()._settle(state, value)
