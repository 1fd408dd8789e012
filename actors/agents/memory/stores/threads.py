"""What a memory's threads do: what waits to be written goes into one transaction; what is read is read one by one.

They are generators that yield where they wait, as the journal's are, so that they run under simulation, too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ....core.base.log import logger_of
from ....journal.errors import JournalClosed
from ....journal.threaded.healing import Closing, Healing
from ....journal.threaded.pending import Pending, settle
from ....journal.threaded.running import Runner, Waits, until
from ..errors import MemoryClosed, MemoryFailed
from .store import MemoryStore

MOST_CHANGES: Final = 500
"""In one transaction."""

CLEANS_UP: Final = 1.0
"""Seconds after which it is tried again to get rid of what erasing has left."""

logger = logger_of()


class StoreThread:
    """Carries out what is put, in order.

    Args:
        store: the database.
        closing: set when the memory is being closed: what waits to be written is written, what waits to be read is not.
        name: of the memory, for the log.
        what: what it does.
        runner: what it runs on.
        ended: called on it as the last thing.
        cleans: whether it is the one that cleans up.
    """

    def __init__(
        self,
        store: MemoryStore,
        closing: Closing,
        name: str,
        what: str,
        runner: Callable[[Waits[None], str], Runner],
        ended: Callable[[], None],
        cleans: bool,
    ) -> None:
        self._store = store
        self._closing = closing
        self._ended = ended
        self._cleans = cleans
        self._queue: deque[Pending] = deque()
        self._over = False
        self._writing = Healing(store, closing, f"the memory {name} cannot be written", patient=True)
        self._reading = Healing(store, closing, f"the memory {name} cannot be read", patient=False)
        self.runner: Runner = runner(self._run(), f"callboard-memory-{what} {name}")

    def put(self, pending: Pending) -> None:
        """Have a `Change` written, or a function called."""
        self._queue.append(pending)
        self.runner.wake()
        if self._over:  # the thread may not have seen it any more
            self._refuse()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> Waits[None]:
        while not self._closing.begun or self._queue:
            if not self._queue:
                if self._cleaned_up():
                    yield None
                else:
                    yield from until(time.monotonic() + CLEANS_UP, lambda: bool(self._queue) or self._closing.begun)
                continue
            batch = self._take()
            if batch:
                yield from self._write(batch)
            else:
                pending = self._queue.popleft()
                settle([(pending, (yield from self._read(pending.work)))])
        self._over = True
        self._refuse()
        self._cleaned_up()
        self._ended()

    def _cleaned_up(self) -> bool:
        try:
            return not self._cleans or self._store.clean_up()
        except Exception:
            return False

    def _take(self) -> list[Pending]:
        """The changes that come next."""
        batch: list[Pending] = []
        while self._queue and not callable(self._queue[0].work) and len(batch) < MOST_CHANGES:
            batch.append(self._queue.popleft())
        return batch

    def _write(self, batch: list[Pending]) -> Waits[None]:
        works = [pending.work for pending in batch]
        results: list[Any]
        try:
            results = yield from self._writing.run(lambda: self._store.write(works))
        except JournalClosed as error:
            results = [MemoryClosed(str(error)) for _ in batch]
        except Exception as error:
            if len(batch) > 1:  # which of them was it?
                for pending in batch:
                    yield from self._write([pending])
                return
            results = [_failed(f"{type(works[0]).__name__} cannot be written", error)]
        settle(zip(batch, results, strict=True))

    def _read(self, read: Callable[[], Any]) -> Waits[Any]:
        if self._closing.begun:
            return MemoryClosed(self._closing.why)
        try:
            return (yield from self._reading.run(read))
        except JournalClosed as error:
            return MemoryClosed(str(error))
        except MemoryFailed as error:
            return error
        except Exception as error:
            return _failed("this cannot be read", error)

    def _refuse(self) -> None:
        with suppress(IndexError):  # others may do the same
            while True:
                settle([(self._queue.popleft(), MemoryClosed(self._closing.why))])


def _failed(what: str, error: Exception) -> MemoryFailed:
    """The named error of what the database's library raised, whose words may repeat a fact's."""
    if isinstance(error, MemoryFailed):
        return error
    failed = MemoryFailed(f"{what}: {type(error).__name__}")
    failed.__cause__ = error
    return failed
