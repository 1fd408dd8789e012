"""Records of a journal in memory, as they come."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from heapq import nsmallest
from typing import Final

from ..store import Record
from .streams import Kept, MemoryStream, Worker, call_soon, closed

QUEUED: Final = 1_000
"""Records that wait for a slow subscriber; behind that it looks for them in the streams again."""


class Subscription:
    """Records as they come. It is forgotten as soon as nobody holds it."""

    __slots__ = ("__weakref__", "_behind", "_future", "_position", "_prefix", "_queue", "worker")

    def __init__(self, worker: Worker, after: int, prefix: str) -> None:
        self.worker = worker
        self._position = after
        self._prefix = prefix
        self._queue: deque[Record] = deque()
        self._future: asyncio.Future[None] | None = None
        kept = worker.kept
        with kept.lock:
            self._behind = after < kept.position  # what comes next is in the streams, not in the queue
            number = kept.unique = kept.unique + 1
            subscriptions = kept.subscriptions
            subscriptions[number] = weakref.ref(self, lambda _: subscriptions.pop(number, None))

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Record:
        if self._future is not None:
            raise RuntimeError("somebody else waits for this subscription's next record")
        kept = self.worker.kept
        while True:
            with kept.lock:
                if self.worker.closed:
                    raise closed()
                if self._behind and not self._queue:
                    self._catch_up(kept)
                if self._queue:
                    record = self._queue.popleft()
                    self._position = record.position
                    return record
                self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None

    def _catch_up(self, kept: Kept) -> None:
        found = [
            record
            for name, there in kept.streams.items()
            if name.startswith(self._prefix)
            for record in there._since(self._position)
        ]
        self._behind = len(found) > QUEUED
        self._queue.extend(nsmallest(QUEUED, found) if self._behind else sorted(found))

    def tell(self, stream: MemoryStream, first: int) -> None:
        """A stream has got events, the first of them at this index."""
        if self._behind or not stream.name.startswith(self._prefix):
            return
        for index in range(first, stream.version):
            if len(self._queue) == QUEUED:
                self._behind = True
                break
            record = stream._record(index)
            if record.position > self._position:  # a subscription may begin with what is still to come
                self._queue.append(record)
        if self._queue:
            self.wake()

    def wake(self) -> None:
        """Have whoever waits look again."""
        future = self._future
        if future is not None:
            call_soon(future.get_loop(), _settle, future)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
