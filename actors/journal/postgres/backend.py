"""A journal in PostgreSQL, as a `Backend`: reads through a pool, writes in one call of one function (see `schema`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from ..backend import (
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
from ..codec import Encoded
from ..errors import (
    EventNotWritable,
    JournalError,
    JournalUnavailable,
    KeyTaken,
    StreamConflict,
    StreamFenced,
    StreamOwned,
    wrong_header,
)
from ..store import Header
from .connect import configure, connect, is_batchs_own, is_transient, parameters, shown
from .listener import Listener
from .schema import JournalTables

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

POLL: Final = 2.0
"""Seconds after which to look without having heard of anything: leases end without a word."""

_READERS: Final = 2  # connections
_PATIENCE: Final = 2.0  # seconds to wait for a connection to read with

_WRITE: Final = (
    "SELECT {s}.write(%s, %s, %s, %s, %b::text[], %b::text[], %b::text[], %s::bigint[], %s::bigint[],"
    " %s::int[], %s::boolean[], %s::text[], %s::text[], %s::text[], %s::text[],"
    " %b::text[], %s::int[], %b::text[], %b::text[])"
)
_HEARTBEAT: Final = (
    "INSERT INTO {s}.workers (id, until) VALUES (%(worker)s, clock_timestamp() + make_interval(secs => %(lease)s))"
    " ON CONFLICT (id) DO UPDATE SET until = excluded.until"
)
_LEAVE: Final = """
WITH lock AS MATERIALIZED (SELECT pg_advisory_xact_lock(%(lock)s)),
    gone AS (DELETE FROM {s}.workers WHERE id = %(worker)s AND EXISTS (SELECT FROM lock)),
    given AS (UPDATE {s}.streams SET owner = '' WHERE owner = %(worker)s AND EXISTS (SELECT FROM lock))
SELECT pg_notify(%(channel)s, 'posts')
"""
_EVENT: Final = "position, stream, version, type, schema, data::text, metadata::text, extract(epoch FROM at)::float8"
_POSTS: Final = """
SELECT p.id, p.stream, p.type, p.schema, p.data::text, p.metadata::text FROM {s}.posts p
LEFT JOIN {s}.streams t ON t.name = p.stream
LEFT JOIN {s}.workers w ON w.id = t.owner AND w.until > clock_timestamp()
WHERE w.id IS NULL OR w.id = %s ORDER BY p.id
"""
_HEADERS: Final = """
SELECT t.name, t.version, t.epoch, coalesce(w.id, ''), t.unfinished, t.labels::text,
    extract(epoch FROM t.created_at)::float8, extract(epoch FROM t.updated_at)::float8, t.damaged
