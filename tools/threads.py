"""Threads for synchronous tools.

Not the loop's default executor: that one joins its threads when the loop and the interpreter end, so one tool that
hangs would hang the program; and its few workers, once hung, would starve every other tool. Here threads are daemons,
and a worker whose caller has given up, or that has been at its call for long, no longer counts: another takes its
place.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext, suppress
from typing import Any, Protocol, TypeVar

from ..actors.core.base.errors import named

T = TypeVar("T")

_IDLE = 10.0  # seconds a worker waits for more work before it ends

# Seconds after which a call does not count against the limit any more: it waits for something, or hangs. Those that
# compute for longer hold the loop up, however few they are: they belong in a process of their own.
_LONG = 1.0

# Seconds a thread that computes keeps the interpreter while another waits for it. Python's default of 5 ms, times the
# threads that compute, is how long the loop is held up at each of its steps: beside one such tool the median gap
# between two wake-ups was 8.0 ms (worst 108) with the default, and 2.2 ms (worst 14) with this, on two busy cores.
_SWITCH = 0.001


class Clock(Protocol):
    """What measures the time of a call."""

    def pause(self) -> None:
        """The call waits for its turn, which does not count."""

    def resume(self) -> None:
        """It runs."""


class Job:
    """One call to run in a thread.

    Attributes:
        started: when it began, by `time.monotonic`.
        long: whether it has become one of those that do not count.
        abandoned: whether its caller has given up.
        on_start: called in the worker's thread when a job begins that had to wait for its turn.
        func: what a simulation names the job after.
    """

    __slots__ = ("abandoned", "call", "func", "future", "long", "on_start", "started")

    def __init__(self, call: Callable[[], Any], func: Callable[..., Any] | None = None) -> None:
        self.call = call
        self.func = func or call
        self.future: Future[Any] = Future()
        self.started = 0.0
        self.long = False
        self.abandoned = False
        self.on_start: Callable[[], object] | None = None

    def __call__(self) -> Any:
        """Run the call here; also used by loops whose ``run_in_executor`` has a way of its own, as a simulation's."""
        _current.job = self
        try:
            return self.call()
        except StopIteration as stop:  # no future can carry it; Python makes the same of it in a coroutine
            raise RuntimeError(f"the function raised {named(stop)}") from stop
        finally:
            _current.job = None


