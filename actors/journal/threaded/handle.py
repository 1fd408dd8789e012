"""An owner's handle on a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

from ...core.base.log import logger_of
from ...core.mail.future import Future
from ..backend import Acquire, Acquired, Append, Backend, KeepSnapshot, Kept, Release
from ..codec import Codec
from ..errors import EventNotReadable, JournalClosed, StreamError, StreamFenced
from ..store import Stream
from .pending import Pending
from .reader import Reader
from .reading import decode, encode
from .writer import Writer

logger = logger_of()


class Handle:
    """See `store.Stream`.

    What is appended is expected to be kept: the next append builds on it before it is. Where one is refused, so is
    every later one, by the store if they are under way already.
    """

    __slots__ = (
        "__weakref__",
        "_appends",
        "_codec",
        "_refused",
        "_worker",
        "_writer",
        "epoch",
        "events",
        "name",
        "snapshot",
        "version",
    )

    def __init__(self, name: str, worker: str, writer: Writer, codec: Codec) -> None:
        self.name = name
        self.version = 0
        self.epoch = 0
        self.snapshot: Any = None
        self.events: Sequence[Any] = ()
        self._worker = worker
        self._writer = writer
        self._codec = codec
        self._appends = 0
        self._refused: StreamError | None = None

    def __repr__(self) -> str:
        return f"<stream {self.name} at version {self.version}, epoch {self.epoch}>"

    def append(
        self,
        events: Sequence[Any],
        *,
        unfinished: bool | None = None,
        labels: Mapping[str, str] | None = None,
        keys: Sequence[str] = (),
        drop: Sequence[str] = (),
        taken: Sequence[int] = (),
    ) -> Future[None]:
        """See `Stream.append`."""
        self._writer.closing.check()
        future: Future[None] = Future()
        if self._refused is not None:
            future.set_exception(copy(self._refused))
            return future
        codec, name, version = self._codec, self.name, self.version
        encoded = tuple([encode(codec, name, event) for event in events])
        self._appends = number = self._appends + 1
        work = Append(
            f"{self._worker}:{self.epoch}:{number}",
            name,
            self._worker,
            self.epoch,
            version,
            encoded,
            unfinished,
            dict(labels) if labels else None,
            tuple(keys),
            tuple(drop),
            tuple(taken),
        )
        self.version = version + len(encoded)
        self._writer.put(_Appending(work, future, self, number))
        return future

    def keep_snapshot(self, event: Any) -> None:
        """See `Stream.keep_snapshot`."""
        self._writer.closing.check()
        if self._refused is None:
            encoded = encode(self._codec, self.name, event)
            work = KeepSnapshot(self.name, self._worker, self.epoch, self.version, encoded)
            self._writer.put_aside(Pending(work, None))

    def release(self) -> Future[None] | None:
        """See `Stream.release`."""
        if self._refused is not None or self._writer.closing.begun:
            return None
        self.fence("has been given back")
        future: Future[None] = Future()
        self._writer.put(Pending(Release(self.name, self._worker, self.epoch), future))
        return future

    def fence(self, why: str) -> None:
        """Nothing gets in by this handle from here on."""
        if self._refused is None:
            self._refused = StreamFenced(f"{self.name} {why}", self.name, self.epoch)

    def _not_kept(self, number: int, events: int, error: Exception) -> None:
        """An append was refused."""
        if isinstance(error, StreamError):
            self._refused = self._refused or error
        elif number == self._appends:  # nothing was built upon it
            self.version -= events


class _Appending(Pending):
    """An append by a handle."""

    __slots__ = ("_handle", "_number")

    def __init__(self, work: Append, future: Future[None], handle: Handle, number: int) -> None:
        super().__init__(work, future)
        self._handle = handle
        self._number = number

    def finish(self, outcome: object) -> None:
        if isinstance(outcome, Exception):
            self._handle._not_kept(self._number, len(self.work.events), outcome)
            super().finish(outcome)
        else:
            super().finish(None)


class Opening(Pending):
    """A stream being opened: the writer makes it this worker's, and then the reader reads it.

    Args:
        handle: what it is opened with; not used by anybody before.
        future: gets the handle.
        backend: the database.
        reader: where it is read.
    """

    __slots__ = ("_backend", "_error", "_handle", "_reader")

    def __init__(self, handle: Handle, future: Future[Stream], backend: Backend, reader: Reader) -> None:
        super().__init__(Acquire(handle.name, handle._worker), future)
        self._handle = handle
        self._backend = backend
        self._reader = reader
        self._error: Exception | None = None

    def goes_on(self, outcome: object) -> bool:
        handle = self._handle
        if isinstance(outcome, Acquired):
            handle.version = outcome.version
            handle.epoch = outcome.epoch
            if outcome.version:
                self.work = partial(self._read, outcome)
                self._reader.put(self)
                return True
        elif isinstance(outcome, Exception) and handle.epoch and not isinstance(outcome, JournalClosed):
            self._error = outcome  # whoever cannot read it does not hold it either
            self.work = Release(handle.name, handle._worker, handle.epoch)
            handle._writer.put(self)
            return True
        return False

    def finish(self, outcome: object) -> None:
        handle, future = self._handle, self.future
        if self._error is not None:
            outcome = self._error
        super().finish(outcome if isinstance(outcome, Exception) else handle)
        if future is not None and future.cancelled() and self._error is None and handle.epoch:
            handle.release()  # nobody has it

    def _read(self, acquired: Acquired) -> None:
        """Fill the handle. On the reader's thread."""
        handle, codec, name = self._handle, self._handle._codec, self._handle.name
        snapshot, after = None, 0
        if acquired.snapshot:
            snapshot, after = self._snapshot()
        rows = self._backend.read(name, after, acquired.version, None)
        gap = _gap(rows, after, acquired.version)
        if gap is not None:
            self._check_ours()
            raise EventNotReadable(f"event {gap} of {name} is missing", name)
        handle.events = [decode(codec, name, kept.version, kept.event) for kept in rows]
        handle.snapshot = snapshot

    def _snapshot(self) -> tuple[Any, int]:
        name = self._handle.name
        kept = self._backend.snapshot(name)
        if kept is not None:
            try:
                return decode(self._handle._codec, name, kept[0], kept[1]), kept[0]
            except EventNotReadable as error:
                logger.warning("the snapshot of %s is passed over, all events are read instead: %s", name, error)
        return None, 0

    def _check_ours(self) -> None:
        """Raise `StreamFenced` if the stream has been taken over, or deleted, since it was acquired."""
        name, epoch = self._handle.name, self._handle.epoch
        headers = self._backend.headers(name, None, False, {}, "", 1)
        if not headers or headers[0].name != name or headers[0].epoch != epoch:
            raise StreamFenced(f"{name} has been taken over or deleted while it was opened", name, epoch)


def _gap(rows: list[Kept], after: int, upto: int) -> int | None:
    """The version of an event that is missing. What version 0.1.0 wrote may begin anywhere."""
    expected = rows[0].version if rows and not after and not rows[0].event.schema else after + 1
    for kept in rows:
        if kept.version != expected:
            return expected
        expected += 1
    return expected if expected <= upto else None
