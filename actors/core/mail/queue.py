"""The queue of a mailbox that has seen a priority: lowest number first, first in first out among equals."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any

from .ask import Ask
from .envelope import STOPS, UNSEEN, Envelope


class PriorityQueue:
    """Items by priority. A stop goes behind everything that was sent before it and before everything sent after it.

    Args:
        items: what the mailbox held until now, in order.
    """

    __slots__ = ("_count", "_heap", "_stopped")

    def __init__(self, items: deque[Any] | None = None) -> None:
        self._heap: list[tuple[float, int, Any]] = []
        self._count = 0
        self._stopped = False
        for item in items or ():
            self.append(item)

    def append(self, item: Any) -> None:
        """Add an item."""
        priority: float = item.priority if isinstance(item, (Ask, Envelope)) else 0
        if _message(item).__class__ in STOPS:
            self._stopped = True
        if self._stopped:
            priority = math.inf
        self._count += 1
        heappush(self._heap, (priority, self._count, item))

    def appendleft(self, item: Any) -> None:
        """Add an item before all others."""
        first = self._heap[0][0] if self._heap else 0
        heappush(self._heap, (min(first, 0), -self._count, item))
        self._count += 1

    def popleft(self) -> Any:
        """Take the first item. Behind a stop that was not the last of the actor, priorities count again."""
        item = heappop(self._heap)[2]
        if self._stopped and _message(item).__class__ in STOPS:
            behind = list(self)
            self._heap.clear()
            self._stopped = False
            for each in behind:
                self.append(each)
        return item

    def pop_oldest(self) -> Any:
        """Take the item that has waited longest; None where only a stop waits."""
        waiting = [entry for entry in self._heap if not is_unseen(entry[2])]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda entry: entry[1])
        self._heap.remove(oldest)
        heapify(self._heap)
        return oldest[2]

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Any]:
        return (item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2]))


def pop_oldest(queue: Any) -> Any:
    """Take the message out of a mailbox's queue that has waited longest; None where only a stop waits."""
    if queue.__class__ is not deque:
        return queue.pop_oldest()
    for index, item in enumerate(queue):
        if not is_unseen(item):
            del queue[index]
            return item
    return None


def is_unseen(item: Any) -> bool:
    """Whether an item is one that no handler sees: a stop, or a mark."""
    return _message(item).__class__ in UNSEEN


def _message(item: Any) -> Any:
    return item.message if isinstance(item, (Ask, Envelope)) else item
