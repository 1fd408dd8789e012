"""Ctrl-C while a search is under way: the run under way ends at its next step, and then the search.

A KeyboardInterrupt at any moment would come between what is replaced and what puts it back, or between the loop and a
thread that has its baton. Another one, where code of the user's never ends its step, is raised at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Stopping:
    """Whether the search in the main thread is to stop, and the loop of its run."""

    asked = False
    at_once = False
    loop: Any = None


_stopping = _Stopping()


def _is_asked(number: int, frame: Any) -> None:
    again, _stopping.asked = _stopping.asked, True
    if again or _stopping.at_once:
        signal.default_int_handler(number, frame)
    if _stopping.loop is not None:
        _stopping.loop.max_steps = -1  # it looks at these with each step anyway


@contextmanager
def deferred() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt where a run has ended; for a whole search, around all that it replaces.

    A handler of somebody else's stays, and so does all in threads other than the main one, which is never interrupted.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _stopping.asked = _stopping.at_once = False
    signal.signal(signal.SIGINT, _is_asked)
    try:
        yield
    finally:
        _stopping.loop = None
        if signal.getsignal(signal.SIGINT) is _is_asked:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        check()


def check() -> None:
    """Raise KeyboardInterrupt in the main thread, if Ctrl-C was pressed."""
    if _stopping.asked and threading.current_thread() is threading.main_thread():
        _stopping.asked = False
        raise KeyboardInterrupt


@contextmanager
def ends_with(loop: Any) -> Iterator[None]:
    """Have the loop of a run stop at its next step when Ctrl-C is pressed, and raise once the run is over."""
    check()
    if threading.current_thread() is threading.main_thread():
        _stopping.loop = loop
    yield
    check()


@contextmanager
def at_once() -> Iterator[None]:
    """Raise KeyboardInterrupt at any moment: other processes search meanwhile."""
    _stopping.at_once = True
    try:
        check()
        yield
    finally:
        _stopping.at_once = False
