"""A mailbox's queue while it is measured: it notes when messages come in and when they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from .ask import Ask
from .envelope import Envelope
from .queue import PriorityQueue, pop_oldest

STAMPED: Final = 64
"""Messages of one watch whose arrival is noted; those behind them are passed on."""


class WatchedQueue:
    """Stands in an actor's cell for the queue that it holds.

    What was in the queue before has no known arrival; nor has what comes once messages of several priorities wait, for
    they are not taken in the order they came.

    Args:
        queue: what the mailbox holds, or None.
        clock: gives the time in seconds.

    Attributes:
        queue: what the mailbox holds; None as long as that is nothing.
        taken_at: when the message at work was taken, if that is known.
    """

    __slots__ = ("_ahead", "_arrivals", "_began", "_clock", "_room", "_waits", "_works", "queue", "taken_at")

    def __init__(self, queue: Any, clock: Callable[[], float]) -> None:
        self.queue = queue
        self.taken_at: float | None = None
        self._clock = clock
        self._began = clock()
        self._arrivals: deque[float] | None = None
        self._waits: list[float] = []
        self._works: list[float] = []
        self._ahead = 0 if queue is None else len(queue)
        self._room = STAMPED
        if queue.__class__ is PriorityQueue:
            self._spend()

    def __len__(self) -> int:
        queue = self.queue
        return 0 if queue is None else len(queue)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.queue or ())

    def append(self, item: Any) -> None:
        """Add an item."""
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        if queue.__class__ is deque and isinstance(item, (Ask, Envelope)) and item.priority:
            queue = self.queue = PriorityQueue(queue)
            self._spend()
        queue.append(item)
        if self._room:
            self._room -= 1
            if self._arrivals is None:
                self._arrivals = deque()
            self._arrivals.append(self._clock())

    def popleft(self) -> Any:
        """Take the first item."""
        now = self._clock()
        if self.taken_at is not None:
            self._works.append(now - self.taken_at)
        self.taken_at = now
        if self._ahead:
            self._ahead -= 1
        elif self._arrivals:
            self._waits.append(now - self._arrivals.popleft())
        return self.queue.popleft()

    def appendleft(self, item: Any) -> None:
        """Put an item back before all others."""
        if self.queue is None:
            self.queue = deque()
        self.queue.appendleft(item)
        self._ahead += self.queue.__class__ is deque

    def pop(self) -> Any:
        """Take back the item just added."""
        if self._arrivals and len(self._arrivals) + self._ahead == len(self):
            self._arrivals.pop()
        return self.queue.pop()

    def pop_oldest(self) -> Any:
        """Take the item that has waited longest; None where only a stop waits."""
        item = None if self.queue is None else pop_oldest(self.queue)
        if item is not None:
            if self._ahead:
                self._ahead -= 1
            elif self._arrivals:
                self._arrivals.popleft()
        return item

    def _spend(self) -> None:
        """Know nothing of what waits, and of what will come."""
        self._ahead = self._room = 0
        self._arrivals = None

    def turn_ended(self, now: float) -> tuple[list[float], list[float]]:
        """Return the seconds that messages of this turn have waited, and those that they were at work."""
        if self.taken_at is not None:
            self._works.append(now - self.taken_at)
            self.taken_at = None
        waits, self._waits = self._waits, []
        works, self._works = self._works, []
        return waits, works

    def renew(self) -> None:
        """Watch on, from nothing waiting."""
        self.queue = self._arrivals = None
        self._room = STAMPED

    def has_noted(self) -> bool:
        """Whether messages wait whose arrival is known."""
        return bool(self._arrivals)

    def oldest(self) -> float | None:
        """When the oldest message came in, or since when at least it has waited; None where nothing is known of it."""
        if self._ahead:
            return self._began
        arrivals = self._arrivals
        try:
            return arrivals[0] if arrivals else None
        except IndexError:  # taken in this moment, in another thread
            return None