class _Current(threading.local):
    job: Job | None = None


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

    ``callboard_processes`` says, to a simulation, that its threads wait for processes: then calls run inline.

    Args:
        limit: how many calls run at once; those above wait in order. Calls that were given up, or have run for longer
            than ``long``, do not count.
        long: seconds, or None: they count however long they run.
        most: how many threads there are at most, with those that do not count but are waited for.
        computing: whether the calls compute, so that the interpreter has to switch more often.
    """

    callboard_processes = False

    def __init__(self, limit: int = 32, *, long: float | None = _LONG, most: int = 256, computing: bool = True) -> None:
        self.long = long
        self._limit = limit
        self._most = most
        self._around: Any = _frequent_switches if computing else nullcontext()
        self._lock = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: dict[Job, None] = {}  # those that count, the longest first
        self._workers = 0  # threads that count against the limit, idle ones too
        self._idle = 0  # of these; each will take one of those that wait
        self._long_ones = 0  # threads that do not count, but are waited for

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        job = call if isinstance(call, Job) else Job(lambda: call(*args, **kwargs))
        with self._lock:
            self._waiting.append(job)
            self._feed()
        return job.future

    def waits(self, job: Job, on_start: Callable[[], object]) -> bool:
        """Whether a job waits for its turn; ``on_start`` is called, in the worker's thread, when it has it."""
        with self._lock:
            if job not in list(self._waiting)[self._idle :]:
                return False
            job.on_start = on_start
            return True

    def relieve(self) -> None:
        """Let those that wait take the places of calls that have become long ones."""
        with self._lock:
            self._feed()

    def abandon(self, job: Job) -> None:
        """Stop waiting for a job: one that has not started never will, one that runs no longer counts."""
        with self._lock:
            job.abandoned = True
            job.future.cancel()
            if job in self._running:
                self._count_out(job)
            elif job.long:
                self._long_ones -= 1
            elif job in self._waiting:
                self._waiting.remove(job)
            self._feed()

    def _count_out(self, job: Job) -> None:
        del self._running[job]
        self._workers -= 1

    def _feed(self) -> None:
        """See to it that somebody takes what waits, as far as the limit goes."""
        if self._idle < len(self._waiting):
            if self._workers >= self._limit and self.long is not None:
                self._let_long_ones_be(time.monotonic() - self.long)
            while self._idle < len(self._waiting) and self._workers < self._limit:
                self._workers += 1
                self._idle += 1
                threading.Thread(target=self._work, name="callboard-tool", daemon=True).start()
        self._lock.notify(len(self._waiting))

    def _let_long_ones_be(self, before: float) -> None:
        for job in list(self._running):
            if job.started > before or self._workers + self._long_ones >= self._most:
                return
            self._count_out(job)
            self._long_ones += 1
            job.long = True

    def _work(self) -> None:
        while True:
            with self._lock:
                fed = self._lock.wait_for(lambda: bool(self._waiting), timeout=_IDLE)
                self._idle -= 1
                if not fed:
                    self._workers -= 1
                    return
                job = self._waiting.popleft()
                if not job.future.set_running_or_notify_cancel():
                    self._idle += 1
                    continue
                job.started = time.monotonic()
                self._running[job] = None
            if job.on_start is not None:
                job.on_start()
            value, failed = None, None
            try:
                with self._around:
                    value = job()
            except BaseException as error:  # it belongs to whoever waits for the call, whatever it is
                failed = error
            if not self._goes_on(job):
                self._settle(job, value, failed)
                return
            self._settle(job, value, failed)
            del job, value, failed  # or the last result would live as long as this thread waits

    def _goes_on(self, job: Job) -> bool:
        """A job has ended; whether its thread takes more."""
        with self._lock:
            if self._running.pop(job, job) is job:  # it did not count any more
                if job.long and not job.abandoned:
                    self._long_ones -= 1
                if self._workers >= self._limit:
                    return False
                self._workers += 1
            self._idle += 1
            return True

    @staticmethod
    def _settle(job: Job, value: Any, failed: BaseException | None) -> None:
        if failed is not None:
            job.future.set_exception(failed)
        else:
            job.future.set_result(value)


_threads = ToolThreads()


def call_in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Have a function called in a loop, from any thread; nothing where the loop is closed, since nobody waits then."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


async def in_thread(call: Callable[[], T], clock: Clock | None = None) -> T:
    """Run ``call`` in a tool thread, in a copy of the current context, and return or raise what it does.

    Cancelling stops the waiting at once; the thread itself goes on until ``call`` returns (see `gave_up`).

    Args:
        call: what to run.
        clock: is paused while the call waits for a thread.
    """
    context = contextvars.copy_context()
    result: T = await run_job(Job(lambda: context.run(call), call), _threads, clock)
    return result


async def run_job(job: Job, threads: ToolThreads, clock: Clock | None) -> Any:
    """Have a job done in one of the threads, and return or raise what it does. A job that is cancelled is abandoned."""
    loop = asyncio.get_running_loop()
    done = loop.run_in_executor(threads, job)
    relief: asyncio.TimerHandle | None = None

    def begun() -> None:
        if clock is not None:
            clock.resume()
        if relief is not None:
            relief.cancel()

    def relieve(every: float) -> None:
        nonlocal relief
        threads.relieve()
        relief = loop.call_later(every, relieve, every)

    def on_start() -> None:
        call_in_loop(loop, begun)

    try:
        if threads.waits(job, on_start):
            if clock is not None:
                clock.pause()
            if threads.long is not None:
                relief = loop.call_later(threads.long, relieve, threads.long)
        return await done
    except asyncio.CancelledError:
        if job.future.cancelled() or not job.future.done():  # otherwise the call has ended, perhaps so by itself
            threads.abandon(job)
        raise
    finally:
        if relief is not None:
            relief.cancel()
