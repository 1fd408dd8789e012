"""The door through which other threads, loops and processes reach a system, and what is refused at it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable
from threading import get_ident
from typing import Any, Final, cast

from ..base.errors import SystemClosed
from ..base.log import logger_of
from .parts import Probe

logger = logger_of()

NOWHERE: Final = -1
"""No thread's number: nobody may take the short way into a mailbox."""


class Reachable:
    """The thread and the loop of a system, and what others post there.

    Attributes:
        home: the thread whose sends may go straight into a mailbox; `NOWHERE` while that cannot be known to be right.
        scheduled: whether the loop will call `serve`.
    """

    __slots__ = (
        "__weakref__",
        "_ends",
        "_inbox",
        "_inbox_flag",
        "_inbox_lock",
        "_last",
        "base_context",
        "closed",
        "forked",
        "home",
        "loop",
        "probe",
        "scheduled",
        "serve",
        "thread",
    )

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = cast("asyncio.AbstractEventLoop", None)
        self.base_context = contextvars.Context()
        self.probe: Probe | None = None
        self.thread = NOWHERE
        self.home = NOWHERE
        self.forked = False
        self.closed = False
        self.scheduled = False
        self.serve: Callable[[], None] = not_started
        self._ends = False
        self._last: AsyncGenerator[None, None] | None = None
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._inbox_flag = False
        self._inbox_lock = threading.RLock()

    def live_here(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to live on the running loop, in this thread."""
        self.loop = loop
        self.thread = get_ident()
        self.probe = getattr(loop, "callboard_probe", None)
        # Handlers see what was set where the system was started, a decimal precision or a trace context; what one of
        # them sets, no other sees.
        self.base_context = contextvars.copy_context()
        if self.probe is None:
            self.home = self.thread
            self._last = _until_the_loop_ends(weakref.ref(self))
            _step(self._last.__anext__())
        _running.add(self)

    def live_no_more(self) -> None:
        """The system has stopped."""
        self.closed = True
        if self._last is not None:
            _step(self._last.aclose())
            self._last = None
        if self._inbox:  # what is posted from now on drains it itself
            self.drain_inbox()

    def loop_runs(self) -> None:
        """The loop has just called the dispatcher: sends may take the short way again."""
        if self.probe is None and not self._ends:
            self.home = self.thread

    def loop_ends(self) -> None:
        """The loop is being shut down: what is sent from now on may never be processed, and is looked at first."""
        self._ends = True
        self.home = NOWHERE

    def owns_this_thread(self) -> bool:
        """Whether this is the thread of the system's loop."""
        return get_ident() == self.thread

    def check_reachable(self) -> None:
        """Refuse what could never arrive.

        Raises:
            SystemClosed: the loop is closed, is not the one that runs in its thread now, or belongs to the process
                that this one was forked from.
        """
        if self.forked:
            raise SystemClosed(f"{self!r} belongs to the process that this one was forked from: start one here")
        loop = self.loop
        if loop is None or self.closed:
            return  # all its actors are dead, and say so
        if loop.is_closed():
            raise SystemClosed(f"{self!r} was not stopped before its event loop was closed: nothing is processed there")
        if get_ident() == self.thread:
            running = asyncio._get_running_loop()
            if running is not None and running is not loop:
                raise SystemClosed(
                    f"{self!r} runs in another event loop of this thread, which stands still while this one runs"
                )

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread: now if this is it, else soon, in the order posted from each thread.

        When the system has stopped, all its actors are dead and its loop may be gone: then it is called here and now.

        Raises:
            SystemClosed: see `check_reachable`.
        """
        if get_ident() == self.thread:
            if self.home == NOWHERE and self.probe is None:
                self.check_reachable()
            call(*args)
            return
        if self.forked:
            self.check_reachable()
        self._inbox.append((call, args))
        # First in, then the look: a system that closes looks into the inbox afterwards, so one of the two sees it.
        if self.closed:
            self.drain_inbox()
        elif not self._inbox_flag:
            self._inbox_flag = True
            try:
                self.loop.call_soon_threadsafe(self.drain_inbox, context=self.base_context.copy())
            except RuntimeError:  # the loop is closed
                if self.closed:
                    self.drain_inbox()
                    return
                self._inbox_flag = False
                self._inbox.remove((call, args))
                self.check_reachable()
                raise

    def drain_inbox(self) -> None:
        """Do what other threads have posted."""
        self._inbox_flag = False
        # What arrives is served at once and not in another pass of the loop, which asks its sockets first: the CPU of a
        # thread's blocking ask is 1.11 times pykka's, and was 1.28 times.
        at_once = not self.scheduled and not self.closed
        if at_once:
            self.scheduled = True
        try:
            with self._inbox_lock:  # once it is closed, on whichever threads still send
                while self._inbox:
                    call, args = self._inbox.popleft()
                    try:
                        call(*args)
                    except Exception:
                        logger.exception("%r: what another thread has sent failed", self)
        finally:
            if at_once:
                self.serve()


async def _until_the_loop_ends(reachable: weakref.ref[Reachable]) -> AsyncGenerator[None, None]:
    """Tell a system that its loop is shut down under it: `asyncio.run` closes the generators that the loop knows of."""
    try:
        yield
    finally:
        ends = reachable()
        if ends is not None:
            ends.loop_ends()


def _step(step: Any) -> None:
    """Make the step of a generator that waits for nothing."""
    try:
        step.send(None)
    except (StopIteration, StopAsyncIteration):
        return


def not_started(*_args: Any) -> None:
    """What a slot does that a start has not filled in yet."""
    raise SystemClosed("the system was not started: actors start inside `async with System()`")


_running: weakref.WeakSet[Reachable] = weakref.WeakSet()


def _forked() -> None:
    for reachable in list(_running):
        reachable.forked = True
        reachable.home = reachable.thread = NOWHERE
    _running.clear()


os.register_at_fork(after_in_child=_forked)
