"""What the workers of one journal in memory share: its streams, keys and posts, and who wants to hear of them.

A stream is one object, which is its owner's handle, too; opened again, a new one takes over what the old one holds, and
the old one is fenced. All of it is done under one lock, because workers may live on several threads.
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from _thread import RLock
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, Protocol

from ...core.mail.future import Future
from ..codec import type_name
from ..errors import JournalClosed, JournalError, KeyTaken, StreamFenced, StreamOwned
from ..store import Header, Post, Record

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Reader(Protocol):
    """A subscriber, as the streams see it."""

    worker: Worker

    def tell(self, stream: MemoryStream, first: int) -> None:
        """A stream has got events, the first of them at this index."""
        ...

    def wake(self) -> None:
        """Look whether there is something to do."""
        ...


class Worker:
    """Who owns streams, until it is closed."""

    __slots__ = ("closed", "deliver", "kept", "loop", "name")

    def __init__(self, name: str, kept: Kept) -> None:
        self.name = name
        self.kept = kept
        self.closed = False
        self.deliver: Callable[[Post], object] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def offer(self, post: int) -> None:
        """Have a post delivered soon, if it then is for this worker."""
        loop, deliver = self.loop, self.deliver
        if loop is not None and deliver is not None:
            call_soon(loop, self._hand_over, post, deliver)

    def _hand_over(self, number: int, deliver: Callable[[Post], object]) -> None:
        """Deliver a post, if it still waits, is for this worker, and has not been delivered to it."""
        kept = self.kept
        with kept.lock:
            waiting = kept.posts.get(number)
            if waiting is None or deliver is not self.deliver or self.name in waiting.seen:
                return
            there = kept.streams.get(waiting.post.stream)
            owner = None if there is None else there._alive_owner()
            if owner is not None and owner is not self:
                return  # offered again when it is nobody's
            waiting.seen += (self.name,)
        deliver(waiting.post)


class Streams(dict[str, "MemoryStream"]):
    """Streams by name, and their names in order once somebody has looked for a beginning: to look through all names for
    one takes 600 µs where there are 10,000."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] | None = None

    def __setitem__(self, name: str, stream: MemoryStream) -> None:
        if self._names is not None and name not in self:
            insort(self._names, name)
        super().__setitem__(name, stream)

    def remove(self, name: str) -> MemoryStream | None:
        """Take a stream out, if it is there."""
        there = super().pop(name, None)
        names = self._names
        if names is not None and there is not None:
            del names[bisect_left(names, name)]
        return there

    def beginning(self, prefix: str, after: str) -> Iterator[str]:
        """The names that begin so, in order, behind another one. Nothing may change meanwhile."""
        if self._names is None:
            self._names = sorted(self)
        names = self._names
        at = max(bisect_left(names, prefix), bisect_right(names, after))
        while at < len(names) and names[at].startswith(prefix):
            yield names[at]
            at += 1


class Kept:
    """What the workers of one journal share."""

    __slots__ = ("keys", "listeners", "lock", "position", "posts", "posts_ever", "streams", "subscriptions", "unique")

    def __init__(self) -> None:
        self.lock = RLock()  # a finalizer may come in between
        self.streams = Streams()
        self.keys: dict[str, str] = {}
        self.posts: dict[int, Waiting] = {}
        self.listeners: dict[str, Worker] = {}
        self.subscriptions: dict[int, weakref.ref[Reader]] = {}
        self.position = 0
        self.posts_ever = 0
        self.unique = 0

    def offer(self, post: int) -> None:
        """Have a post delivered to whoever it then is for."""
        for worker in self.listeners.values():
            worker.offer(post)

    def delete(self, stream: str) -> None:
        """Delete a stream with all that belongs to it, whoever owns it."""
        there = self.streams.remove(stream)
        if there is not None:
            there._forget()
            for key in there._keys or ():
                del self.keys[key]
        if self.posts:
            for number in [number for number, waiting in self.posts.items() if waiting.post.stream == stream]:
                del self.posts[number]

    def following(self) -> Iterator[Reader]:
        """The subscribers that somebody still holds, in the order they subscribed."""
        for number in list(self.subscriptions):
            reference = self.subscriptions.get(number)
            subscription = None if reference is None else reference()
            if subscription is not None:
                yield subscription


