"""What holds for one thread and for a while, kept by the thread's number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def set_here(values: dict[int, T], value: T | None) -> Iterator[None]:
    """Have this thread's entry be another one, or (None) have none, and then be what it was before."""
    thread = get_ident()
    before = values.get(thread)
    _put(values, thread, value)
    try:
        yield
    finally:
        _put(values, thread, before)


def _put(values: dict[int, T], thread: int, value: T | None) -> None:
    if value is None:
        values.pop(thread, None)
    else:
        values[thread] = value
