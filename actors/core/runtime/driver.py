"""Running coroutines for actors.

A `Driver` is what an `asyncio.Task` runs in place of the user's coroutine, so that the runtime keeps three powers a
plain task does not give:

- a coroutine may have made its first steps before the task has (see the dispatcher), under the task's identity;
- a coroutine whose task is cancelled before its first step still gets the cancellation (plain asyncio never enters it);
- a coroutine that swallows `asyncio.CancelledError` can still be ended: the driver stops driving and closes it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from ..base.errors import ActorCrashed
from ..base.log import logger_of
from .runtime import Receiver, Runtime
from .threads import NOWHERE

logger = logger_of()
NOTHING: Any = object()
Done = Callable[["Driver", Any, BaseException | None], None]


def _is_ours(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(__name__.removesuffix(".runtime.driver"))


class Driver(Coroutine[Any, Any, None]):
    """Drives one coroutine inside one task; reports how it ended to ``on_done`` exactly once.

    Args:
        runtime: whose loop, and who counts it as long as it lives.
        context: what the coroutine runs in.
        name: the task's.

    Attributes:
        answering: whether somebody waits for the outcome: a graceful stop lets it finish.
        killed: whether the coroutine was closed before its end.
        cancelled_itself: whether the coroutine has cancelled the task that it runs in.
    """

    __slots__ = (
        "__weakref__",
        "answering",
        "cancelled_itself",
        "cell",
        "context",
        "coro",
        "killed",
        "killer",
        "on_done",
        "pending",
        "runtime",
        "task",
    )

    def __init__(self, runtime: Runtime, context: contextvars.Context, name: str) -> None:
        self.runtime = runtime
        self.context = context
        self.cell: Receiver | None = None
        self.coro: Any = None
        self.on_done: Done | None = None
        self.answering = False
        self.killed = False
        self.cancelled_itself = False
        self.killer: asyncio.TimerHandle | None = None
        self.pending: Any = NOTHING
        self.task = self._make_task(name)
        runtime.drivers[self] = None

    def _make_task(self, name: str) -> asyncio.Task[Any]:
        loop = self.runtime.loop
        if self.runtime.probe is None:
            return asyncio.Task(self, loop=loop, name=name, context=self.context)
        return loop.create_task(self, name=name, context=self.context)  # a simulated loop makes tasks of its own kind

    def assign(self, cell: Receiver, coro: Any, on_done: Done) -> None:
        """Give a task that has not made a step yet a coroutine that has not either."""
        self.cell = cell
        self.coro = coro
        self.on_done = on_done

    def report(self, value: Any, error: BaseException | None) -> None:
        """Say how the coroutine has ended, unless that was said already."""
        done, self.on_done = self.on_done, None
        if done is not None:
            done(self, value, error)

    # -- the coroutine protocol the task drives ----------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        pending = self.pending
        if pending is not NOTHING:
            self.pending = NOTHING
            return pending
        coro = self.coro
        if coro is None:
            return self._idle()
        try:
            probe = self.runtime.probe
            if probe is not None and probe.on_process is not None and (error := self._injected()) is not None:
                return coro.throw(error)
            awaited = coro.send(value)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except BaseException as error:
            self._finish(None, error)
        else:
            if self.task._must_cancel:  # type: ignore[attr-defined]  # only set while a task runs, or before it has begun a step
                self.cancelled_itself = True
            return awaited
        raise StopIteration

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        error = typ if isinstance(typ, BaseException) else val if val is not None else typ()
        # Perhaps the loop is being shut down: until it has called the dispatcher again, nobody may rely on it.
        self.runtime.home = NOWHERE
        coro = self.coro
        if coro is None:
            self._dismissed()
            self._gone()
            raise error
        pending, self.pending = self.pending, NOTHING
        if pending is not NOTHING and hasattr(pending, "cancel"):
            pending.cancel()
        try:
            return coro.throw(error)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except BaseException as raised:
            self._finish(None, raised)
        raise StopIteration

    def close(self) -> None:
        coro, self.coro = self.coro, None
        if coro is not None:
            coro.close()

    def __await__(self) -> Any:  # pragma: no cover - the ABC wants it; tasks never call it
        raise TypeError("a driver is driven by its own task")

    def _injected(self) -> BaseException | None:
        """Ask the probe whether the handler of a message fails here, where it goes on after having waited."""
        cell: Any = self.cell
        if cell is not None and cell.driver is self and cell.more().taken is not None:  # a hook handles no message
            try:
                self.runtime.probe.on_process(cell.path, cell.more().processed, "in")
            except BaseException as error:
                return error
        return None

    def _idle(self) -> Any:
        """The task has nothing to drive: it ends. A leader waits for its next handler here."""
        self._gone()
        raise StopIteration

    def _dismissed(self) -> None:
        """The task was cancelled while it had nothing to drive."""

    # -- what a debugger sees of the task ----------------------------------------------------------------------------

    @property
    def cr_frame(self) -> Any:
        """The frame of the user's coroutine, so that `asyncio.Task.get_stack` shows where it hangs."""
        return getattr(self._handler(), "cr_frame", None)

    @property
    def cr_await(self) -> Any:
        """What the user's coroutine waits for."""
        return getattr(self._handler(), "cr_await", None)

    def _handler(self) -> Any:
        """The user's coroutine, below those of the runtime that await it."""
        coro = self.coro
        if coro is None or hasattr(coro, "cr_frame"):
            return coro
        coro = getattr(coro, "gi_yieldfrom", None)
        while (frame := getattr(coro, "cr_frame", None)) is not None and _is_ours(frame):
            coro = coro.cr_await  # type: ignore[union-attr]
        return coro

    # -- ending ------------------------------------------------------------------------------------------------------

    def _gone(self) -> None:
        if self.killer is not None:
            self.killer.cancel()
            self.killer = None
        self.runtime.driver_ended(self)

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
            self.killer = self.runtime.loop.call_later(self.cell.shutdown, self._hung)

    def _hung(self) -> None:
        logger.error("%s: a coroutine did not end when it was cancelled; it is closed", self.task.get_name())
        self.kill()

    def kill(self) -> None:
        """End the coroutine now, whatever it does about cancellation."""
        coro = self.coro
        if coro is None:
            return
        # It kills itself: as soon as it waits, which is as soon as one can.
        if getattr(coro, "cr_running", False) or getattr(coro, "gi_running", False):
            self.runtime.loop.call_soon(self.kill)
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
