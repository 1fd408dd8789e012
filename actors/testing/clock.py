"""Virtual time for ordinary tests: sleeping costs nothing, and an hour's timeout is tested in a millisecond."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from .errors import Deadlock, UnhandledFailure
from .loop.isolation.clocks import clocks_follow
from .loop.loop import SimulationLoop
from .trace.rendering import shown

P = ParamSpec("P")
T = TypeVar("T")
_MAX_STEPS = 10_000_000


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, but on a virtual clock: when nothing can run, it jumps on.

    Everything runs in the order of a stock loop; the system's own dispatcher serves the actors. Sockets, threads and
    processes are refused. `time.monotonic`, the wall clock and their like show the virtual time too, from 0 and from
    2025-01-01 on; chance is the real one.

    Raises:
        Deadlock: nothing can ever go on.
        EscapedSimulation: something real was tried.
        TypeError: that is no coroutine.
        UnhandledFailure: a callback, a background task or a function in an executor failed, and nobody looked; or a
            coroutine was never awaited.
    """
    if not inspect.iscoroutine(main):
        raise TypeError(f"main={main!r:.80}: it is a coroutine, of an async def that is called")
    loop = SimulationLoop(None, order="asyncio", max_steps=_MAX_STEPS)
    loop.writable.append("")  # anywhere: an ordinary test runs once, so that no other run sees what it has written
    try:
        with clocks_follow(loop.time):
            result: T = loop.run_until_complete(main)
            _end(loop)
            unseen = loop.unseen()
    except Deadlock:
        # What a signal's handler raised in a callback of the loop stood in its way.
        for context in loop.unhandled:
            raised = context.get("exception")
            if raised is not None and not isinstance(raised, Exception):
                raise raised from None
        raise
    finally:
        loop.abandon()
    if loop.escaped is not None:
        raise loop.escaped
    for context in loop.unhandled:
        raise UnhandledFailure(str(context.get("message"))) from context.get("exception")
    if unseen is not None:
        what, error = unseen
        raise UnhandledFailure(f"{what} failed, and nobody looked: {shown(error)}") from error
    if loop.unawaited:
        raise UnhandledFailure(f"coroutines that were never awaited: {', '.join(loop.unawaited)}")
    return result


def _end(loop: SimulationLoop) -> None:
    """Cancel what the coroutine left running, as `asyncio.run` does."""
    left = loop.unfinished()
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))  # their exceptions stay unseen
    loop.run_until_complete(loop.shutdown_asyncgens())


def virtual_time(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an ordinary test function of an ``async def`` one, run by `run_virtual`.

    Raises:
        TypeError: that is none.
    """
    never = inspect.isclass(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if never or not callable(function):
        raise TypeError(f"function={function!r:.80}: it is an async def, whose call makes a coroutine")

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(function(*args, **kwargs))

    # pytest-asyncio looks through __wrapped__ for coroutine functions; pytest needs the signature for fixtures.
    wrapper.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    del wrapper.__wrapped__
    return wrapper
