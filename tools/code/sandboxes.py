"""The one pool of sandboxes of a process. Each call has a new sandbox out of it, in a process of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from ..errors import CodeFailed, MissingExtra

_AT_ONCE = 32  # sandboxes, as many as there are threads for tools; more wait
_AT_ONCE_IN_A_LOOP = 10_000  # under a simulated loop nobody can wait: it would stand still, and so would those at work
_AT_EXIT = 2.0  # seconds that the end of the process may take for this

_lock = threading.Lock()
_pool: Any = None
_blocking: Any = None
_of_parents: list[Any] = []


def sandboxes() -> tuple[Any, Any]:
    """The package pydantic_monty, and the pool, which any event loop may use. It starts a process: call it in a thread.

    Under a simulated loop, where threads run in the loop's place, it is one whose sessions are no coroutines: a program
    is a real process there, too, and each of its turns is one step.

    Raises:
        MissingExtra: pydantic-monty is not installed.
        CodeFailed: this process was forked from one that had a pool: its threads are not there.
    """
    global _pool, _blocking
    try:
        import pydantic_monty
    except ImportError:
        raise MissingExtra("sandbox", "running Python code") from None
    if _of_parents:
        raise CodeFailed(
            "this process was forked from one that had run code in a sandbox, and cannot; start processes by 'spawn'"
        )
    sizes: dict[str, Any] = {"min_processes": 1, "max_checkouts_per_worker": 1}
    if _in_a_loop():
        if _blocking is None:
            _blocking = pydantic_monty.Monty(max_processes=_AT_ONCE_IN_A_LOOP, **sizes).__enter__()
            atexit.register(_blocking.__exit__, None, None, None)
        return pydantic_monty, _blocking
    with _lock:
        if _pool is None:
            pool = pydantic_monty.AsyncMonty(max_processes=_AT_ONCE, **sizes)
            asyncio.run(_opened(pool))
            atexit.register(_close)
            _pool = pool
        return pydantic_monty, _pool


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _opened(pool: Any) -> None:
    await pool.__aenter__()


async def _closed(pool: Any) -> None:
    async with asyncio.timeout(_AT_EXIT):
        await pool.__aexit__(None, None, None)


def _close() -> None:
    """End the sandboxes, and wait until the pool's own threads are out of Python.

    Such a thread wakes an event loop (``call_soon_threadsafe``), and lets go of the interpreter while it does. If the
    interpreter ends meanwhile, CPython before 3.14 ends the thread; Rust takes that for a fault and aborts the process.
    """
    global _pool
    pool, _pool = _pool, None
    by = time.monotonic() + _AT_EXIT
    if pool is not None:
        with suppress(Exception):  # they end with this process in any case
            asyncio.run(_closed(pool))
    while _in_python() and time.monotonic() < by:
        time.sleep(0.001)


def _in_python() -> bool:
    """Whether a thread that Python did not start runs Python code."""
    return bool(sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()})


def _forked() -> None:
    global _pool, _blocking, _lock
    _lock = threading.Lock()
    _of_parents.extend(pool for pool in (_pool, _blocking) if pool is not None)  # kept: else the parent's would end
    _pool = _blocking = None


os.register_at_fork(after_in_child=_forked)
