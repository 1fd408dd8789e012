"""A mailbox's queue while it is measured: it notes when messages come in and when they are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from .ask import Ask
from .envelope import Envelope
from .queue import PriorityQueue, pop_oldest

DENSE: Final = 64
"""So many of the messages that wait are all noted; of twice as many behind them every second is, and so on."""


Sample = tuple[float, int]
"""Seconds, and for how many messages of the same watch they stand."""


class WatchedQueue:
    """Stands in an actor's cell for the queue that it holds.

    What was in the queue before is noted as if it had come now: it has waited at least since then. Of a long queue only
    each second, fourth, eighth … message is noted, the farther behind the fewer, and stands for those just before it.
    Nothing is known of what is put back, nor of what comes once messages of several priorities wait, for they are not
    taken in the order they came.

    Args:
        queue: what the mailbox holds, or None.
        clock: gives the time in seconds.
        in_turn: whether a turn begins: the first message is taken now, so that "at least since now" says nothing of it.

    Attributes:
        queue: what the mailbox holds; None as long as that is nothing.
        taken_at: when the message at work was taken, if it is one that is noted.
        lasts: whether to watch on after this turn, in which nothing that has come could be noted.
    """

    __slots__ = (
        "_ahead",
        "_arrivals",
        "_began",
        "_clock",
        "_noted",
        "_notes",
        "_share",
        "_since",
        "_waits",
        "_weight",
        "_works",
        "lasts",
        "queue",
        "taken_at",
    )

    def __init__(self, queue: Any, clock: Callable[[], float], *, in_turn: bool = False) -> None:
        self.queue = queue
        self.taken_at: float | None = None
        self.lasts = in_turn
        self._clock = clock
        self._began = now = clock()
        self._waits: list[Sample] = []
        self._works: list[Sample] = []
        self._noted = False  # whether the last of these waits is that of the message at work
        self._weight = 1  # for how many the message at work stands; 0: it is one that another stands for
        self._since = 0  # messages behind the last that is noted
        self._share = 1  # for how many the next one that is noted stands
        self._ahead = 0  # messages before the first of which anything is known
        # How many are to be taken until one that is noted is, for how many it stands, and when it came.
        self._arrivals: deque[list[Any]] | None = None
        self._notes = queue.__class__ is not PriorityQueue
        if queue and self._notes:
            waiting = len(queue)
            depth = self._ahead = int(in_turn)
            arrivals = self._arrivals = deque()
            while depth < waiting:
                share = min(_share(depth), waiting - depth)
                arrivals.append([share, share, now])
                depth += share
            self._share = _share(waiting)

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
        if self._notes:
            self._since += 1
            if self._since >= self._share:
                if self._arrivals is None:
                    self._arrivals = deque()
                self._arrivals.append([self._since, self._since, self._clock()])
                self._since = 0
                self._share = _share(len(queue) + 1)
        queue.append(item)

    def popleft(self) -> Any:
        """Take the first item."""
        arrivals = self._arrivals
        if arrivals and not self._ahead:
            first = arrivals[0]
            if first[0] > 1:
                first[0] -= 1
                if self.taken_at is not None:
                    self._worked(self._clock())
                    self.taken_at = None
                self._noted = False
                self._weight = 0
                return self.queue.popleft()
            del arrivals[0]
            now = self._clock()
            weight = first[1]
            self._waits.append((now - first[2], weight))
            self._noted = True
        else:
            now = self._clock()
            weight = 1
            self._noted = False
            if self._ahead:
                self._ahead -= 1
            elif self._since:
                self._since -= 1
        if self.taken_at is not None:
            self._worked(now)
        self.taken_at = now
        self._weight = weight
        return self.queue.popleft()

    def appendleft(self, item: Any) -> None:
        """Put an item back before all others."""
        if self.queue is None:
            self.queue = deque()
        self.queue.appendleft(item)
        self._ahead += self.queue.__class__ is deque

    def pop(self) -> Any:
        """Take back the item just added."""
        if self._since:
            self._since -= 1
        elif self._arrivals:
            self._since = self._arrivals.pop()[0] - 1
        return self.queue.pop()

    def pop_oldest(self) -> Any:
        """Take the item that has waited longest; None where only a stop waits."""
        item = None if self.queue is None else pop_oldest(self.queue)
        if item is not None:
            if self._ahead:
                self._ahead -= 1
            elif self._arrivals:
                first = self._arrivals[0]
                if first[0] > 1:
                    first[0] -= 1
                    first[1] -= 1
                else:
                    del self._arrivals[0]
            elif self._since:
                self._since -= 1
        return item

    def _spend(self) -> None:
        """Know nothing of what waits, and of what will come."""
        self._ahead = self._since = 0
        self._arrivals = None
        self._notes = False

    def _worked(self, now: float) -> None:
        assert self.taken_at is not None
        self._works.append((now - self.taken_at, self._weight))

    def turn_ended(self, now: float) -> tuple[list[Sample], list[Sample]]:
        """Return how long messages of this turn have waited, and how long they were at work."""
        if self.taken_at is not None:
            self._worked(now)
            self.taken_at = None
        self._noted = False
        self._weight = 1
        waits, self._waits = self._waits, []
        works, self._works = self._works, []
        return waits, works

    def not_handled(self) -> None:
        """What was taken last is not timed: no handler works on it."""
        self.taken_at = None
        if self._noted:
            seconds, messages = self._waits.pop()
            if messages > 1:
                self._waits.append((seconds, messages - 1))
        elif not self._weight and self._arrivals:
            self._arrivals[0][1] -= 1
        self._noted = False
        self._weight = 1

    def renew(self) -> None:
        """Watch on, from nothing waiting."""
        self.queue = self._arrivals = None
        self._ahead = self._since = 0
        self._share = 1
        self._notes = True

    def note_no_more(self) -> None:
        """Watch only what has been noted, until it is taken."""
        self._notes = False
        self._since = 0

    def has_noted(self) -> bool:
        """Whether messages wait whose arrival is known."""
        return bool(self._arrivals)

    def oldest(self) -> float | None:
        """When the oldest message came in, or since when at least it has waited; None where nothing is known of it."""
        if self._ahead:
            return self._began
        arrivals = self._arrivals
        try:
            return arrivals[0][2] if arrivals else None
        except IndexError:  # taken in this moment, in another thread
            return None


def _share(depth: int) -> int:
    """For how many messages one that is noted stands behind so many: a power of two."""
    return 1 << ((depth // DENSE + 1).bit_length() - 1)
