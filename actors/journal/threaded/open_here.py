"""What this process has open that has threads of its own: it is closed as the interpreter ends, while the threads are
still there. In a forked process, which has none of them, it is the parent's, and left alone."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Protocol


class Threaded(Protocol):
    """What has threads of its own."""

    def close(self) -> None:
        """Write what waits to be written, and end them."""
        ...


_open: dict[Threaded, Callable[[], object]] = {}
_inherited: list[Threaded] = []  # of the parent, in a forked process: kept, so that nothing is ended for it


def opened(one: Threaded, forked: Callable[[], object]) -> None:
    """It is open in this process from now on.

    Args:
        one: it.
        forked: called in a process that is forked from this one while it is open.
    """
    _open[one] = forked


def closed(one: Threaded) -> None:
    """It is open no more. Twice is fine."""
    _open.pop(one, None)


def is_open(one: Threaded) -> bool:
    """Whether it is open, and this process's own."""
    return one in _open


def _at_exit() -> None:
    for one in list(_open):
        one.close()


def _after_fork() -> None:
    for forked in _open.values():
        forked()
    _inherited.extend(_open)
    _open.clear()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