FROM {s}.streams t LEFT JOIN {s}.workers w ON w.id = t.owner AND w.until > clock_timestamp()
"""


class PostgresBackend:
    """One schema of one database.

    Args:
        url: of the database, as libpq takes it.
        schema: the schema with the journal's tables.

    Raises:
        JournalUnavailable: there is no driver, or the URL is none.
    """

    def __init__(self, url: str, schema: str) -> None:
        self._given = parameters(url)
        self._tables = JournalTables(schema)
        self._writer: Connection[Any] | None = None
        self._pool: ConnectionPool[Connection[Any]] | None = None
        self._id = uuid4().hex
        self._number = 0
        self._attempt: list[Write] = []
        self._process = -1
        self._listener: Listener | None = None

    def __str__(self) -> str:
        return f"{shown(self._given)}, schema {self._tables.schema}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def prepare(self) -> None:
        """See `Backend.prepare`."""
        import psycopg

        try:
            with connect(self._given) as connection:
                self._tables.prepare(connection)
        except psycopg.Error as error:
            words = str(error).strip()
            raise JournalUnavailable(
                f"the journal in the schema {self._tables.schema} of {shown(self._given)} cannot be opened: {words}"
            ) from error

    def write(self, batch: Sequence[Write]) -> list[object]:
        """See `Backend.write`. A batch of several items that cannot be written because of one raises an error."""
        attempt = list(batch)
        if attempt != self._attempt:
            # It keeps its number until its outcome is known, so that the server can tell whether it has been done.
            self._number += 1
            self._attempt = attempt
        arguments = [self._tables.lock, self._tables.channel, self._id, self._number, *_columns(attempt)]
        try:
            ((answers,),) = self._on_writer(_WRITE, arguments)
        except Exception as error:
            if is_batchs_own(error):
                self._attempt = []
                if len(attempt) == 1:
                    return [EventNotWritable(f"PostgreSQL cannot keep this: {str(error).strip()}")]
            raise
        self._attempt = []
        return [_result(write, answer) for write, answer in zip(attempt, answers, strict=True)]

    def heartbeat(self, worker: str, lease: float) -> None:
        """See `Backend.heartbeat`."""
        self._on_writer(_HEARTBEAT, {"worker": worker, "lease": lease})

    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> list[Kept]:
        """See `Backend.read`."""
        if not _is_storable(stream):
            return []
        upper = "" if upto is None else " AND version <= %(upto)s"
        rows = self._run(
            f"SELECT {_EVENT} FROM {{s}}.events WHERE stream = %(stream)s AND version > %(after)s{upper}"
            " ORDER BY version LIMIT %(limit)s",
            {"stream": stream, "after": after, "upto": upto, "limit": limit},
        )
        return [_kept(row) for row in rows]

    def snapshot(self, stream: str) -> tuple[int, Encoded] | None:
        """See `Backend.snapshot`."""
        if not _is_storable(stream):
            return None
        for version, *event in self._run(
            "SELECT version, type, schema, data::text, metadata::text FROM {s}.snapshots WHERE stream = %s", [stream]
        ):
            return version, Encoded(*event)
        return None

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
        if not all(map(_is_storable, (prefix, after, *labels, *labels.values()))):
            return []
        conditions = [*_prefixed("t.name", prefix), "t.name > %(after)s"]
        if unfinished is not None:
            conditions.append("t.unfinished AND t.damaged = ''" if unfinished else "NOT t.unfinished")
        if abandoned:
            conditions.append("w.id IS NULL")
        if labels:
            conditions.append("t.labels @> %(labels)s::jsonb")
        rows = self._run(
            f"{_HEADERS} WHERE {' AND '.join(conditions)} ORDER BY t.name LIMIT %(limit)s",
            {
                "prefix": prefix,
                "behind": _behind(prefix),
                "after": after,
                "labels": json.dumps(dict(labels)),
                "limit": limit,
            },
        )
        return [_header(*row) for row in rows]

    def find(self, key: str) -> str | None:
        """See `Backend.find`."""
        if not _is_storable(key):
            return None
        for (stream,) in self._run("SELECT stream FROM {s}.keys WHERE key = %s", [key]):
            return cast("str", stream)
        return None

    def posts(self, worker: str) -> list[Left]:
        """See `Backend.posts`."""
        return [Left(row[0], row[1], Encoded(*row[2:])) for row in self._run(_POSTS, [worker])]

    def left(self, stream: str) -> list[Left]:
        """See `Backend.left`."""
        if not _is_storable(stream):
            return []
        rows = self._run(
            "SELECT id, stream, type, schema, data::text, metadata::text FROM {s}.posts WHERE stream = %s ORDER BY id",
            [stream],
        )
        return [Left(row[0], row[1], Encoded(*row[2:])) for row in rows]

    def records(self, after: int, prefix: str, limit: int) -> list[Kept]:
        """See `Backend.records`."""
        if not _is_storable(prefix):
            return []
        conditions = ["position > %(after)s", *_prefixed("stream", prefix)]
        rows = self._run(
            f"SELECT {_EVENT} FROM {{s}}.events WHERE {' AND '.join(conditions)} ORDER BY position LIMIT %(limit)s",
            {"after": after, "prefix": prefix, "behind": _behind(prefix), "limit": limit},
        )
        return [_kept(row) for row in rows]

    def position(self) -> int:
        """See `Backend.position`."""
        return int(self._run("SELECT coalesce(max(position), 0) FROM {s}.events")[0][0])

    def leave(self, worker: str) -> None:
        """See `Backend.leave`."""
        self._on_writer(_LEAVE, {"worker": worker, "lock": self._tables.lock, "channel": self._tables.channel})

    def is_transient(self, error: Exception) -> bool:
        """See `Backend.is_transient`."""
        return is_transient(error)

    def reconnect(self) -> None:
        """See `Backend.reconnect`. Broken connections are dropped where they break; the pool sees to its own."""

    def watch(self, changed: Callable[[], None]) -> float:
        """See `Backend.watch`."""
        if self._listener is None:
            self._listener = Listener(self._given, self._tables, lambda process: self._heard(process, changed))
        return POLL

    def close(self) -> None:
        """See `Backend.close`."""
        self._drop_writer()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def forked(self) -> None:
        """See `Backend.forked`. The driver leaves alone what another process has connected."""

    def _heard(self, process: int, changed: Callable[[], None]) -> None:
        if process != self._process:
            changed()

    def _on_writer(self, text: str, arguments: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What a statement gives, on the writer's connection; a broken one is dropped."""
        if self._writer is None:
            self._writer = connect(self._given)
            self._process = self._writer.info.backend_pid
        try:
            cursor = self._writer.execute(self._tables.query(text), arguments)
            return cursor.fetchall() if cursor.description else []
        except Exception as error:
            if not is_batchs_own(error):
                self._drop_writer()
            raise

    def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _run(self, text: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """What a statement gives, on one of the readers' connections."""
        pool = self._pool
        if pool is None:
            from psycopg_pool import ConnectionPool

            pool = self._pool = ConnectionPool(
                min_size=1,
                max_size=_READERS,
                kwargs={"autocommit": True, **self._given},
                configure=configure,
                check=ConnectionPool.check_connection,
                timeout=_PATIENCE,
                reconnect_timeout=1.0,
                num_workers=1,
                name="callboard journal",
                open=True,
            )
        with pool.connection() as connection:
            cursor = connection.execute(self._tables.query(text), arguments)
            return cursor.fetchall() if cursor.description else []


def _columns(batch: Sequence[Write]) -> list[list[Any]]:
    """A batch as the arguments of the function that writes it: per item, then per event."""
    rows: list[tuple[Any, ...]] = []
    events: list[Encoded] = []
    for write in batch:
        match write:
            case Append():
                rows.append(
                    (
                        "append",
                        write.stream,
                        write.owner,
                        write.epoch,
                        write.expected,
                        len(write.events),
                        write.unfinished,
                        json.dumps(dict(write.labels)) if write.labels else None,
                        json.dumps(write.keys) if write.keys else None,
                        json.dumps(write.drop) if write.drop else None,
                        json.dumps(write.taken) if write.taken else None,
                    )
                )
                events += write.events
            case Acquire():
                rows.append(("acquire", write.stream, write.owner, write.epoch, *_NOTHING[1:]))
            case KeepSnapshot():
                rows.append(("snapshot", write.stream, write.owner, write.epoch, write.version, *_NOTHING[2:]))
                events.append(write.event)
            case Release():
                rows.append(("release", write.stream, write.owner, write.epoch, *_NOTHING[1:]))
            case Delete():
                rows.append(("delete", "", "", *_NOTHING[:6], json.dumps(write.streams), None))
            case Leave():
                rows.append(("leave", write.stream, "", *_NOTHING))
                events.append(write.event)
            case Discard():
                rows.append(("discard", "", "", *_NOTHING[:7], json.dumps(write.posts)))
            case Prune():
                retention = {"finished": write.retention.finished, "ephemeral": write.retention.ephemeral}
                rows.append(("prune", "", "", 0, None, write.most, None, json.dumps(retention), None, None, None))
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns + [[event[field] for event in events] for field in range(4)]


_NOTHING: Final = (0, None, 0, None, None, None, None, None)
"""What stands for the columns from the epoch to the posts taken, where an item has none."""


def _result(write: Write, answer: str | None) -> object:
    """What a batch's item is answered with, out of what the function says of it."""
    if answer is None:
        return None
    told = json.loads(answer)
    if isinstance(told, list):
        return Acquired(*told)
    if isinstance(told, dict):
        return _error(write, told)
    return told


def _error(write: Write, told: dict[str, Any]) -> JournalError:
    assert isinstance(write, Append | Acquire | KeepSnapshot)
    stream = write.stream
    match told["error"]:
        case "key":
            return KeyTaken(f"the key {told['key']} is taken by {told['stream']}", told["key"], told["stream"])
        case "header":
            return wrong_header(stream, told["version"], told["last"])
        case "owned":
            owner, seconds = told["owner"], told["seconds"]
            return StreamOwned(f"{stream} is held by the worker {owner}", stream, owner, seconds)
        case "conflict":
            assert isinstance(write, Append)
            expected, actual = write.expected or 0, told["actual"]
            return StreamConflict(f"{stream} is at version {actual}, not {expected}", stream, expected, actual)
        case _:
            assert isinstance(write, Append | KeepSnapshot)
            return StreamFenced(f"{stream} has been given back, deleted or opened anew", stream, write.epoch)


def _kept(row: tuple[Any, ...]) -> Kept:
    return Kept(row[0], row[1], row[2], Encoded(*row[3:7]), row[7])


def _header(
    name: str,
    version: int,
    epoch: int,
    owner: str,
    unfinished: bool,
    labels: str,
    created_at: float,
    updated_at: float,
    damaged: str,
) -> Header:
    return Header(name, version, epoch, owner, unfinished, json.loads(labels), created_at, updated_at, damaged)


def _is_storable(text: str) -> bool:
    """Whether a text can be in the database at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _prefixed(column: str, prefix: str) -> list[str]:
    """Conditions for which an index can be used."""
    if not prefix:
        return []
    return [f"{column} >= %(prefix)s", f"{column} < %(behind)s"] if _behind(prefix) else [f"{column} >= %(prefix)s"]


def _behind(prefix: str) -> str:
    """The first text behind all those that begin with a prefix; empty where there is none."""
    while prefix:
        prefix, last = prefix[:-1], ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix + chr(0xE000 if last == 0xD7FF else last + 1)  # between them are no characters
    return ""
