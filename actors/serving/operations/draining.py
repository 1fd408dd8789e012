"""Stopping without losing anything: what was accepted is answered, or told by name who goes on with it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from ..server import Server

LINGER: Final = 1.0
"""Seconds for which connections that are open may still ask: each answer says that it is the connection's last. Closed
at once, they would lose what is on its way."""

LAST_READ: Final = 3.0
"""Seconds for which streams may still be read when no run is under way: those of runs that have ended are at their end
then. What is followed besides goes on elsewhere."""

LOOK: Final = 0.1
"""Seconds between two looks at whether there is a hurry."""


async def drain(
    server: Server, hurried: Callable[[], bool] = lambda: False, close_idle: Callable[[], object] = lambda: None
) -> None:
    """Stop serving. Not ready from now on; runs under way are waited for, at most for the server's time, and then the
    agency stops: whoever still waits for an answer is told so, with the run's id, streams end, and runs of a durable
    journal are gone on with by whoever has the same one. Asked twice, it is the same one that is waited for.

    Args:
        server: which.
        hurried: whether nothing is to be waited for any more.
        close_idle: closes connections on which nothing was asked, so that nothing is: called after `LINGER`.
    """
    if server.leaving is None:
        server.draining = True
        server.agency.leave()
        server.leaving = asyncio.get_running_loop().create_task(_drain(server, hurried, close_idle), name="drain")
    await asyncio.shield(server.leaving)


async def _drain(server: Server, hurried: Callable[[], bool], close_idle: Callable[[], object]) -> None:
    waiting = asyncio.ensure_future(_over(server, close_idle))
    try:
        while not waiting.done() and not hurried():
            await asyncio.wait((waiting,), timeout=LOOK)
    finally:
        waiting.cancel()
    close_idle()
    await server.agency.stop()


async def _over(server: Server, close_idle: Callable[[], object]) -> None:
    """Nothing is under way any more, or the time is up."""
    loop = asyncio.get_running_loop()
    until = loop.time() + server.drain
    await asyncio.sleep(LINGER)
    close_idle()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            over = False
            while not over and loop.time() < until:  # where it is up, nothing here suspends
                await server.agency.drained(until - loop.time())
                for wait in server.also_waited_for:
                    await wait()
                if server.streams:
                    await asyncio.wait(set(server.streams), timeout=LAST_READ)
                over = await server.agency.drained(0.0)  # somebody may have asked meanwhile


def hold_streams() -> None:
    """Have streams that the SDKs of protocols send go on while the process ends: sse-starlette, by which they do, would
    cut them off as soon as it is told to. They end when it is all over, see `let_streams_go`."""
    sending = _sse_starlette()
    if sending is not None:
        sending.disable_automatic_graceful_drain()


def let_streams_go(*, now: bool = False) -> None:
    """Have sse-starlette do as ever.

    Args:
        now: also where it cannot find out that the process ends.
    """
    sending = _sse_starlette()
    if sending is not None:
        sending.enable_automatic_graceful_drain_mode()
        sending.should_exit = now


def _sse_starlette() -> Any:
    found = sys.modules.get("sse_starlette.sse")  # where nobody has asked for it, there is no such stream
    return None if found is None else found.AppStatus


@contextmanager
def drained_on_signals(server: Server) -> Iterator[None]:
    """Have a server drained as soon as its process is told to end, whichever program serves it; see `on_signals`."""
    loop = asyncio.get_running_loop()

    def told() -> None:
        hold_streams()
        loop.call_soon_threadsafe(begin)

    def begin() -> None:
        started = loop.create_task(drained(), name="drain on a signal")
        _DRAINS.add(started)
        started.add_done_callback(_DRAINS.discard)

    async def drained() -> None:
        await drain(server)
        let_streams_go(now=True)

    with on_signals(told):
        try:
            yield
        finally:
            let_streams_go()


@contextmanager
def on_signals(do: Callable[[], object]) -> Iterator[None]:
    """Have something done as soon as the process is told to end: whoever handles that does what it always does besides.
    Nothing happens beside the main thread, or where nobody handles the signals.

    Args:
        do: is called in the signal's handler.
    """
    found: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}

    def told(number: int, frame: FrameType | None) -> None:
        do()
        found[signal.Signals(number)](number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            try:
                signal.signal(number, told)
            except ValueError:  # not the main thread
                break
            found[number] = handler
    try:
        yield
    finally:
        for number, handler in found.items():
            if signal.getsignal(number) is told:
                signal.signal(number, handler)


_DRAINS: Final[set[asyncio.Task[None]]] = set()
