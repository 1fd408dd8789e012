"""What reads, on a thread: streams as they are opened, what is asked for, what is new for subscribers and inboxes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from ...core.base.log import logger_of
from ..backend import Backend
from ..codec import Codec
from ..errors import EventNotReadable, JournalClosed, JournalError
from ..store import Record
from .healing import Closing, Healing
from .inbox import Inbox
from .pending import Pending, settle
from .reading import record_or_error
from .running import Runner, ThreadRunner, Waits

PAGE: Final = 500
"""Records that a subscriber gets at once."""

logger = logger_of()


class Page(NamedTuple):
    """What comes next in a subscription.

    Args:
        records: an error in place of one that cannot be read.
        scanned: up to which position nothing else is to be found.
    """

    records: list[Record | EventNotReadable]
    scanned: int


class Follow:
    """A subscription's wait for records behind a position."""

    __slots__ = ("after", "prefix")

    def __init__(self, after: int, prefix: str) -> None:
        self.after = after
        self.prefix = prefix


class Reader:
    """Runs functions on its thread, one after the other.

    Args:
        backend: the database.
        codec: of the events.
        closing: set when the journal is being closed: what waits then fails.
        worker: whose posts are looked for.
        name: of the journal, for the log.
        runner: what it runs on.
    """

    def __init__(
        self,
        backend: Backend,
        codec: Codec,
        closing: Closing,
        worker: str,
        name: str,
        runner: Callable[[Waits[None], str], Runner] = ThreadRunner,
    ) -> None:
        self._backend = backend
        self._codec = codec
        self._closing = closing
        self._healing = Healing(backend, closing, f"the journal {name} cannot be read", patient=False)
        self._worker = worker
        self.inbox = Inbox(codec)
        self._queue: deque[Pending] = deque()
        self._following: list[Pending] = []
        self._next_look = 0.0
        self._every = 0.0
        self._poked = False
        self._over = False
        self.runner: Runner = runner(self._run(), f"callboard-journal-reader {name}")

    def put(self, pending: Pending) -> None:
        """Have a function, or a `Follow`, carried out."""
        self._queue.append(pending)
        self.runner.wake()
        if self._over:  # the thread may not have seen it any more
            self._refuse()

    def poke(self) -> None:
        """There may be something new: look for it now. From any thread."""
        if not self._poked and (self._following or self.inbox.wanted):
            self._poked = True
            self.runner.wake()

    def stop(self) -> None:
        """End, once the journal is being closed. From any thread."""
        self.runner.wake()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> Waits[None]:
        while not self._closing.begun:
            if not self._queue and not self._poked:
                yield self._seconds()
            if self._queue and not self._closing.begun:
                yield from self._carry_out(self._queue.popleft())
            if self._poked or time.monotonic() >= self._next_look:
                self._poked = False
                yield from self._look()
                self._next_look = time.monotonic() + self._every
        self._over = True
        for pending in self._following:
            settle([(pending, _closed())])
        self._following.clear()
        self._refuse()

    def _seconds(self) -> float | None:
        """How long to wait for something to do."""
        if not self._following and not self.inbox.wanted:
            return None
        if not self._every:
            self._every = self._backend.watch(self.poke)
        return max(0.0, self._next_look - time.monotonic())

    def _carry_out(self, pending: Pending) -> Waits[None]:
        work = pending.work
        if work.__class__ is Follow:
            yield from self._follow(pending)
        else:
            outcome = yield from self._outcome(work)
            if not pending.goes_on(outcome):
                settle([(pending, outcome)])

    def _outcome(self, read: Callable[[], Any]) -> Waits[Any]:
        try:
            return (yield from self._healing.run(read))
        except JournalError as error:
            return error
        except Exception as error:
            failed = JournalError(f"this cannot be read: {type(error).__name__}: {error}")
            failed.__cause__ = error
            return failed

    def _look(self) -> Waits[None]:
        self._following = [pending for pending in self._following if not _given_up(pending)]
        if self._following:
            position = yield from self._outcome(self._backend.position)
            waiting, self._following = self._following, []
            for pending in waiting:
                if isinstance(position, int) and position <= pending.work.after:
                    self._following.append(pending)
                else:
                    yield from self._follow(pending)
        if self.inbox.wanted:
            posts = yield from self._outcome(lambda: self._backend.posts(self._worker))
            if isinstance(posts, list):
                self.inbox.offer(posts)
            elif not self._closing.begun:
                logger.error("posts cannot be read: %s", posts)

    def _follow(self, pending: Pending) -> Waits[None]:
        if _given_up(pending):
            return
        page = yield from self._outcome(lambda: self._page(pending.work))
        if isinstance(page, Page) and not page.records:
            pending.work.after = page.scanned
            self._following.append(pending)
        else:
            settle([(pending, page)])

    def _page(self, follow: Follow) -> Page:
        position = self._backend.position()  # first: what is committed up to here is seen by what follows
        if position <= follow.after:
            return Page([], follow.after)
        rows = self._backend.records(follow.after, follow.prefix, PAGE)
        records = [record_or_error(self._codec, row) for row in rows]
        return Page(records, rows[-1].position if rows else position)

    def _refuse(self) -> None:
        with suppress(IndexError):  # others may do the same
            while True:
                settle([(self._queue.popleft(), _closed())])


def _given_up(pending: Pending) -> bool:
    return pending.future is None or pending.future.done()


def _closed() -> JournalClosed:
    return JournalClosed("the journal is closed")
