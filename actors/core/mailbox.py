"""The queue of a mailbox: a deque, or from the first message with a priority on, a priority queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any

from .envelope import Ask, Envelope


class PriorityQueue:
    """Lowest priority number first, first in first out among equals."""

    __slots__ = ("_count", "_heap")

    def __init__(self, items: deque[Any] | None = None) -> None:
        self._heap: list[tuple[int, int, Any]] = []
        self._count = 0
        for item in items or ():
            self.append(item)

    def append(self, item: Any) -> None:
        priority = item.priority if isinstance(item, (Ask, Envelope)) else 0
        self._count += 1
        heappush(self._heap, (priority, self._count, item))

    def popleft(self) -> Any:
        return heappop(self._heap)[2]

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Any]:
        return (item for _, _, item in sorted(self._heap))
