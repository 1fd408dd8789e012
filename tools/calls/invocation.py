"""One running tool call: its timeout, its cancellation, its end.

A call's body runs in a task of its own, so that a body that ignores its cancellation holds nobody up, and a
``CancelledError`` that a tool raises by itself is not taken for its caller's.

    WAITING  --a slot is free-->                 RUNNING (the timeout starts)
    WAITING  --cancel()-->                       ENDED (ToolCancelled)
    RUNNING  --pause(), resume()-->              RUNNING (in between, waiting for a thread, no time passes)
    RUNNING  --the body ended-->                 ENDED (its result)
    RUNNING  --timeout / cancel()-->             STOPPING (the body's task is cancelled)
    STOPPING --the body ended-->                 ENDED (ToolTimeout / ToolCancelled)
    STOPPING --the grace period is over-->       ENDED (the same; the body is left behind, and logged)
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ...actors.core.base.errors import named
from ..errors import ToolCancelled, ToolError, ToolTimeout
from ..result import ToolResult
from .changes import Changes, changes
from .slots import Slots

logger = logging.getLogger(__name__)

GRACE = 2.0
"""Seconds a cancelled body may take to clean up before nobody waits for it any longer."""

_left_behind: set[asyncio.Task[ToolResult]] = set()  # strong references, or the collector could end them midway


class Invocation:
    """A running call.

    Args:
        name: the tool's name, for the task and the log.
        body: called with this invocation; its coroutine returns the result and raises nothing but `CancelledError`.
        timeout: seconds, or None for no limit. The wait for a slot does not count.
        on_end: called once with the result, in the loop.
        slots: where to take a slot before the body starts; None: start now.
    """

    __slots__ = (
        "_body",
        "_changes",
        "_context",
        "_left",
        "_name",
        "_on_end",
        "_outer",
        "_slots",
        "_task",
        "_timeout",
        "_timer",
        "_waiting",
        "verdict",
    )

    def __init__(
        self,
        name: str,
        body: Callable[[Invocation], Coroutine[Any, Any, ToolResult]],
        timeout: float | None,
        on_end: Callable[[ToolResult], object],
        slots: Slots | None = None,
    ) -> None:
        self.verdict: ToolError | None = None
        """Why the call is being stopped, once it is."""
        self._name = name
        self._body = body
        self._timeout = timeout
        self._left = timeout
        self._on_end: Callable[[ToolResult], object] | None = on_end
        self._slots = slots
        self._outer = changes.get()
        self._changes: Changes | None = None
        self._context: contextvars.Context | None = None
        self._task: asyncio.Task[ToolResult] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if slots is None:
            self._begin()
        else:
            # When its turn comes, it is the call before that makes room: this call's context is kept for it.
            self._context = contextvars.copy_context()
            self._waiting = self._begin  # one object, so that the queue can be searched for it
            slots.take(self._waiting)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._outer is not None:
            self._changes = self._outer.attempt()
            self._context = self._context or contextvars.copy_context()
            self._context.run(changes.set, self._changes)
        self._task = loop.create_task(self._body(self), name=f"tool {self._name}", context=self._context)
        del self._body  # it may hold the call's context, which holds this
        self._task.add_done_callback(self._ended, context=self._context)
        self.resume()

    def start_over(self) -> None:
        """Undo what the body has changed so far; what it changes from here on counts if the call succeeds."""
        if self._changes is not None and self._outer is not None:
            self._changes.undo()
            self._changes = self._outer.attempt()
            changes.set(self._changes)

    def pause(self) -> None:
        """No time passes for the call: it waits for a thread, or a process."""
        if self._timer is not None and self.verdict is None:
            self._timer.cancel()
            self._left = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
            self._timer = None

    def resume(self) -> None:
        """Time passes again."""
        if self._timer is None and self._left is not None and self.verdict is None and self._on_end is not None:
            self._timer = asyncio.get_running_loop().call_later(self._left, self._expire)

    def cancel(self) -> None:
        """Stop the call. `on_end` still gets a result, at the latest after the grace period."""
        if self._on_end is None or isinstance(self.verdict, ToolCancelled):
            return
        if self._task is None:
            assert self._slots is not None
            self._slots.withdraw(self._waiting)
            on_end, self._on_end = self._on_end, None
            on_end(ToolResult.failure(ToolCancelled(f"{self._name!r} was cancelled before it started")))
        else:
            self._stop(ToolCancelled(f"{self._name!r} was cancelled before it ended; it may have had effects"))

    def _expire(self) -> None:
        self._stop(ToolTimeout(f"{self._name!r} did not end within {self._timeout:g} seconds and was stopped"))

    def _stop(self, verdict: ToolError) -> None:
        self.verdict = verdict
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._leave_behind)
        assert self._task is not None
        self._task.cancel()

    def _leave_behind(self) -> None:
        logger.warning("tool %s ignores its cancellation; its task is left behind", self._name)
        assert self._task is not None
        assert self.verdict is not None
        _left_behind.add(self._task)
        self._task.add_done_callback(_left_behind.discard)
        self._end(ToolResult.failure(self.verdict))

    def _ended(self, task: asyncio.Task[ToolResult]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():
            result = ToolResult.failure(self.verdict or ToolCancelled(f"{self._name!r} was cancelled from outside"))
        else:
            error = task.exception()  # only what is no Exception gets here: the loop itself is being torn down
            result = task.result() if error is None else ToolResult.failure(ToolCancelled(named(error)))
            if isinstance(self.verdict, ToolCancelled) and not result.is_error:
                result = ToolResult.failure(self.verdict)
        self._end(result)

    def _end(self, result: ToolResult) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            if self._slots is not None:
                self._slots.release()
            if self._changes is None:
                on_end(result)
                return
            result = self._with(self._changes, result)
            token = changes.set(self._outer)  # a call that is begun by this one's end is not made by this one
            on_end(result)
            changes.reset(token)

    def _with(self, made: Changes, result: ToolResult) -> ToolResult:
        """The result, once what the call has changed counts, or does not."""
        if result.is_error:
            made.undo()
            return result
        try:
            made.keep()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a function of the user's
            return ToolResult(f"{self._name} set nothing, since what it sets with raised {named(error)}", True)
        return result
