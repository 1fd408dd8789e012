"""A journal in memory: it outlives actors, agencies and systems, and ends with the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

from ...core.mail.future import Future
from ..errors import StreamConflict
from ..store import Header, Post, Record, Retention
from .streams import Kept, MemoryStream, Waiting, Worker, closed, failed, owned
from .subscriptions import Subscription


class MemoryJournal:
    """Keeps streams in memory.

    What differs from a journal in a database: events are not encoded, so each can be written, and readers get the
    very objects that were appended; metadata is empty; an owner owns until it is closed, without a lease. Several
    workers of one process share a journal through `as_worker`.
    """

    __slots__ = ("_me", "worker")

    def __init__(self) -> None:
        self.worker = uuid4().hex
        self._me = Worker(self.worker, Kept())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._me.closed else 'of'} {self.worker}>"

    def as_worker(self) -> MemoryJournal:
        """The same streams for another worker, which owns what it opens itself. Also of a closed journal."""
        other = MemoryJournal()
        other._me.kept = self._me.kept
        return other

    def open(self, stream: str) -> MemoryStream:
        """See `Journal.open`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
            old = kept.streams.get(stream)
            if old is None:
                new = kept.streams[stream] = MemoryStream(stream, self._me)
                return new
            owner = old._owner
            if owner is not None and owner is not self._me and not owner.closed:
                raise owned(old, owner)
            new = kept.streams[stream] = MemoryStream(stream, self._me)
            new._take_over(old)
            return new

    def create(self, stream: str) -> MemoryStream:
        """See `Journal.create`."""
        return self.open(stream)

    def append(self, stream: str, events: Sequence[Any], *, expected: int | None = None) -> Future[int] | int:
        """See `Journal.append`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
            there = kept.streams.get(stream)
            version = 0
            if there is not None:
                owner = there._alive_owner()
                if owner is not None:
                    return failed(owned(there, owner))
                version = there.version
            if expected is not None and expected != version:
                message = f"{stream} is at version {version}, not {expected}"
                return failed(StreamConflict(message, stream, expected, version))
            if there is None:
                if not events:
                    return 0
                there = kept.streams[stream] = MemoryStream(stream, self._me)
                there.epoch = 0
                there._owner = None
            there._add(kept, events)
            return there.version

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[Record]:
        """See `Journal.read`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
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
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
            wanted = labels.items() if labels else ()
            found = (
                there._header()
                for name in kept.streams.beginning(prefix, after)
                if (there := kept.streams.get(name)) is not None
                and (unfinished is None or there._unfinished is unfinished)
                and not (abandoned and there._alive_owner() is not None)
                and all(there._labels.get(key) == value for key, value in wanted)
            )
            return list(islice(found, limit))

    def find(self, key: str) -> str | None:
        """See `Journal.find`."""
        if self._me.closed:
            raise closed()
        return self._me.kept.keys.get(key)

    def delete(self, *streams: str) -> None:
        """See `Journal.delete`."""
        with self._me.kept.lock:
            if self._me.closed:
                raise closed()
            for stream in streams:
                self._me.kept.delete(stream)

    def forget(self, *streams: str) -> None:
        """See `Journal.forget`."""
        self.delete(*streams)

    def post(self, stream: str, event: Any) -> None:
        """See `Journal.post`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
            kept.posts_ever += 1
            post = Post(kept.posts_ever, stream, event)
            kept.posts[post.id] = Waiting(post)
            kept.offer(post.id)

    def posts(self, stream: str) -> list[Post]:
        """See `Journal.posts`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
            return [waiting.post for waiting in kept.posts.values() if waiting.post.stream == stream]

    def on_post(self, deliver: Callable[[Post], object] | None) -> None:
        """See `Journal.on_post`."""
        kept = self._me.kept
        loop = None if deliver is None else asyncio.get_running_loop()
        with kept.lock:
            if self._me.closed:
                raise closed()
            self._me.deliver = deliver
            self._me.loop = loop
            kept.listeners.pop(self.worker, None)
            if deliver is not None:
                kept.listeners[self.worker] = self._me
                for post in kept.posts:
                    self._me.offer(post)

    def discard(self, *posts: int) -> None:
        """See `Journal.discard`."""
        with self._me.kept.lock:
            if self._me.closed:
                raise closed()
            for post in posts:
                self._me.kept.posts.pop(post, None)

    def subscribe(self, *, after: int = 0, prefix: str = "") -> Subscription:
        """See `Journal.subscribe`. It ends in `JournalClosed` when this journal is closed."""
        if self._me.closed:
            raise closed()
        return Subscription(self._me, after, prefix)

    def position(self) -> int:
        """See `Journal.position`."""
        if self._me.closed:
            raise closed()
        return self._me.kept.position

    def prune(self, retention: Retention) -> int:
        """See `Journal.prune`."""
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                raise closed()
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
        kept = self._me.kept
        with kept.lock:
            if self._me.closed:
                return
            self._me.closed = True  # by which it owns nothing any more
            self._me.deliver = None
            kept.listeners.pop(self.worker, None)
            for post in kept.posts:
                kept.offer(post)
            for subscription in kept.following():
                if subscription.worker is self._me:
                    subscription.wake()

    def abandon(self) -> None:
        """Be as if this worker's process had been killed: nothing more gets in, and what it owned is nobody's."""
        self.close()