class Waiting:
    """A post that nobody has taken yet."""

    __slots__ = ("post", "seen")

    def __init__(self, post: Post) -> None:
        self.post = post
        self.seen: tuple[str, ...] = ()  # the workers it was delivered to


class MemoryStream:
    """A stream with what it keeps, and its owner's handle. See `store.Stream`.

    There are 100,000 of them: one object each, with a list of events and an array beside it. What begins with an
    underscore is for the modules of this room.
    """

    __slots__ = (
        "_created_at",
        "_dead",
        "_keys",
        "_labels",
        "_log",
        "_marks",
        "_owner",
        "_snapshot",
        "_snapshot_version",
        "_unfinished",
        "_worker",
        "epoch",
        "events",
        "name",
        "snapshot",
        "version",
    )

    def __init__(self, name: str, worker: Worker) -> None:
        self.name = name
        self.epoch = 1
        self.version = 0
        self.snapshot: Any = None
        self.events: Sequence[Any] = ()
        self._worker = worker
        self._owner: Worker | None = worker
        self._dead = False  # fenced, released or deleted: then another object, or none, keeps what this one kept
        self._created_at = time.time()
        self._log: list[Any] | None = None
        self._marks: array[float] | None = None  # position and time of each event, in turn
        self._labels = _NONE
        self._keys: list[str] | None = None
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
        worker = self._worker
        kept = worker.kept
        with kept.lock:
            if worker.closed:
                raise closed()
            if self._dead:
                return failed(self._fenced())
            for key in keys:
                whose = kept.keys.get(key, self.name)
                if whose != self.name:
                    return failed(KeyTaken(f"the key {key} is taken by {whose}", key, whose))
            if events:
                self._add(kept, events)
            if unfinished is not None:
                self._unfinished = unfinished
            if labels:
                self._labels = {**self._labels, **labels}
            for key in keys:
                if key not in kept.keys:
                    kept.keys[key] = self.name
                    if self._keys is None:
                        self._keys = [key]
                    else:
                        self._keys.append(key)
            for stream in drop:
                kept.delete(stream)
            for post in taken:
                kept.posts.pop(post, None)
        return None

    def keep_snapshot(self, event: Any) -> None:
        """See `Stream.keep_snapshot`."""
        with self._worker.kept.lock:
            if self._worker.closed:
                raise closed()
            self._snapshot = event  # of a dead handle nobody will see it
            self._snapshot_version = self.version

    def release(self) -> None:
        """See `Stream.release`."""
        worker = self._worker
        kept = worker.kept
        with kept.lock:
            if worker.closed or self._dead:
                return
            if self.version or self._labels or self._keys or self._unfinished:
                left = kept.streams[self.name] = MemoryStream(self.name, worker)
                left._take_over(self)
                left.epoch = self.epoch
                left.events = ()
                left._owner = None
            else:
                kept.streams.remove(self.name)
                self._dead = True
            for number, waiting in kept.posts.items():
                if waiting.post.stream == self.name:
                    kept.offer(number)

    def _take_over(self, old: MemoryStream) -> None:
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

    def _add(self, kept: Kept, events: Sequence[Any]) -> None:
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
                subscription.tell(self, first)

    def _alive_owner(self) -> Worker | None:
        owner = self._owner
        return None if owner is None or owner.closed else owner

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
            "" if owner is None else owner.name,
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


def call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    """Call a function on an event loop, from whichever thread."""
    with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
        if asyncio._get_running_loop() is loop:
            loop.call_soon(function, *args)
        else:
            loop.call_soon_threadsafe(function, *args)


def closed() -> JournalClosed:
    """The error of a journal that is closed."""
    return JournalClosed("the journal is closed")


def owned(stream: MemoryStream, owner: Worker) -> StreamOwned:
    """The error of a stream that another worker holds, for as long as it lives."""
    return StreamOwned(f"{stream.name} is held by the worker {owner.name}", stream.name, owner.name, math.inf)


def failed(error: JournalError) -> Future[Any]:
    """A future that has failed."""
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
