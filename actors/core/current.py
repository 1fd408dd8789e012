"""Which system "here" is: the handler's, the innermost block's, or the process's default one. Also a process's end."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from .base.errors import SystemClosed
from .base.log import logger_of
from .base.registry import forget_all
from .system import System, current, threads_of_their_own

logger = logger_of()

AT_EXIT: Final = 10.0
"""Seconds that a program's end waits for the systems that nobody has closed, all of them together."""

DRAINING: Final = 0.7
"""The share of it after which what still waits is not waited for any more."""

STOPPING: Final = 0.95
"""The share of it after which what has not stopped is left behind."""

T = TypeVar("T")

_default: System | None = None
_default_lock = threading.Lock()


def default_system() -> System:
    """The system of actors started outside of any other: on a thread of its own, made when it is first needed."""
    global _default
    with _default_lock:
        if _default is None or _default.closing:
            _default = System.in_thread("default")
        return _default


def current_system() -> System:
    """The system of the handler at work here, or the innermost ``with`` block of one, or the default one.

    Raises:
        SystemClosed: this is a running event loop, and no system was started in it.
    """
    system = current.get()
    if system is not None and not system.closed and not system.runtime.forked:
        return system
    if asyncio._get_running_loop() is not None:
        raise SystemClosed("no system runs here: start actors inside `async with System()`")
    return default_system()


def _at_exit() -> None:
    """A synchronous program has ended: what it has sent is processed, as pykka would, then its actors are stopped.

    All systems drain together, since they may tell each other, and again as long as that brings one of them work; then
    all are stopped.
    """
    systems = threads_of_their_own()
    begun = time.monotonic()

    def left(share: float) -> float:
        return max(0.0, begun + share * AT_EXIT - time.monotonic())

    while left(DRAINING) and _run_all(systems, System.drained, left, DRAINING):
        first = _run_all(systems, System.activity, left, DRAINING)
        # A message may have been on its way between two of them: nothing has happened between two looks, either.
        if not any(at_work for at_work, _ in first) and first == _run_all(systems, System.activity, left, DRAINING):
            break
    _run_all(systems, lambda system: system.stop(left(STOPPING)), left, STOPPING)
    for system in systems:
        if not system.join(left(1.0)):
            logger.error("%r: a handler does not let the event loop go; what waits there is not processed", system)


def _run_all(
    systems: list[System],
    what: Callable[[System], Coroutine[Any, Any, T]],
    left: Callable[[float], float],
    share: float,
) -> list[T]:
    """Run a coroutine on the loop of each system, and wait for all of them; those that take too long are left out."""
    futures = []
    for system in systems:
        coro = what(system)
        try:
            futures.append(asyncio.run_coroutine_threadsafe(coro, system.loop))
        except RuntimeError:  # it has closed just now
            coro.close()
    done, late = concurrent.futures.wait(futures, left(share))
    for future in late:
        future.cancel()
    return [
        future.result()
        for future in futures
        if future in done and not future.cancelled() and future.exception() is None
    ]


def _forked() -> None:
    global _default, _default_lock
    _default = None
    _default_lock = threading.Lock()
    forget_all()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forked)
