"""Signals while a search is under way: what their handlers raise ends the run at its next step, and then the search.

An exception at any moment would come between what is replaced and what puts it back, or between the loop and a thread
that has its baton. So it is with Ctrl-C, whose handler raises KeyboardInterrupt, and with that of a time limit. Where
code of the user's may never end its step, a second one is raised at once; and so is the first but for Ctrl-C, because
a time limit comes once.
"""

from __future__ import annotations

import signal
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_OURS: Final = __name__.partition(".")[0]
_FOREIGN: Final = (*{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}, "<frozen ")


class _Stopping:
    """What a handler has raised while a search in the main thread is under way, and the loop of its run."""

    raised: BaseException | None = None
    at_once = False
    loop: Any = None


_stopping = _Stopping()
_handlers: dict[int, Callable[[int, Any], Any]] = {}
"""Those of a search's beginning, by signal."""


def _handle(number: int, frame: Any) -> None:
    handler = _handlers[number]
    try:
        handler(number, frame)
    except BaseException as error:
        again = _stopping.raised is not None
        _stopping.raised = error
        if _stopping.loop is not None:
            _stopping.loop.max_steps = -1  # it looks at these with each step anyway
        users = (again or handler is not signal.default_int_handler) and _is_users(frame)
        # In a run, what is not the user's code must put back what it has replaced: it ends soon by itself.
        if _stopping.at_once or users or (again and _stopping.loop is None):
            raise


def _is_users(frame: Any) -> bool:
    """Whether it is code of the user's that has been interrupted, or what that has called of others'."""
    while frame is not None:
        if f"{frame.f_globals.get('__name__')}.".startswith(f"{_OURS}."):
            return False
        if not frame.f_code.co_filename.startswith(_FOREIGN):
            return True
        frame = frame.f_back
    return False


@contextmanager
def deferred() -> Iterator[None]:
    """Have what handlers of signals raise be raised where a run has ended; for a whole search, around all that it
    replaces. Threads other than the main one are never interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _stopping.raised, _stopping.at_once = None, False
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not _handle:
            _handlers[number] = handler
            signal.signal(number, _handle)
    try:
        yield
    finally:
        _stopping.loop = None
        for each, before in _handlers.items():
            if signal.getsignal(each) is _handle:
                signal.signal(each, before)
        _handlers.clear()
        check()


def check() -> None:
    """Raise in the main thread what a handler has raised."""
    raised = _stopping.raised
    if raised is not None and threading.current_thread() is threading.main_thread():
        _stopping.raised = None
        raise raised


@contextmanager
def ends_with(loop: Any) -> Iterator[None]:
    """Have the loop of a run stop at its next step when a handler raises, and raise that once the run is over."""
    check()
    if threading.current_thread() is threading.main_thread():
        _stopping.loop = loop
    try:
        yield
    finally:
        _stopping.loop = None
        if _stopping.raised is not None and loop.threads is not None:
            for thread in loop.threads.left:
                _stopping.raised.add_note(f"{thread} did not come back to the simulation, and is left behind")
    check()


@contextmanager
def at_once() -> Iterator[None]:
    """Raise what handlers raise at any moment: other processes search meanwhile."""
    _stopping.at_once = True
    try:
        check()
        yield
    finally:
        _stopping.at_once = False
