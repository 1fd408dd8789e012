"""Which system "here" is: the handler's, the innermost block's, or the process's default one. Also a process's end."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from typing import Final

from .base.errors import SystemClosed
from .base.registry import forget_all
from .system import System, current, threads_of_their_own

logger = logging.getLogger("callboard")

AT_EXIT: Final = 10.0
"""Seconds that a program's end waits for what is queued in systems that nobody has closed."""

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
    """A synchronous program has ended: what it has sent is processed, as pykka would, then its actors are stopped."""
    for system in threads_of_their_own():
        try:
            system.finish(AT_EXIT)
        except Exception:
            logger.exception("%r could not be stopped at the end of the program", system)


def _forked() -> None:
    global _default, _default_lock
    _default = None
    _default_lock = threading.Lock()
    forget_all()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forked)
