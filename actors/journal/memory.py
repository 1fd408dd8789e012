"""A journal in memory: it outlives actors, agencies and systems, and ends with the process.

Nothing is encoded and nothing waits: what is appended is there at once, as the object it is. A stream is one object,
which is its own handle; opened again, a new one takes over what the old one holds, and the old one is fenced.
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from _thread import RLock
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import nsmallest
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid4

from ..core.mail.future import Future
from .codec import type_name
from .errors import JournalClosed, JournalError, KeyTaken, StreamConflict, StreamFenced, StreamOwned
from .store import Header, Post, Record, Retention

QUEUED: Final = 1_000
"""Records that wait for a slow subscriber; behind that it looks for them in the streams again."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class MemoryJournal:
    """Keeps streams in memory.

    What differs from a journal in a database: events are not encoded, so each can be written, and readers get the
    very objects that were appended; metadata is empty; an owner owns until it is closed, without a lease. Several
    workers of one process share a journal through `as_worker`.
    """

    __slots__ = ("_closed", "_deliver", "_kept", "_loop", "worker")

    def __init__(self) -> None:
        self.worker = uuid4().hex
        self._kept = _Kept()
        self._closed = False
        self._deliver: Callable[[Post], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._closed else 'of'} {self.worker}>"

    def as_worker(self) -> MemoryJournal:
        """The same streams for another worker, which owns what it opens itself. Also of a closed journal."""
        other = MemoryJournal()
        other._kept = self._kept
        return other

    def open(self, stream: str) -> _Stream:
        """See `Journal.open`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            old = kept.streams.get(stream)
            if old is None:
                new = kept.streams[stream] = _Stream(stream, self)
                return new
            owner = old._owner
            if owner is not None and owner is not self and not owner._closed:
                raise _owned(old, owner)
            new = kept.streams[stream] = _Stream(stream, self)
            new._take_over(old)
            return new

    def append(self, stream: str, events: Sequence[Any], *, expected: int | None = None) -> Future[int] | int:
        """See `Journal.append`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            there = kept.streams.get(stream)
            version = 0
            if there is not None:
                owner = there._alive_owner()
                if owner is not None:
                    return _failed(_owned(there, owner))
                version = there.version
            if expected is not None and expected != version:
                message = f"{stream} is at version {version}, not {expected}"
                return _failed(StreamConflict(message, stream, expected, version))
            if there is None:
                if not events:
                    return 0
                there = kept.streams[stream] = _Stream(stream, self)
                there.epoch = 0
                there._owner = None
            there._add(kept, events)
            return there.version

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Journal.read`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            there = kept.streams.get(stream)
            if there is None:
                return []
            end = there.version if limit is None else min(there.version, after + limit)
            return [there._record(at) for at in range(max(after, 0), end)]

    def headers(
        self,
        *,
        prefix: str = "",
        unfinished: bool | None = None,
        abandoned: bool = False,
        labels: Mapping[str, str] | None = None,
        after: str = "",
        limit: int | None = None,
    ) -> list[Header]:
        """See `Journal.headers`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            wanted = labels.items() if labels else ()
            names = (
                name
                for name, there in kept.streams.items()
                if name > after
                and name.startswith(prefix)
                and (unfinished is None or there._unfinished is unfinished)
                and not (abandoned and there._alive_owner() is not None)
                and all(there._labels.get(key) == value for key, value in wanted)
            )
            found = sorted(names) if limit is None else nsmallest(limit, names)
            return [kept.streams[name]._header() for name in found]

    def find(self, key: str) -> str | None:
        """See `Journal.find`."""
        if self._closed:
            raise _closed()
        return self._kept.keys.get(key)

    def delete(self, *streams: str) -> None:
        """See `Journal.delete`."""
        with self._kept.lock:
            if self._closed:
                raise _closed()
            for stream in streams:
                self._kept.delete(stream)

    def post(self, stream: str, event: Any) -> None:
        """See `Journal.post`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            kept.posts_ever += 1
            post = Post(kept.posts_ever, stream, event)
            kept.posts[post.id] = _Waiting(post)
            kept.offer(post.id)

    def on_post(self, deliver: Callable[[Post], object] | None) -> None:
        """See `Journal.on_post`."""
        kept = self._kept
        loop = None if deliver is None else asyncio.get_running_loop()
        with kept.lock:
            if self._closed:
                raise _closed()
            self._deliver = deliver
            self._loop = loop
            kept.listeners.pop(self.worker, None)
            if deliver is not None:
                kept.listeners[self.worker] = self
                for post in kept.posts:
                    self._offer(post)

    def discard(self, *posts: int) -> None:
        """See `Journal.discard`."""
        with self._kept.lock:
            if self._closed:
                raise _closed()
            for post in posts:
                self._kept.posts.pop(post, None)

    def subscribe(self, *, after: int = 0, prefix: str = "") -> _Subscription:
        """See `Journal.subscribe`. It ends in `JournalClosed` when this journal is closed."""
        if self._closed:
            raise _closed()
        return _Subscription(self, after, prefix)

    def position(self) -> int:
        """See `Journal.position`."""
        if self._closed:
            raise _closed()
        return self._kept.position

    def prune(self, retention: Retention) -> int:
        """See `Journal.prune`."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                raise _closed()
            now = time.time()
            gone = []
            for name, there in kept.streams.items():
                seconds = retention.ephemeral if there._labels.get("ephemeral") == "1" else retention.finished
                if seconds is None or there._unfinished or there._alive_owner() is not None:
                    continue
                if now - there._updated_at() >= seconds:
                    gone.append(name)
            for name in gone:
                kept.delete(name)
            return len(gone)

    def close(self) -> None:
        """See `Journal.close`. What it kept stays for those who share it (`as_worker`)."""
        kept = self._kept
        with kept.lock:
            if self._closed:
                return
            self._closed = True  # by which it owns nothing any more
            self._deliver = None
            kept.listeners.pop(self.worker, None)
            for post in kept.posts:
                kept.offer(post)
            for subscription in kept.following():
                if subscription._journal is self:
                    subscription._wake()

    def abandon(self) -> None:
        """Be as if this worker's process had been killed: nothing more gets in, and what it owned is nobody's."""
        self.close()

    def _offer(self, post: int) -> None:
        loop, deliver = self._loop, self._deliver
        if loop is not None and deliver is not None:
            _call_soon(loop, self._hand_over, post, deliver)

    def _hand_over(self, number: int, deliver: Callable[[Post], object]) -> None:
        """Deliver a post, if it still waits, is for this worker, and has not been delivered to it."""
        kept = self._kept
        with kept.lock:
            waiting = kept.posts.get(number)
            if waiting is None or deliver is not self._deliver or self.worker in waiting.seen:
                return
            there = kept.streams.get(waiting.post.stream)
            owner = None if there is None else there._alive_owner()
            if owner is not None and owner is not self:
                return  # offered again when it is nobody's
            waiting.seen += (self.worker,)
        deliver(waiting.post)


class _Kept:
    """What the workers of one journal share."""

    __slots__ = ("keys", "listeners", "lock", "position", "posts", "posts_ever", "streams", "subscriptions", "unique")

    def __init__(self) -> None:
        self.lock = RLock()  # a finalizer may come in between
        self.streams: dict[str, _Stream] = {}
        self.keys: dict[str, str] = {}
        self.posts: dict[int, _Waiting] = {}
        self.listeners: dict[str, MemoryJournal] = {}
        self.subscriptions: dict[int, weakref.ref[_Subscription]] = {}
        self.position = 0
        self.posts_ever = 0
        self.unique = 0

    def offer(self, post: int) -> None:
        for journal in self.listeners.values():
            journal._offer(post)

    def delete(self, stream: str) -> None:
        there = self.streams.pop(stream, None)
        if there is not None:
            there._forget()
            for key in there._keys:
                del self.keys[key]
        if self.posts:
            for number in [number for number, waiting in self.posts.items() if waiting.post.stream == stream]:
                del self.posts[number]

    def following(self) -> Iterator[_Subscription]:
        for number in list(self.subscriptions):
            reference = self.subscriptions.get(number)
            subscription = None if reference is None else reference()
            if subscription is not None:
                yield subscription


class _Waiting:
    """A post that nobody has taken yet."""

    __slots__ = ("post", "seen")

    def __init__(self, post: Post) -> None:
        self.post = post
        self.seen: tuple[str, ...] = ()  # the workers it was delivered to


class _Stream:
    """A stream with what it keeps, and its owner's handle. See `store.Stream`."""

    __slots__ = (
        "_created_at",
        "_dead",
        "_journal",
        "_keys",
        "_labels",
        "_log",
        "_marks",
        "_owner",
        "_snapshot",
        "_snapshot_version",
        "_unfinished",
        "epoch",
        "events",
        "name",
        "snapshot",
        "version",
    )

    def __init__(self, name: str, journal: MemoryJournal) -> None:
        self.name = name
        self.epoch = 1
        self.version = 0
        self.snapshot: Any = None
        self.events: Sequence[Any] = ()
        self._journal = journal
        self._owner: MemoryJournal | None = journal
        self._dead = False  # fenced, released or deleted: then another object, or none, keeps what this one kept
        self._created_at = time.time()
        self._log: list[Any] | None = None
        self._marks: array[float] | None = None  # position and time of each event, in turn
        self._labels = _NONE
        self._keys: tuple[str, ...] = ()
        self._unfinished = False
        self._snapshot: Any = None
        self._snapshot_version = 0

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
    ) -> Future[None] | None:
        """See `Stream.append`."""
        journal = self._journal
        kept = journal._kept
        with kept.lock:
            if journal._closed:
                raise _closed()
            if self._dead:
                return _failed(self._fenced())
            for key in keys:
                whose = kept.keys.get(key, self.name)
                if whose != self.name:
                    return _failed(KeyTaken(f"the key {key} is taken by {whose}", key, whose))
            if events:
                self._add(kept, events)
            if unfinished is not None:
                self._unfinished = unfinished
            if labels:
                self._labels = {**self._labels, **labels}
            for key in keys:
                if key not in self._keys:
                    self._keys += (key,)
                    kept.keys[key] = self.name
            for stream in drop:
                kept.delete(stream)
            for post in taken:
                kept.posts.pop(post, None)
        return None

    def keep_snapshot(self, event: Any) -> None:
        """See `Stream.keep_snapshot`."""
        with self._journal._kept.lock:
            if self._journal._closed:
                raise _closed()
            self._snapshot = event  # of a dead handle nobody will see it
            self._snapshot_version = self.version

    def release(self) -> None:
        """See `Stream.release`."""
        journal = self._journal
        kept = journal._kept
        with kept.lock:
            if journal._closed or self._dead:
                return
            if self.version or self._labels or self._keys or self._unfinished:
                left = kept.streams[self.name] = _Stream(self.name, journal)
                left._take_over(self)
                left.epoch = self.epoch
                left.events = ()
                left._owner = None
            else:
                del kept.streams[self.name]
                self._dead = True
            for number, waiting in kept.posts.items():
                if waiting.post.stream == self.name:
                    kept.offer(number)

    def _take_over(self, old: _Stream) -> None:
        """Keep what another object kept, which is fenced by that."""
        self.epoch = old.epoch + 1
        self.version = old.version
        self.snapshot = self._snapshot = old._snapshot
        self._snapshot_version = old._snapshot_version
        self._created_at = old._created_at
        self._log = old._log
        self._marks = old._marks
        self._labels = old._labels
        self._keys = old._keys
        self._unfinished = old._unfinished
        if self._log is not None:
            self.events = self._log[self._snapshot_version :]
        old._forget()

    def _forget(self) -> None:
        self._dead = True
        self._owner = self._log = self._marks = self._snapshot = None

    def _add(self, kept: _Kept, events: Sequence[Any]) -> None:
        log, marks = self._log, self._marks
        if log is None or marks is None:
            log = self._log = []
            marks = self._marks = array("d")
        first = len(log)
        log.extend(events)
        now = time.time()
        position = kept.position
        for _ in range(first, len(log)):
            position += 1
            marks.append(position)
            marks.append(now)
        kept.position = position
        self.version = len(log)
        if kept.subscriptions:
            for subscription in kept.following():
                subscription._tell(self, first)

    def _alive_owner(self) -> MemoryJournal | None:
        owner = self._owner
        return None if owner is None or owner._closed else owner

    def _fenced(self) -> StreamFenced:
        return StreamFenced(f"{self.name} has been given back, deleted or opened anew", self.name, self.epoch)

    def _updated_at(self) -> float:
        return self._marks[-1] if self._marks else self._created_at

    def _header(self) -> Header:
        owner = self._alive_owner()
        return Header(
            self.name,
            self.version,
            self.epoch,
            "" if owner is None else owner.worker,
            self._unfinished,
            dict(self._labels),
            self._created_at,
            self._updated_at(),
        )

    def _record(self, index: int) -> Record:
        log, marks = self._log, self._marks
        assert log is not None
        assert marks is not None
        event = log[index]
        at = 2 * index
        return Record(int(marks[at]), self.name, index + 1, type_name(event), event, {}, marks[at + 1])

    def _since(self, position: int) -> Iterator[Record]:
        """The events with a higher position."""
        log, marks = self._log, self._marks
        if log is None or marks is None or marks[-2] <= position:
            return
        low, high = 0, len(log)
        while low < high:
            middle = (low + high) // 2
            if marks[2 * middle] <= position:
                low = middle + 1
            else:
                high = middle
        for index in range(low, len(log)):
            yield self._record(index)


class _Subscription:
    """Records as they come. It is forgotten as soon as nobody holds it."""

    __slots__ = ("__weakref__", "_behind", "_future", "_journal", "_position", "_prefix", "_queue")

    def __init__(self, journal: MemoryJournal, after: int, prefix: str) -> None:
        self._journal = journal
        self._position = after
        self._prefix = prefix
        self._queue: deque[Record] = deque()
        self._behind = True  # what comes next is in the streams, not in the queue
        self._future: asyncio.Future[None] | None = None
        kept = journal._kept
        with kept.lock:
            number = kept.unique = kept.unique + 1
            subscriptions = kept.subscriptions
            subscriptions[number] = weakref.ref(self, lambda _: subscriptions.pop(number, None))

    def __aiter__(self) -> _Subscription:
        return self

    async def __anext__(self) -> Record:
        if self._future is not None:
            raise RuntimeError("somebody else waits for this subscription's next record")
        kept = self._journal._kept
        while True:
            with kept.lock:
                if self._journal._closed:
                    raise _closed()
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

    def _catch_up(self, kept: _Kept) -> None:
        found = [
            record
            for name, there in kept.streams.items()
            if name.startswith(self._prefix)
            for record in there._since(self._position)
        ]
        self._behind = len(found) > QUEUED
        self._queue.extend(nsmallest(QUEUED, found) if self._behind else sorted(found))

    def _tell(self, stream: _Stream, first: int) -> None:
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
            self._wake()

    def _wake(self) -> None:
        future = self._future
        if future is not None:
            _call_soon(future.get_loop(), _settle, future)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
        if asyncio._get_running_loop() is loop:
            loop.call_soon(function, *args)
        else:
            loop.call_soon_threadsafe(function, *args)


def _closed() -> JournalClosed:
    return JournalClosed("the journal is closed")


def _owned(stream: _Stream, owner: MemoryJournal) -> StreamOwned:
    return StreamOwned(f"{stream.name} is held by the worker {owner.worker}", stream.name, owner.worker, math.inf)


def _failed(error: JournalError) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
