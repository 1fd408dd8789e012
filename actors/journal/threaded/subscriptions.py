"""Subscriptions: the records of a journal, one after the other, and then those to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ...core.mail.future import Future
from ..errors import EventNotReadable
from ..store import Record
from .reader import Follow, Page


class Subscription:
    """An async iterator that never ends by itself. Nothing is held for it between two records.

    A record that cannot be read raises `EventNotReadable`; the next one comes after it all the same.

    Args:
        ask: asks for the records behind a position.
        after: the position.
        prefix: of the streams' names.
    """

    __slots__ = ("_ask", "_asking", "_follow", "_records")

    def __init__(self, ask: Callable[[Follow], Future[Page]], after: int, prefix: str) -> None:
        self._ask = ask
        self._asking = False
        self._follow = Follow(after, prefix)
        self._records: deque[Record | EventNotReadable] = deque()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Record:
        if self._asking:
            raise RuntimeError("somebody else waits for this subscription's next record")
        while not self._records:
            self._asking = True
            try:
                page = await self._ask(Follow(self._follow.after, self._follow.prefix))
            finally:
                self._asking = False
            self._records.extend(page.records)
            self._follow.after = page.scanned
        record = self._records.popleft()
        if isinstance(record, EventNotReadable):
            raise record
        return record
