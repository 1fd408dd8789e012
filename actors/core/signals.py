"""Stopping a system when the process is told to end, and then doing what would have been done without us."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from threading import get_ident
from types import TracebackType
from typing import Any

from .base.behaviour import check_seconds
from .base.errors import CoreError, NotMainThread, SpecError, SystemClosed, brief
from .system import STOP_TIMEOUT, System


def stop_on_signals(
    system: System, signals: Iterable[signal.Signals] = (signal.SIGTERM,), *, timeout: float = STOP_TIMEOUT
) -> AbstractContextManager[None]:
    """Stop a system when a signal comes; afterwards the handler that was found does what it always did.

    Use it as ``with stop_on_signals(system):`` around what the program does, on the system's own loop, or in a
    synchronous program whose system has a thread of its own. On the first signal the system stops as by ``stop``; a
    second one of those given ends the stop at once: what is left is killed. When the system has stopped, the handlers
    found are put back and the signal is raised again: a function found, one of the running loop's
    ``add_signal_handler`` too, is called then, ``SIG_DFL`` ends the process with the signal's own status, ``SIG_IGN``
    lets the program go on. Leaving the block puts the handlers back too; if a stop is under way, when that has ended.

    Where ``SIG_DFL`` is found, no ``finally`` and no ``atexit`` of the program runs after the stop: clean up in an
    actor's ``on_stop``, or install a handler first (``signal.signal(signal.SIGTERM, lambda *_: None)``), and the
    program goes on to its own end.

    A synchronous program had better wait in pieces, ``while not done.wait(1.0)``: Python runs handlers when the main
    thread takes its next step, and a signal in the very moment in which it begins to wait does not wake it.

    Args:
        system: a running system.
        signals: on which; Ctrl-C (``SIGINT``) needs no help in ``asyncio.run``, which cancels the main task.
        timeout: seconds for an orderly stop; then what is left is killed.

    Raises:
        SpecError: no system, no signals, something that is none or cannot be caught, or a negative timeout.
        NotMainThread: entered in another thread than the main one.
        SystemClosed: entered with a system that does not run.
        CoreError: entered where the handler found could not be put back: it was set by other means than Python's, or
            it is one of uvloop's ``add_signal_handler``, which does not show it.
    """
    if not isinstance(system, System):
        raise SpecError(f"{brief(system)} is no System: stop_on_signals(system, (signal.SIGTERM,))")
    check_seconds(timeout, "timeout")
    return _StopOnSignals(system, _check_signals(signals), timeout)


class _StopOnSignals(AbstractContextManager[None]):
    def __init__(self, system: System, signals: tuple[signal.Signals, ...], timeout: float) -> None:
        self._system = system
        self._signals = signals
        self._timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._found: dict[signal.Signals, Any] = {}
        self._handles: dict[signal.Signals, Any] = {}
        self._came: signal.Signals | None = None
        self._stop: asyncio.Task[None] | None = None
        self._over = threading.Event()
        self._once = threading.Lock()

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise NotMainThread("stop_on_signals() sets signal handlers: enter it in the main thread")
        if self._system.loop is None or self._system.closed:
            raise SystemClosed(f"{self._system!r} does not run: there is nothing to stop")
        self._loop = asyncio._get_running_loop()
        found = {number: signal.getsignal(number) for number in self._signals}
        for number, handler in found.items():
            if handler is None or (self._loop is not None and getattr(handler, "__self__", None) is self._loop):
                raise CoreError(
                    f"{number.name} has a handler that cannot be put back: one not set by Python, or one of a loop "
                    "that does not show its own, as uvloop's does not; set it by signal.signal()"
                )
        # asyncio's loop would call its own handler at once, whatever the process's is; it has no public way to look.
        own = getattr(self._loop, "_signal_handlers", {})
        self._handles = {number: own[number] for number in self._signals if number in own}
        self._found = found
        for number in self._signals:
            if self._loop is not None and number in self._handles:
                self._loop.remove_signal_handler(number)
            signal.signal(number, self._on_signal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._came is None:
            self._put_back()
        elif not self._system.runtime.owns_this_thread():
            # The stop is under way in the other thread, which tells its end by the signal, if it comes to that.
            while not self._over.wait(0.1):
                if self._system.closed and not self._system.loop.is_running():
                    self._finish()
        elif self._system.closed:
            self._finish()
        # Else the system stops once this task waits, and _finish is called then.

    def _put_back(self) -> None:
        for number, handler in self._found.items():
            handle = self._handles.get(number)
            if handle is None:
                signal.signal(number, handler)
            elif self._loop is not None and not self._loop.is_closed():
                self._loop.add_signal_handler(number, handle._callback, *handle._args)
        self._found = {}

    # -- the signal comes ------------------------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: object) -> None:
        """Have the system stop; or finish: a stop that has ended tells it by the signal.

        The next signal may come in the middle of this: which was the first is decided on the loop.
        """
        self._came = self._came or signal.Signals(number)
        try:
            if not self._system.closed:
                self._system.loop.call_soon_threadsafe(self._stop_or_hurry)
                return
        except RuntimeError:  # its loop has closed just now
            pass
        self._finish()

    def _stop_or_hurry(self) -> None:
        """Begin to stop; at the second signal, stop at once."""
        loop = self._system.loop
        if self._stop is None:
            self._stop = loop.create_task(self._stopped(), name=f"{self._system.name}-stop-on-signal")
        else:
            loop.call_soon(self._stop.cancel)  # behind its first step, without which there is no stop

    async def _stopped(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the second signal: what was left has been killed
                await self._system.stop(self._timeout)
        finally:
            main = threading.main_thread().ident
            if get_ident() == main:
                self._system.loop.call_soon(self._finish)
            elif not self._over.is_set():
                assert main is not None
                assert self._came is not None
                signal.pthread_kill(main, self._came)

    def _finish(self) -> None:
        """Put the handlers back and raise the signal again. In the main thread only."""
        if not self._once.acquire(blocking=False):
            return
        self._over.set()
        self._put_back()
        assert self._came is not None
        signal.raise_signal(self._came)


def _name(number: int) -> str:
    return f"signal.{number.name}" if isinstance(number, signal.Signals) else repr(number)


def _check_signals(signals: Iterable[signal.Signals]) -> tuple[signal.Signals, ...]:
    if isinstance(signals, int):  # as each of signal.Signals is
        raise SpecError(f"signals is {_name(signals)}, which is one: give a tuple: ({_name(signals)},)")
    try:
        checked = tuple(signal.Signals(number) for number in signals)
    except (TypeError, ValueError) as error:
        raise SpecError(f"signals is {brief(signals)}: give a tuple of signal.Signals: (signal.SIGTERM,)") from error
    never = [number.name for number in checked if number.name in ("SIGKILL", "SIGSTOP")]
    if never or not checked:
        raise SpecError(f"{', '.join(never)} cannot be caught" if never else "there is no signal to stop on")
    return checked
