"""What the tests here compare: live objects, allocated blocks, instructions, and peak memory. Never times."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Census:
    """What is alive now."""

    objects: int
    blocks: int


def census() -> Census:
    """Count after a full collection. Objects are what the collector tracks; blocks are all allocations of CPython's."""
    for _ in range(3):  # a finalizer may free what only the next collection sees
        gc.collect()
    return Census(len(gc.get_objects()), sys.getallocatedblocks())


@dataclass
class Work:
    """What was done inside :func:`counted`: bytecode instructions, and the peak of newly held bytes."""

    instructions: int = 0
    peak: int = 0


@contextmanager
def counted() -> Iterator[Work]:
    """Count the instructions this thread executes in functions called from the block, and how far its memory rises.

    A loop over n actors shows as instructions, and so does a search in a list of refs, by their ``__eq__``; a copy
    made by C code shows as a peak of 8n bytes.
    """
    work = Work()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            work.instructions += 1
        frame.f_trace_opcodes = True
        return trace

    gc.collect()
    gc.disable()  # a collection in the middle would call finalizers of others
    others = sys.gettrace()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sys.settrace(trace)
    try:
        yield work
    finally:
        sys.settrace(others)
        work.peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        gc.enable()
