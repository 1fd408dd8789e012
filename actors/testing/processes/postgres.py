"""A model of PostgreSQL for journals: what our schema keeps in its tables, in memory, with the same answers.

A batch is one transaction. Leases are timed by the server's clock, which is the run's. Who has committed something
tells all who listen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Final

from ...journal.backend import (
    Acquire,
    Acquired,
    Append,
    Delete,
    Discard,
    KeepSnapshot,
    Kept,
    Leave,
    Left,
    Prune,
    Release,
    Write,
)
from ...journal.codec import Encoded
from ...journal.errors import KeyTaken, StreamConflict, StreamFenced, StreamOwned, wrong_header
from ...journal.store import Header

POLL: Final = 2.0
"""Seconds after which to look without having heard of anything: leases end without a word."""


@dataclass(slots=True)
class _Stream:
    """A row of the table of streams, and what belongs to it."""

    name: str
    epoch: int
    owner: str
    created_at: float
    updated_at: float
    unfinished: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    events: list[Kept] = field(default_factory=list)
    snapshot: tuple[int, Encoded] | None = None

    @property
    def version(self) -> int:
        return len(self.events)


class Database:
    """What outlives processes: the tables, and who listens."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.streams: dict[str, _Stream] = {}
        self.keys: dict[str, str] = {}
        self.posts: dict[int, Left] = {}
        self.events: list[Kept] = []
        self.workers: dict[str, float] = {}
        self.position = 0
        self.last_post = 0
        self.listeners: list[Callable[[], None]] = []

    def seconds_left(self, worker: str) -> float:
        """How long a worker's lease goes on."""
        return max(0.0, self.workers.get(worker, 0.0) - time.monotonic())

    def owner(self, stream: _Stream | None) -> str:
        """The worker that holds a stream, if it is alive."""
        return stream.owner if stream is not None and self.seconds_left(stream.owner) else ""

    def notify(self) -> None:
        """Tell all who listen that something has been committed."""
        for changed in list(self.listeners):
            changed()

    def delete(self, name: str) -> None:
        """Delete a stream with all that belongs to it."""
        stream = self.streams.pop(name, None)
        if stream is not None:
            self.events = [kept for kept in self.events if kept.stream != name]
        self.keys = {key: whose for key, whose in self.keys.items() if whose != name}
        self.posts = {number: left for number, left in self.posts.items() if left.stream != name}


