"""What writes, on a thread: all that is waiting goes into one transaction, so that many share one commit."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from ...core.base.log import logger_of
from ..backend import Acquire, Append, Backend, Leave, Prune
from ..errors import JournalClosed, JournalError
from .healing import Closing, Healing
from .pending import Pending, settle
from .running import Runner, ThreadRunner, Waits

MOST_ITEMS: Final = 2_000
MOST_TEXT: Final = 4_000_000
"""How much goes into one transaction at most."""

LEISURE: Final = 0.05
"""Seconds after which at the latest something is written that nobody waits for."""

logger = logger_of()


class Writer:
    """Carries out what is put, in order, and keeps the worker's lease.

    Args:
        backend: the database.
        closing: set when the journal is being closed.
        worker: whose lease it is.
        lease: seconds.
        name: of the journal, for the log.
        committed: called on the thread with whether there are new events and new posts.
        ended: called on the thread as the last thing.
        runner: what it runs on.
    """

    def __init__(
        self,
        backend: Backend,
        closing: Closing,
        worker: str,
        lease: float,
        name: str,
        committed: Callable[[bool, bool], None],
        ended: Callable[[], None],
        runner: Callable[[Waits[None], str], Runner] = ThreadRunner,
    ) -> None:
        self._backend = backend
        self.closing = closing
        self._healing = Healing(backend, closing, f"the journal {name} cannot be written", patient=True)
        self._worker = worker
        self._lease = lease
        self._committed = committed
        self._ended = ended
        self._queue: deque[Pending | None] = deque()
        self._awake = False
        self._nudged = False
        self._over = False
        self._next_beat = 0.0
        self._since = 0.0
        self.runner: Runner = runner(self._run(), f"callboard-journal-writer {name}")

    @property
    def lag(self) -> float:
        """Seconds for which what is being written is on its way; 0 where nothing is."""
        since = self._since
        return max(0.0, time.monotonic() - since) if since else 0.0

    def put(self, pending: Pending) -> None:
        """Have it written. It waits for its turn, and for the database if need be."""
        self._queue.append(pending)
        if not self._awake:
            self._nudge()
        if self._over:  # the thread may not have seen it any more
            self._refuse()

    def put_aside(self, pending: Pending) -> None:
        """Have it written together with what comes next, or soon if nothing comes: nobody waits for it."""
        loop = pending.loop
        if loop is None or self._over:
            self.put(pending)
            return
        self._queue.append(pending)
        if not self._awake and not self._nudged:
            self._nudged = True
            loop.call_later(LEISURE, self._nudge)

    def stop(self) -> None:
        """Write what is waiting, then end. From any thread."""
        self._queue.append(None)
        self._nudge()

    def _nudge(self) -> None:
        self._awake = True
        self.runner.wake()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> Waits[None]:
        stopping = False
        while not stopping:
            # Before looking: who puts something afterwards wakes it again. A wait for the database may have used up the
            # wake of what has been put meanwhile.
            self._awake = self._nudged = False
            if not self._queue:
                yield max(0.0, self._next_beat - time.monotonic())
                self._awake = self._nudged = False
            batch, stopping = self._take()
            try:
                if batch:
                    self._since = time.monotonic()
                    yield from self._write(batch)
                elif not stopping:
                    yield from self._healing.run(self._beat)
            except JournalClosed:
                continue
            except Exception:
                logger.exception("the journal's worker %s cannot renew its lease", self._worker)
                self._next_beat = time.monotonic() + self._lease / 3
            finally:
                self._since = 0.0
        self._over = True
        self._refuse()
        try:
            yield from self._healing.run(lambda: self._backend.leave(self._worker))
        except Exception as error:
            logger.warning("the worker %s keeps its streams until its lease ends: %s", self._worker, error)
        self._ended()

    def _take(self) -> tuple[list[Pending], bool]:
        """What is waiting, as much as goes into one transaction; nothing if the lease is to be renewed."""
        queue = self._queue
        batch: list[Pending] = []
        room = MOST_TEXT
        while queue and room > 0 and len(batch) < MOST_ITEMS:
            pending = queue.popleft()
            if pending is None:
                return batch, True
            batch.append(pending)
            if pending.work.__class__ is Append:
                for event in pending.work.events:
                    room -= len(event.data)
        return batch, False

    def _beat(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._backend.heartbeat(self._worker, self._lease)
            self._next_beat = now + self._lease / 3

    def _attempt(self, works: Sequence[Any]) -> list[object]:
        self._beat()  # whoever was paused, or could not write for long, may have to register again
        return self._backend.write(works)

    def _write(self, batch: list[Pending]) -> Waits[None]:
        works = [pending.work for pending in batch]
        try:
            results = yield from self._healing.run(lambda: self._attempt(works))
        except JournalClosed as error:
            results = [JournalClosed(str(error)) for _ in batch]
        except Exception as error:
            if len(batch) > 1:  # which of them was it?
                for pending in batch:
                    yield from self._write([pending])
                return
            logger.error("the journal cannot write %s", type(works[0]).__name__, exc_info=error)
            refused = JournalError(f"this cannot be written: {type(error).__name__}: {error}")
            refused.__cause__ = error
            results = [refused]
        kinds = {work.__class__ for work in works}
        outcomes = zip(batch, results, strict=True)
        if Acquire in kinds or Prune in kinds:
            settle([(pending, outcome) for pending, outcome in outcomes if not pending.goes_on(outcome)])
        else:
            settle(outcomes)
        self._committed(Append in kinds, Leave in kinds)

    def _refuse(self) -> None:
        with suppress(IndexError):  # others may do the same
            while True:
                pending = self._queue.popleft()
                if pending is not None:
                    settle([(pending, JournalClosed("the journal is closed"))])
