"""Memory while the campaign goes on, and what is left after it."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections import Counter

import psutil

from callboard import Actor

SHORT = 120.0
ALLOWED = 10e6
"""Bytes that memory may grow by, beside 5 %."""
LOOKS = 30
"""Looks, a tenth of a second apart, after which what is still there stays."""


class Memory:
    """Resident memory after the warm-up, and at the end.

    Args:
        seconds: how long the load goes on; the warm-up is the first third of it.
    """

    def __init__(self, seconds: float) -> None:
        self._process = psutil.Process()
        self._began = time.monotonic()
        self._seconds = seconds
        self._next = 0.0
        self._samples: list[tuple[float, int]] = []

    def look(self) -> None:
        """Take a sample, if it is time for one: there are 300, however long it goes on."""
        at = (time.monotonic() - self._began) / self._seconds
        if self._next <= at <= 1.0:
            self._next = at + 1 / 300
            self._samples.append((at, self._process.memory_info().rss))

    def between(self, begin: float, end: float) -> float:
        """The median in a part of the time, 0 to 1; 0 if there is no sample."""
        found = [rss for at, rss in self._samples if begin <= at < end]
        return statistics.median(found) if found else 0.0

    @property
    def warm(self) -> float:
        return self.between(1 / 3, 0.45)

    @property
    def last(self) -> float:
        return self.between(0.9, 1.01)

    @property
    def flat(self) -> bool:
        """Whether it has stayed; a short campaign is all warm-up, and is not judged."""
        return self._seconds < SHORT or self.last <= self.warm * 1.05 + ALLOWED

    def open_files(self) -> int:
        """Descriptors that are open."""
        return int(self._process.num_fds())


async def left_behind(files: int, memory: Memory) -> list[str]:
    """What is still there once all has been stopped, in words.

    It is looked for more than once: closed transports go in the next passes of the loop, a thread that makes an SDK's
    client holds the actor that it makes it for, and of a stream that was killed the collector finds a generator first,
    which the loop has to close before the next collection finds what it held.

    Args:
        files: how many descriptors were open before.
        memory: knows how many are.
    """
    found: list[str] = []
    for _ in range(LOOKS):
        await asyncio.sleep(0.1)
        gc.collect()
        found = _found()
        if memory.open_files() > files:
            found.append(f"{memory.open_files() - files} file descriptors")
        if not found:
            break
    return found


def _found() -> list[str]:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    actors = Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, Actor))
    return [
        *(f"task {task.get_name()}: {task!r:.120}" for task in tasks),
        *(f"{number} × {name} in memory" for name, number in sorted(actors.items())),
    ]
