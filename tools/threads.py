"""Threads for synchronous tools.

Not the loop's default executor: that one joins its threads when the loop and the interpreter end, so one tool that
hangs would hang the program; and its few workers, once hung, would starve every other tool. Here threads are daemons,
and a worker whose caller has given up no longer counts: another takes its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE = 10.0  # seconds a worker waits for more work before it ends

# Seconds a thread that computes keeps the interpreter while another waits for it. Python's default of 5 ms, times the
# threads that compute, is how long the loop is held up at each of its steps: beside one such tool the median gap
# between two wake-ups was 8.0 ms (worst 108) with the default, and 2.2 ms (worst 14) with this, on two busy cores.
_SWITCH = 0.001


class _Job:
    """One call to run in a thread."""

    __slots__ = ("abandoned", "call", "future", "running")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.future: Future[Any] = Future()
        self.running = False
        self.abandoned = False

    def __call__(self) -> Any:
        """Run the call here; also used by loops whose ``run_in_executor`` ignores the executor and runs inline."""
        _current.job = self
        try:
            return self.call()
        finally:
            _current.job = None


class _Current(threading.local):
    job: _Job | None = None


_current = _Current()


def gave_up() -> bool:
    """Whether the caller of the synchronous tool that runs in this thread has stopped waiting (timeout, cancel).

    A thread cannot be stopped from outside; a tool that works in steps asks this between them and returns early.
    """
    return _current.job is not None and _current.job.abandoned


class _FrequentSwitches:
    """Shortens the interpreter's switch interval while at least one tool runs in a thread, and then restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._before = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
            if self._running == 1:
                self._before = sys.getswitchinterval()
                if self._before > _SWITCH:
                    sys.setswitchinterval(_SWITCH)

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._running -= 1
            # Not if somebody else has set another one meanwhile. The interpreter counts in whole microseconds.
            if not self._running and self._before > _SWITCH and abs(sys.getswitchinterval() - _SWITCH) < 1e-6:
                sys.setswitchinterval(self._before)


_frequent_switches = _FrequentSwitches()


class ToolThreads(Executor):
    """Daemon worker threads, made on demand and reused.

    Args:
        limit: how many calls run at once; those above wait in order. Calls that were given up do not count.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._lock = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._workers = 0  # threads that count against the limit
        self._idle = 0

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        job = call if isinstance(call, _Job) else _Job(lambda: call(*args, **kwargs))
        with self._lock:
            self._waiting.append(job)
            if self._idle >= len(self._waiting):
                self._lock.notify()
            elif self._workers < self._limit:
                self._add_worker()
        return job.future

    def abandon(self, job: _Job) -> None:
        """Stop waiting for a job: one that has not started never will, one that runs no longer counts."""
        with self._lock:
            job.abandoned = True
            job.future.cancel()
            if job.running:
                job.running = False
                self._workers -= 1
                if self._waiting and self._workers < self._limit and not self._idle:
                    self._add_worker()

    def _add_worker(self) -> None:
        self._workers += 1
        threading.Thread(target=self._work, name="callboard-tool", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
                fed = self._lock.wait_for(lambda: bool(self._waiting), timeout=_IDLE)
                self._idle -= 1
                if not fed:
                    self._workers -= 1
                    return
                job = self._waiting.popleft()
                if not job.future.set_running_or_notify_cancel():
                    continue
                job.running = True
            try:
                with _frequent_switches:
                    value = job()
            except BaseException as error:  # it belongs to whoever waits for the call, whatever it is
                job.future.set_exception(error)
            else:
                job.future.set_result(value)
            with self._lock:
                counted, job.running = job.running, False
            if not counted:
                return
            del job  # or the last result would live as long as this thread waits


_threads = ToolThreads()


async def in_thread(call: Callable[[], T]) -> T:
    """Run ``call`` in a tool thread, in a copy of the current context, and return or raise what it does.

    Cancelling stops the waiting at once; the thread itself goes on until ``call`` returns (see `gave_up`).
    """
    context = contextvars.copy_context()
    job = _Job(lambda: context.run(call))
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, job)
    except asyncio.CancelledError:
        _threads.abandon(job)
        raise
