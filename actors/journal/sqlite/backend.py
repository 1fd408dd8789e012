"""SQLite for a journal: what is written, by a connection of its own, and who works on the file."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..backend import Acquire, Acquired, Append, Delete, Discard, KeepSnapshot, Leave, Prune, Release, Write
from ..codec import Encoded
from ..errors import JournalError, KeyTaken, StreamConflict, StreamFenced, StreamOwned, wrong_header
from . import schema
from .files import BUSY, connect, identity, inherit, is_passing, transaction
from .ownership import Presence, boot_id, is_current, now, workers
from .reading import SqliteReader, as_json, not_in

POLL: Final = 0.25
"""Seconds after which what other processes have written is looked for."""

FREE_PAGES: Final = 1_000
"""How much of what has become free is given back to the disk at a time."""

FREE_PAGES_AT_THE_END: Final = 20_000

_OWNED: Final = "WHERE name = ? AND owner = ? AND epoch = ?"
_ADVANCE: Final = f"UPDATE streams SET version = ?, updated_at = ? {_OWNED} AND version = ?"
_ADVANCE_AND_FLAG: Final = f"UPDATE streams SET version = ?, updated_at = ?, unfinished = ? {_OWNED} AND version = ?"
_INSERT: Final = "INSERT INTO events (stream, version, type, schema, data, metadata, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
_LAST: Final = "SELECT ifnull(max(version), 0) FROM events WHERE stream = ?"

_DELETING: Final = frozenset({Delete, Prune})


class SqliteBackend(SqliteReader):
    """See `Backend`. A commit either went well or did not happen: SQLite always says which.

    Args:
        path: the file.
        synchronous: SQLite's level.
    """

    def __init__(self, path: str | Path, synchronous: str) -> None:
        self._path = schema.JOURNAL.absolute(path)
        self._synchronous = synchronous
        folder = Path(f"{self._path}-workers")
        super().__init__(Presence(folder))
        self._shown = Presence(folder)  # as long as the process, not the journal
        self._identity: tuple[int, int] | None = None
        self._write: sqlite3.Connection | None = None
        self._rows: list[tuple[Any, ...]] = []  # events of the batch that are still to be inserted
        self._at = 0.0
        self._apply: dict[type[Any], Callable[[Any], object]] = {
            Append: self._append,
            Acquire: self._acquire,
            KeepSnapshot: self._keep_snapshot,
            Release: self._release,
            Delete: self._delete_all,
            Leave: self._leave,
            Discard: self._discard,
            Prune: self._prune,
        }

    def prepare(self) -> None:
        """See `Backend.prepare`."""
        schema.prepare(self._path)
        self._identity = identity(self._path)
        self._write = connect(self._path, BUSY)
        self._write.execute(f"PRAGMA synchronous={self._synchronous}")
        self._read = connect(self._path, BUSY)
        self._read.execute("PRAGMA query_only=ON")

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, batch: Sequence[Write]) -> list[object]:
        """See `Backend.write`."""
        apply = self._apply
        self._rows.clear()
        self._at = time.time()
        with transaction(self._writer):
            results = [apply[item.__class__](item) for item in batch]
            self._flush()
        if any(item.drop if item.__class__ is Append else item.__class__ in _DELETING for item in batch):
            self._vacuum()
        return results

    def _append(self, item: Append) -> object:
        _, stream, owner, epoch, version, events, unfinished, labels, keys, drop, taken = item
        if not owner:
            return self._append_unowned(item)
        if keys:
            refused = self._key_taken(stream, keys)
            if refused is not None:
                return self._refusal(item) or refused
        assert version is not None
        after = version + len(events)
        if unfinished is None:
            cursor = self._writer.execute(_ADVANCE, (after, self._at, stream, owner, epoch, version))
        else:
            values = (after, self._at, unfinished, stream, owner, epoch, version)
            cursor = self._writer.execute(_ADVANCE_AND_FLAG, values)
        if not cursor.rowcount:
            return self._refusal(item)
        self._add(stream, version, events)
        if labels:
            self._label(stream, labels)
        for key in keys:
            self._writer.execute("INSERT INTO keys (key, stream) VALUES (?, ?) ON CONFLICT DO NOTHING", (key, stream))
        for other in drop:
            if other != stream:
                self._delete(other)
        for post in taken:
            self._writer.execute("DELETE FROM posts WHERE id = ?", (post,))
        return after

    def _append_unowned(self, item: Append) -> object:
        stream, events = item.stream, item.events
        row = self._writer.execute("SELECT version, owner FROM streams WHERE name = ?", (stream,)).fetchone()
        if row is not None and row[1]:
            seconds = self._seconds_left(row[1])
            if seconds:
                return _owned(stream, row[1], seconds)
        version: int = row[0] if row is not None else 0
        if item.expected not in (None, version):
            return _conflict(stream, item.expected, version)
        if row is None and not events:
            return 0
        after = version + len(events)
        if row is None:
            self._insert_stream(stream, after, 0, "")
        else:  # whoever had it, and may be but paused, has it no more
            self._writer.execute(
                "UPDATE streams SET version = ?, owner = '', updated_at = ? WHERE name = ?", (after, self._at, stream)
            )
        self._add(stream, version, events)
        return after

    def _add(self, stream: str, version: int, events: Sequence[Encoded]) -> None:
        for kind, form, data, metadata in events:
            version += 1
            self._rows.append((stream, version, kind, form, data, metadata, self._at))

    def _flush(self) -> None:
        rows = self._rows
        if len(rows) == 1:
            self._writer.execute(_INSERT, rows[0])
        elif rows:
            self._writer.executemany(_INSERT, rows)
        rows.clear()

    def _insert_stream(self, stream: str, version: int, epoch: int, owner: str) -> None:
        self._writer.execute(
            "INSERT INTO streams (name, version, epoch, owner, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            (stream, version, epoch, owner, self._at, self._at),
        )

    def _refusal(self, item: Append) -> JournalError | None:
        """Why a stream is not its owner's, or not at the version it should be at."""
        row = self._writer.execute(
            "SELECT version, epoch, owner FROM streams WHERE name = ?", (item.stream,)
        ).fetchone()
        if row is None:
            return StreamFenced(f"{item.stream} has been deleted", item.stream, item.epoch)
        version, epoch, owner = row
        if owner != item.owner or epoch != item.epoch:
            return StreamFenced(f"{item.stream} has been taken over since epoch {item.epoch}", item.stream, item.epoch)
        return None if version == item.expected else _conflict(item.stream, item.expected, version)

    def _key_taken(self, stream: str, keys: Sequence[str]) -> KeyTaken | None:
        for key in keys:
            row = self._writer.execute("SELECT stream FROM keys WHERE key = ?", (key,)).fetchone()
            if row is not None and row[0] != stream:
                return KeyTaken(f"the key {key} is taken by {row[0]}", key, row[0])
        return None

    def _label(self, stream: str, labels: Mapping[str, str]) -> None:
        (text,) = self._writer.execute("SELECT labels FROM streams WHERE name = ?", (stream,)).fetchone()
        text = as_json({**json.loads(text), **labels})
        self._writer.execute("UPDATE streams SET labels = ? WHERE name = ?", (text, stream))

    def _acquire(self, item: Acquire) -> object:
        stream, worker, first = item
        self._flush()  # events of the batch may be the stream's
        row = self._writer.execute("SELECT version, epoch, owner FROM streams WHERE name = ?", (stream,)).fetchone()
        version, epoch, owner = row or (0, 0, "")
        (last,) = self._writer.execute(_LAST, (stream,)).fetchone()
        if last != version:
            return wrong_header(stream, version, last)
        if row is None:
            self._insert_stream(stream, 0, first or 1, worker)
            return Acquired(0, first or 1, 0)
        if owner and owner != worker:
            seconds = self._seconds_left(owner)
            if seconds:
                return _owned(stream, owner, seconds)
        self._writer.execute("UPDATE streams SET epoch = ?, owner = ? WHERE name = ?", (epoch + 1, worker, stream))
        kept = self._writer.execute("SELECT version FROM snapshots WHERE stream = ?", (stream,)).fetchone()
        return Acquired(version, epoch + 1, 0 if kept is None else kept[0])

    def _keep_snapshot(self, item: KeepSnapshot) -> None:
        stream, owner, epoch, version, event = item
        self._writer.execute(
            "INSERT INTO snapshots (stream, version, type, schema, data, metadata)"
            f" SELECT name, ?, ?, ?, ?, ? FROM streams {_OWNED} AND version >= ?"
            " ON CONFLICT (stream) DO UPDATE SET version = excluded.version, type = excluded.type,"
            " schema = excluded.schema, data = excluded.data, metadata = excluded.metadata",
            (version, *event, stream, owner, epoch, version),
        )

    def _release(self, item: Release) -> None:
        cursor = self._writer.execute(
            f"DELETE FROM streams {_OWNED} AND version = 0 AND labels = '{{}}' AND NOT unfinished"
            " AND NOT EXISTS (SELECT 1 FROM keys WHERE stream = name)",
            item,
        )
        if not cursor.rowcount:
            self._writer.execute(f"UPDATE streams SET owner = '' {_OWNED}", item)

    def _delete_all(self, item: Delete) -> None:
        for stream in item.streams:
            self._delete(stream)

    def _delete(self, stream: str) -> None:
        self._flush()  # events of the batch may be the stream's
        for table, column in (("events", "stream"), ("snapshots", "stream"), ("keys", "stream"), ("posts", "stream")):
            self._writer.execute(f"DELETE FROM {table} WHERE {column} = ?", (stream,))
        self._writer.execute("DELETE FROM streams WHERE name = ?", (stream,))

    def _leave(self, item: Leave) -> None:
        self._writer.execute(
            "INSERT INTO posts (stream, type, schema, data, metadata, at) VALUES (?, ?, ?, ?, ?, ?)",
            (item.stream, *item.event, self._at),
        )

    def _discard(self, item: Discard) -> None:
        self._writer.executemany("DELETE FROM posts WHERE id = ?", [(post,) for post in item.posts])

    def _prune(self, item: Prune) -> int:
        retention = item.retention
        alive = [worker for worker, _ in workers(self._writer, self._presence)]
        ephemeral = 'instr(labels, \'"ephemeral":"1"\')'
        found: list[str] = []
        for which, seconds in ((ephemeral, retention.ephemeral), (f"NOT {ephemeral}", retention.finished)):
            if seconds is not None:
                rows = self._writer.execute(
                    f"SELECT name FROM streams WHERE NOT unfinished AND damaged = '' AND updated_at <= ? AND {which}"
                    f" AND {not_in(alive)} LIMIT ?",
                    (self._at - seconds, *alive, item.most - len(found)),
                )
                found += [name for (name,) in rows]
        for stream in found:
            self._delete(stream)
        return len(found)

    def _vacuum(self, pages: int = FREE_PAGES) -> None:
        """Give some of what is free back to the disk. It can wait, and what has been committed is committed."""
        with suppress(sqlite3.Error):
            (free,) = self._writer.execute("PRAGMA freelist_count").fetchone()
            if free:
                self._writer.executescript(f"PRAGMA incremental_vacuum({pages})")  # execute() would free one page only

    # -- ownership -----------------------------------------------------------------------------------------------------

    def heartbeat(self, worker: str, lease: float) -> None:
        """See `Backend.heartbeat`."""
        self._presence.enter(worker)
        values = (worker, os.getpid(), boot_id(), now() + lease, lease)
        self._writer.execute("PRAGMA synchronous=NORMAL")  # after a power cut there is no lease to be kept
        try:
            self._writer.execute(
                "INSERT OR REPLACE INTO workers (id, pid, boot, until, lease) VALUES (?, ?, ?, ?, ?)", values
            )
        finally:
            self._writer.execute(f"PRAGMA synchronous={self._synchronous}")
        self._vacuum()

    def leave(self, worker: str) -> None:
        """See `Backend.leave`. That its streams have no owner follows from its row being gone."""
        self._writer.execute("DELETE FROM workers WHERE id = ?", (worker,))
        self._vacuum(FREE_PAGES_AT_THE_END)
        self._presence.leave()

    def _seconds_left(self, owner: str) -> float:
        """How long an owner's lease goes on; 0 if it is not alive. Within a transaction that writes."""
        row = self._writer.execute("SELECT boot, until, lease FROM workers WHERE id = ?", (owner,)).fetchone()
        if row is None:
            return 0.0
        gone = self._presence.is_gone(owner)
        if not gone and is_current(*row):
            left: float = row[1] - now()
            return max(left, 0.001)
        self._writer.execute("DELETE FROM workers WHERE id = ?", (owner,))
        if gone:
            self._presence.clear(owner)
        return 0.0

    def show(self, name: str) -> None:
        """See `SeesEnds.show`."""
        self._shown.enter(name)

    def hide(self, name: str) -> None:
        """See `SeesEnds.hide`."""
        self._shown.leave(name)

    def ended(self, names: Sequence[str]) -> list[str]:
        """See `SeesEnds.ended`."""
        ended = [name for name in names if self._shown.is_gone(name)]
        for name in ended:
            self._shown.clear(name)
        return ended

    # -- faults and the end --------------------------------------------------------------------------------------------

    def watch(self, changed: Callable[[], None]) -> float:
        """See `Backend.watch`. SQLite tells nobody."""
        return POLL

    def is_transient(self, error: Exception) -> bool:
        """See `Backend.is_transient`."""
        return is_passing(error) or isinstance(error, OSError)  # of the workers' files

    def reconnect(self) -> None:
        """See `Backend.reconnect`. A connection to a file does not break."""

    def close(self) -> None:
        """See `Backend.close`."""
        for connection in (self._read, self._write):  # the last one puts everything into the file itself
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._presence.leave()

    def forked(self) -> None:
        """See `Backend.forked`."""
        self._presence.forked()
        self._shown.forked()
        inherit(self._identity)

    @property
    def _writer(self) -> sqlite3.Connection:
        assert self._write is not None
        return self._write


def _conflict(stream: str, expected: int | None, actual: int) -> StreamConflict:
    return StreamConflict(f"{stream} is at version {actual}, not {expected}", stream, expected or 0, actual)


def _owned(stream: str, owner: str, seconds: float) -> StreamOwned:
    return StreamOwned(
        f"{stream} is held by the worker {owner}, for {seconds:.1f} s at the least", stream, owner, seconds
    )
