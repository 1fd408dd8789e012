"""Running coroutines for actors.

A `Worker` is what an `asyncio.Task` runs in place of the user's coroutine, so that the runtime keeps three powers a
plain task does not give:

- a coroutine may have made its first steps before the task has (see `dispatcher`), under the task's identity;
- a coroutine whose task is cancelled before its first step still gets the cancellation (plain asyncio never enters it);
- a coroutine that swallows `asyncio.CancelledError` can still be ended: the worker stops driving and closes it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from .errors import ActorCrashed

if TYPE_CHECKING:
    from .cell import Cell
    from .envelope import Ask
    from .system import System

logger = logging.getLogger("callboard")
_NOTHING: Any = object()
Done = Callable[["Worker", Any, BaseException | None], None]


class Worker(Coroutine[Any, Any, None]):
    """Drives one user coroutine inside one task; reports how it ended to ``on_done`` exactly once."""

    __slots__ = (
        "__weakref__",
        "_pending",
        "_waiter",
        "answering",
        "ask",
        "cell",
        "context",
        "coro",
        "killed",
        "killer",
        "on_done",
        "standby",
        "system",
        "task",
    )

    def __init__(self, system: System, context: contextvars.Context, name: str) -> None:
        self.system = system
        self.context = context
        self.cell: Cell | None = None
        self.coro: Coroutine[Any, Any, Any] | None = None
        self.on_done: Done | None = None
        self.answering = False
        self.killed = False
        self.standby: Coroutine[Any, Any, None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ask: Ask | None = None
        self.killer: asyncio.TimerHandle | None = None
        self._pending: Any = _NOTHING
        if system.probe is None:
            self.task: asyncio.Task[Any] = asyncio.Task(self, loop=system.loop, name=name, context=context)
        else:  # a simulated loop makes tasks of its own kind
            self.task = system.loop.create_task(self, name=name, context=context)
        system.workers[self] = None

    # -- handing work over -----------------------------------------------------------------------------------------

    def take(self, cell: Cell, coro: Coroutine[Any, Any, Any], pending: Any, on_done: Done) -> None:
        """Go on with a coroutine whose first step was made outside the task and now waits for ``pending``."""
        self.assign(cell, coro, on_done)
        self.standby = None
        self._pending = pending
        self._wake()

    def assign(self, cell: Cell, coro: Coroutine[Any, Any, Any], on_done: Done) -> None:
        """Give a task that has not made a step yet a coroutine that has not either."""
        self.cell = cell
        self.coro = coro
        self.on_done = on_done

    def retire(self) -> None:
        """End the task of a leader that leads no more."""
        self.standby = None
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def report(self, value: Any, error: BaseException | None) -> None:
        """Say how the handler has ended that the task went on with; the coroutine itself ends right after."""
        done, self.on_done = self.on_done, None
        if done is not None:
            done(self, value, error)

    # -- the coroutine protocol the task drives ----------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        pending = self._pending
        if pending is not _NOTHING:
            self._pending = _NOTHING
            return pending
        coro = self.coro
        if coro is None:
            return self._idle()
        try:
            probe = self.system.probe
            if probe is not None and probe.on_process is not None and (error := self._injected()) is not None:
                return coro.throw(error)
            return coro.send(value)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except BaseException as error:
            self._finish(None, error)
        raise StopIteration

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        error = typ if isinstance(typ, BaseException) else val if val is not None else typ()
        coro = self.coro
        if coro is None:
            if self.standby is not None:
                self.system.dispatcher.dismiss(self)
            self._gone()
            raise error
        pending, self._pending = self._pending, _NOTHING
        if pending is not _NOTHING and hasattr(pending, "cancel"):
            pending.cancel()
        try:
            return coro.throw(error)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except BaseException as raised:
            self._finish(None, raised)
        raise StopIteration

    def _injected(self) -> BaseException | None:
        """Ask the probe whether a handler fails here, where it goes on after having waited."""
        cell = self.cell
        if cell is not None and cell.worker is self:
            try:
                self.system.probe.on_process(cell.path, cell.more().processed, "in")
            except BaseException as error:
                return error
        return None

    def close(self) -> None:
        coro, self.coro = self.coro, None
        if coro is not None:
            coro.close()

    def __await__(self) -> Any:  # pragma: no cover - the ABC wants it; tasks never call it
        raise TypeError("a worker is driven by its own task")

    def _idle(self) -> Any:
        if self.standby is None:
            self._gone()
            raise StopIteration
        self._waiter = self.system.loop.create_future()
        self._waiter._asyncio_future_blocking = True
        return self._waiter

    # -- ending ------------------------------------------------------------------------------------------------------

    def _gone(self) -> None:
        if self.killer is not None:
            self.killer.cancel()
            self.killer = None
        self.system.worker_ended(self)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        self.coro = None
        try:
            self.report(value, error)
        finally:
            self._gone()

    def cancel_softly(self) -> None:
        """Cancel the coroutine; if it has not ended when its actor's shutdown time is over, kill it."""
        if self.coro is None:
            return
        self.task.cancel()
        if self.killer is None and self.cell is not None:
            self.killer = self.system.loop.call_later(self.cell.shutdown, self._hung)

    def _hung(self) -> None:
        logger.error("%s: a coroutine did not end when it was cancelled; it is closed", self.task.get_name())
        self.kill()

    def kill(self) -> None:
        """End the coroutine now, whatever it does about cancellation."""
        coro = self.coro
        if coro is None:
            return
        if getattr(coro, "cr_running", False):  # it kills itself: as soon as it waits, which is as soon as one can
            self.system.loop.call_soon(self.kill)
            return
        name = self.task.get_name()
        self.coro = None
        self.killed = True
        try:
            self.context.run(coro.close)  # where its context variables can be reset
        except BaseException as error:
            logger.error("%s: closing a coroutine raised %r", name, error)
        self.task.cancel()  # the task itself ends in its next step, see throw()
        self.report(None, ActorCrashed(f"{name} was killed while it was at work"))
