"""Waits between two looks, and heeds a key that ends them."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def until_q() -> Iterator[Callable[[float], bool]]:
    """Take keys one by one while the block is at work, where stdin is a terminal.

    Returns:
        Waits for so many seconds; whether q was pressed meanwhile.
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield _asleep
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield _asleep
        return
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    try:
        tty.setcbreak(keys)  # Ctrl-C stays a signal
        yield lambda seconds: _pressed(keys, seconds)
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def _asleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _pressed(keys: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not select.select([keys], [], [], left)[0]:
            return False
        key = os.read(keys, 1)
        if key in (b"q", b"Q", b""):  # no more keys come from a terminal that has gone
            return True
    return False
