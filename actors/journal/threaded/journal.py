"""A journal whose database is used on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from ...core.mail.future import Future
from ..backend import Acquire, Append, Backend, Delete, Discard, Leave, Prune
from ..codec import Codec
from ..store import Header, Post, Record, Retention, Stream
from .handle import Handle, Opening
from .healing import GIVES_UP, Closing
from .inbox import read
from .open_here import closed, is_open, opened
from .pending import Pending
from .reader import Follow, Page, Reader
from .reading import encode, record
from .running import Runner, ThreadRunner, Waits, hosting
from .subscriptions import Subscription
from .writer import Writer


class ThreadedJournal:
    """See `store.Journal`. It may be made on any thread, and used on any thread and any number of event loops.

    A process forked from this one cannot use it.

    Args:
        backend: the database.
        codec: how events become text.
        lease: seconds for which what this worker owns stays its own without a sign of life.
        name: for the log.

    Raises:
        JournalUnavailable: the database cannot be opened.
    """

    def __init__(self, backend: Backend, codec: Codec, lease: float, name: str) -> None:
        if not lease > 0:
            raise ValueError(f"lease is {lease}: it must be seconds, and more than none")
        self.worker = uuid4().hex
        self._name = name
        self._backend = backend
        self._codec = codec
        self._handles: WeakValueDictionary[str, Handle] = WeakValueDictionary()
        self._closing = Closing("journal")
        self._lock = threading.Lock()
        runner: Callable[[Waits[None], str], Runner] = ThreadRunner
        host = hosting.get()
        if host is not None:
            self._backend = backend = host.store(backend)
            runner = host.runner
        self._writer = Writer(backend, self._closing, self.worker, lease, name, self._committed, self._ended, runner)
        self._reader = Reader(backend, codec, self._closing, self.worker, name, runner)
        try:
            backend.prepare()
        except BaseException:
            backend.close()
            raise
        self._hosted = host is not None
        if not self._hosted:
            opened(self, self._forked)
        self._reader.runner.start()
        self._writer.runner.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}{' closed' if self._closing.begun else ''}>"

    # -- streams ---------------------------------------------------------------------------------------------------

    def open(self, stream: str) -> Future[Stream]:
        """See `Journal.open`."""
        self._closing.check()
        earlier = self._handles.get(stream)
        if earlier is not None:
            earlier.fence("has been opened anew")
        future: Future[Stream] = Future()
        handle = self._handles[stream] = Handle(stream, self.worker, self._writer, self._codec)
        self._writer.put(Opening(handle, future, self._backend, self._reader))
        return future

    def create(self, stream: str) -> Stream:
        """See `Journal.create`."""
        self._closing.check()
        handle = self._handles[stream] = Handle(stream, self.worker, self._writer, self._codec)
        handle.epoch = 1
        self._writer.put_aside(Pending(Acquire(stream, self.worker, handle.epoch), None))
        return handle

    def append(self, stream: str, events: Sequence[Any], *, expected: int | None = None) -> Future[int]:
        """See `Journal.append`."""
        encoded = tuple([encode(self._codec, stream, event) for event in events])
        return self._write(Append(uuid4().hex, stream, "", 0, expected, encoded))

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Future[Sequence[Record]]:
        """See `Journal.read`."""
        return self._read(lambda: self._records(stream, after, limit))

    def headers(
        self,
        *,
        prefix: str = "",
        unfinished: bool | None = None,
        abandoned: bool = False,
        labels: Mapping[str, str] | None = None,
        after: str = "",
        limit: int | None = None,
    ) -> Future[Sequence[Header]]:
        """See `Journal.headers`."""
        wanted = dict(labels or {})
        return self._read(lambda: self._backend.headers(prefix, unfinished, abandoned, wanted, after, limit))

    def find(self, key: str) -> Future[str | None]:
        """See `Journal.find`."""
        return self._read(lambda: self._backend.find(key))

    def delete(self, *streams: str) -> Future[None]:
        """See `Journal.delete`."""
        return self._write(Delete(streams))

    def forget(self, *streams: str) -> None:
        """See `Journal.forget`."""
        self._closing.check()
        self._writer.put_aside(Pending(Delete(streams), None))

    def prune(self, retention: Retention) -> Future[int]:
        """See `Journal.prune`."""
        self._closing.check()
        future: Future[int] = Future()
        self._writer.put(_Pruning(Prune(retention), future, self._writer))
        return future

    # -- posts -----------------------------------------------------------------------------------------------------

    def post(self, stream: str, event: Any) -> Future[None]:
        """See `Journal.post`."""
        return self._write(Leave(stream, encode(self._codec, stream, event)))

    def posts(self, stream: str) -> Future[Sequence[Post]]:
        """See `Journal.posts`."""
        return self._read(lambda: [post for left in self._backend.left(stream) if (post := read(self._codec, left))])

    def on_post(self, deliver: Callable[[Post], object] | None) -> None:
        """See `Journal.on_post`."""
        if deliver is not None:
            self._closing.check()
        self._reader.inbox.target(deliver)
        self._reader.poke()

    def discard(self, *posts: int) -> None:
        """See `Journal.discard`."""
        self._closing.check()
        self._writer.put_aside(Pending(Discard(posts), None))

    # -- the order of all events -------------------------------------------------------------------------------------

    def subscribe(self, *, after: int = 0, prefix: str = "") -> Subscription:
        """See `Journal.subscribe`."""
        self._closing.check()
        return Subscription(self._follow, after, prefix)

    def position(self) -> Future[int]:
        """See `Journal.position`."""
        return self._read(self._backend.position)

    @property
    def lag(self) -> float:
        """Seconds for which what is being written is on its way to the store; 0 where nothing is."""
        return self._writer.lag

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See `Journal.close`. Where the database is at fault, it goes on trying for 5 seconds."""
        if not self._hosted and not is_open(self):  # closed before, or the parent's of this process
            return
        with self._lock:
            if not self._closing.begun:
                self._closing.begin()
                self._reader.inbox.target(None)
                self._reader.stop()
                self._writer.stop()
        if not self._reader.runner.is_current() and not self._writer.runner.is_current():
            self._writer.runner.join(3 * GIVES_UP)

    def _ended(self) -> None:
        """The writer's last act."""
        if self._reader.runner.join(GIVES_UP):
            self._backend.close()
        closed(self)

    def __enter__(self) -> ThreadedJournal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- within ------------------------------------------------------------------------------------------------------

    def _write(self, work: Any) -> Future[Any]:
        self._closing.check()
        future: Future[Any] = Future()
        self._writer.put(Pending(work, future))
        return future

    def _read(self, work: Callable[[], Any]) -> Future[Any]:
        self._closing.check()
        future: Future[Any] = Future()
        self._reader.put(Pending(work, future))
        return future

    def _follow(self, follow: Follow) -> Future[Page]:
        self._closing.check()
        future: Future[Page] = Future()
        self._reader.put(Pending(follow, future))
        return future

    def _committed(self, events: bool, posts: bool) -> None:
        if events or posts:
            self._reader.poke()

    def _records(self, stream: str, after: int, limit: int | None) -> list[Record]:
        return [record(self._codec, kept) for kept in self._backend.read(stream, after, None, limit)]

    def _forked(self) -> None:
        self._closing.forked()
        self._backend.forked()


class _Pruning(Pending):
    """A part of what need not be kept being deleted, and then the next."""

    __slots__ = ("_found", "_writer")

    def __init__(self, work: Prune, future: Future[int], writer: Writer) -> None:
        super().__init__(work, future)
        self._writer = writer
        self._found = 0

    def goes_on(self, outcome: object) -> bool:
        if not isinstance(outcome, int):
            return False
        self._found += outcome
        if outcome < self.work.most:
            return False
        self._writer.put(self)
        return True

    def finish(self, outcome: object) -> None:
        super().finish(self._found if isinstance(outcome, int) else outcome)