class ModelBackend:
    """See `Backend`: a process's connections to the database.

    Args:
        database: the server.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed: list[Callable[[], None]] = []
        self._at = 0.0
        self._apply: dict[type[Any], Callable[[Any], object]] = {
            Append: self._append,
            Acquire: self._acquire,
            KeepSnapshot: self._keep_snapshot,
            Release: self._release,
            Delete: self._delete,
            Leave: self._leave,
            Discard: self._discard,
            Prune: self._prune,
        }

    def prepare(self) -> None:
        """See `Backend.prepare`."""

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, batch: Sequence[Write]) -> list[object]:
        """See `Backend.write`."""
        database = self._database
        with database.lock:
            self._at = time.time()
            results = [self._apply[item.__class__](item) for item in batch]
        database.notify()
        return results

    def _append(self, item: Append) -> object:
        database = self._database
        stream = database.streams.get(item.stream)
        if not item.owner:
            owner = database.owner(stream)
            if owner:
                return _owned(item.stream, owner, database.seconds_left(owner))
            if stream is None and not item.events and item.expected in (None, 0):
                return 0
        elif stream is None:
            return StreamFenced(f"{item.stream} has been deleted", item.stream, item.epoch)
        elif (stream.owner, stream.epoch) != (item.owner, item.epoch):
            return StreamFenced(f"{item.stream} has been taken over since epoch {item.epoch}", item.stream, item.epoch)
        version = 0 if stream is None else stream.version
        if item.expected not in (None, version):
            message = f"{item.stream} is at version {version}, not {item.expected}"
            return StreamConflict(message, item.stream, item.expected or 0, version)
        for key in item.keys:
            whose = database.keys.get(key, item.stream)
            if whose != item.stream:
                return KeyTaken(f"the key {key} is taken by {whose}", key, whose)
        if stream is None:
            stream = database.streams[item.stream] = _Stream(item.stream, 0, "", self._at, self._at)
        elif not item.owner:
            stream.owner = ""
        for event in item.events:
            database.position += 1
            kept = Kept(database.position, stream.name, stream.version + 1, event, self._at)
            stream.events.append(kept)
            database.events.append(kept)
        stream.updated_at = self._at
        if item.unfinished is not None:
            stream.unfinished = item.unfinished
        stream.labels.update(item.labels or {})
        database.keys.update(dict.fromkeys(item.keys, stream.name))
        for other in item.drop:
            if other != stream.name:
                database.delete(other)
        for post in item.taken:
            database.posts.pop(post, None)
        return stream.version

    def _acquire(self, item: Acquire) -> object:
        database = self._database
        stream = database.streams.get(item.stream)
        if stream is None:
            epoch = item.epoch or 1
            database.streams[item.stream] = _Stream(item.stream, epoch, item.owner, self._at, self._at)
            return Acquired(0, epoch, 0)
        owner = database.owner(stream)
        if owner and owner != item.owner:
            return _owned(item.stream, owner, database.seconds_left(owner))
        if stream.events and stream.events[-1].version != stream.version:
            return wrong_header(item.stream, stream.version, stream.events[-1].version)
        stream.epoch += 1
        stream.owner = item.owner
        return Acquired(stream.version, stream.epoch, 0 if stream.snapshot is None else stream.snapshot[0])

    def _owns(self, item: KeepSnapshot | Release) -> _Stream | None:
        stream = self._database.streams.get(item.stream)
        return stream if stream is not None and (stream.owner, stream.epoch) == (item.owner, item.epoch) else None

    def _keep_snapshot(self, item: KeepSnapshot) -> None:
        stream = self._owns(item)
        if stream is not None and stream.version >= item.version:
            stream.snapshot = (item.version, item.event)

    def _release(self, item: Release) -> None:
        stream = self._owns(item)
        if stream is None:
            return
        stream.owner = ""
        if not (stream.version or stream.labels or stream.unfinished or item.stream in self._database.keys.values()):
            del self._database.streams[item.stream]

    def _delete(self, item: Delete) -> None:
        for stream in item.streams:
            self._database.delete(stream)

    def _discard(self, item: Discard) -> None:
        for post in item.posts:
            self._database.posts.pop(post, None)

    def _leave(self, item: Leave) -> None:
        database = self._database
        database.last_post += 1
        database.posts[database.last_post] = Left(database.last_post, item.stream, item.event)

    def _prune(self, item: Prune) -> int:
        database, retention = self._database, item.retention
        gone: list[str] = []
        for name, stream in database.streams.items():
            seconds = retention.ephemeral if stream.labels.get("ephemeral") == "1" else retention.finished
            if seconds is None or stream.unfinished or database.owner(stream) or self._at - stream.updated_at < seconds:
                continue
            if len(gone) < item.most:
                gone.append(name)
        for name in gone:
            database.delete(name)
        return len(gone)

    # -- ownership -----------------------------------------------------------------------------------------------------

    def heartbeat(self, worker: str, lease: float) -> None:
        """See `Backend.heartbeat`."""
        with self._database.lock:
            self._database.workers[worker] = time.monotonic() + lease

    def leave(self, worker: str) -> None:
        """See `Backend.leave`."""
        database = self._database
        with database.lock:
            database.workers.pop(worker, None)
            for stream in database.streams.values():
                if stream.owner == worker:
                    stream.owner = ""
        database.notify()

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> list[Kept]:
        """See `Backend.read`."""
        with self._database.lock:
            there = self._database.streams.get(stream)
            found = [] if there is None else there.events[max(after, 0) : upto]
            return found if limit is None else found[:limit]

    def snapshot(self, stream: str) -> tuple[int, Encoded] | None:
        """See `Backend.snapshot`."""
        with self._database.lock:
            there = self._database.streams.get(stream)
            return None if there is None else there.snapshot

    def headers(
        self,
        prefix: str,
        unfinished: bool | None,
        abandoned: bool,
        labels: Mapping[str, str],
        after: str,
        limit: int | None,
    ) -> list[Header]:
        """See `Backend.headers`."""
        database = self._database
        with database.lock:
            found = [
                Header(
                    name,
                    stream.version,
                    stream.epoch,
                    database.owner(stream),
                    stream.unfinished,
                    dict(stream.labels),
                    stream.created_at,
                    stream.updated_at,
                )
                for name, stream in sorted(database.streams.items())
                if name > after
                and name.startswith(prefix)
                and unfinished in (None, stream.unfinished)
                and not (abandoned and database.owner(stream))
                and labels.items() <= stream.labels.items()
            ]
        return found[:limit]

    def find(self, key: str) -> str | None:
        """See `Backend.find`."""
        return self._database.keys.get(key)

    def posts(self, worker: str) -> list[Left]:
        """See `Backend.posts`."""
        database = self._database
        with database.lock:
            return [
                left
                for left in database.posts.values()
                if database.owner(database.streams.get(left.stream)) in ("", worker)
            ]

    def left(self, stream: str) -> list[Left]:
        """See `Backend.left`."""
        with self._database.lock:
            return [left for left in self._database.posts.values() if left.stream == stream]

    def records(self, after: int, prefix: str, limit: int) -> list[Kept]:
        """See `Backend.records`."""
        with self._database.lock:
            found = [kept for kept in self._database.events if kept.position > after and kept.stream.startswith(prefix)]
            return found[:limit]

    def position(self) -> int:
        """See `Backend.position`."""
        return self._database.position

    def watch(self, changed: Callable[[], None]) -> float:
        """See `Backend.watch`."""
        if changed not in self._changed:
            self._changed.append(changed)
            self._database.listeners.append(changed)
        return POLL

    # -- faults and the end --------------------------------------------------------------------------------------------

    def is_transient(self, error: Exception) -> bool:
        """See `Backend.is_transient`. The model has no faults of its own."""
        return False

    def reconnect(self) -> None:
        """See `Backend.reconnect`."""

    def close(self) -> None:
        """See `Backend.close`."""
        for changed in self._changed:
            self._database.listeners.remove(changed)
        self._changed.clear()

    def forked(self) -> None:
        """See `Backend.forked`."""


def _owned(stream: str, owner: str, seconds: float) -> StreamOwned:
    message = f"{stream} is held by the worker {owner}, for {seconds:.1f} s at the least"
    return StreamOwned(message, stream, owner, seconds)
