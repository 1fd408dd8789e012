"""Counts what the interpreter does, which no other load on the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counting(without: str = "") -> Iterator[list[int]]:
    """Count calls of Python functions on this thread while the block runs; its value has the number.

    Args:
        without: functions are left out of whose file's path this is a part, and what these call that is not
            Callboard's; none by default.
    """
    counted = [0]
    theirs = 0  # calls under way that are left out, or that these have made

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal theirs
        if event == "return" and theirs:
            theirs -= 1
        elif event == "call":
            name = frame.f_code.co_filename
            if without and (theirs or without in name):
                theirs += 1
            if not theirs or "callboard" in name:
                counted[0] += 1

    sys.setprofile(look)
    try:
        yield counted
    finally:
        sys.setprofile(None)
