"""Threads that have been read are kept, so that only what is new is read the next time."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

from .thread import Thread

ROOM: Final = 64_000_000
"""Bytes, about, that are kept; the thread used last is kept whatever its size."""


class Cache:
    """Those used last. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads: OrderedDict[str, Thread] = OrderedDict()
        self._size = 0

    def get(self, name: str) -> Thread | None:
        """A thread, if it is here and not stale."""
        with self._lock:
            there = self._threads.get(name)
            if there is None:
                return None
            if there.stale:
                self._drop(name)
                return None
            self._threads.move_to_end(name)
            return there

    def keep(self, there: Thread) -> None:
        """Keep it, in place of an older one, as the one used last."""
        with self._lock:
            if self._threads.get(there.name) is not there:
                self._drop(there.name)
            self._threads[there.name] = there
            self._threads.move_to_end(there.name)
            self._size += there.size - there.counted
            there.counted = there.size
            while self._size > ROOM and len(self._threads) > 1:
                self._drop(next(iter(self._threads)))

    def forget(self, name: str) -> None:
        """It has changed otherwise."""
        with self._lock:
            self._drop(name)

    def _drop(self, name: str) -> None:
        there = self._threads.pop(name, None)
        if there is not None:
            self._size -= there.counted
            there.counted = 0
