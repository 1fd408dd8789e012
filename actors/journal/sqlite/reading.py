"""What is read of a journal in a file, by a connection that only reads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..backend import Kept, Left
from ..codec import Encoded
from ..store import Header
from .ownership import Presence, workers

FEW: Final = 2_000
"""Events that may be sorted each time a subscriber asks for more."""

_EVENT: Final = "SELECT position, stream, version, type, schema, data, metadata, at FROM events"
_HEADER: Final = "SELECT name, version, epoch, owner, unfinished, labels, created_at, updated_at, damaged FROM streams"


class SqliteReader:
    """The reading half of `Backend`.

    Args:
        presence: says which workers are alive.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._read: sqlite3.Connection | None = None

    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> list[Kept]:
        """See `Backend.read`."""
        until = "" if upto is None else "AND version <= ?"
        values = (stream, after, limit) if upto is None else (stream, after, upto, limit)
        return self._kept(
            f"{_EVENT} WHERE stream = ? AND version > ? {until} ORDER BY version LIMIT ifnull(?, -1)", values
        )

    def records(self, after: int, prefix: str, limit: int) -> list[Kept]:
        """See `Backend.records`."""
        within, values = _range(prefix, "stream")
        if not within or not self._is_far_and_few(after, within, values):
            within = within.replace("stream", "+stream")  # so that it goes by position, and not by stream
            by = "position"
        else:
            by = "+position"
        select = f"{_EVENT} WHERE {by} > ? {within} ORDER BY {by} LIMIT ?"
        return self._kept(select, (after, *values, limit))

    def _is_far_and_few(self, after: int, within: str, values: list[Any]) -> bool:
        """Whether streams have so few events that these are better looked up than met with among all the others."""
        if self.position() - after <= FEW:
            return False
        rows = self._fetch(f"SELECT 1 FROM events WHERE 1 {within} LIMIT {FEW}", values)
        return len(rows) < FEW

    def snapshot(self, stream: str) -> tuple[int, Encoded] | None:
        """See `Backend.snapshot`."""
        rows = self._fetch("SELECT version, type, schema, data, metadata FROM snapshots WHERE stream = ?", (stream,))
        return (rows[0][0], Encoded(*rows[0][1:])) if rows else None

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
        within, values = _range(prefix, "name")
        alive = self._alive()
        conditions = [f"name > ? {within}"]
        values = [after, *values]
        if unfinished is not None:
            conditions.append("unfinished AND damaged = ''" if unfinished else "NOT unfinished")
        if abandoned:
            conditions.append(not_in(alive))
            values += alive
        for key, value in labels.items():
            conditions.append("instr(labels, ?)")
            values.append(as_json({key: value})[1:-1])
        rows = self._fetch(
            f"{_HEADER} WHERE {' AND '.join(conditions)} ORDER BY name LIMIT ifnull(?, -1)", (*values, limit)
        )
        living = set(alive)
        return [
            Header(
                name,
                version,
                epoch,
                owner if owner in living else "",
                bool(flag),
                json.loads(text),
                made,
                changed,
                harm,
            )
            for name, version, epoch, owner, flag, text, made, changed, harm in rows
        ]

    def find(self, key: str) -> str | None:
        """See `Backend.find`."""
        rows = self._fetch("SELECT stream FROM keys WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def posts(self, worker: str) -> list[Left]:
        """See `Backend.posts`."""
        if self._reader.execute("SELECT 1 FROM posts LIMIT 1").fetchone() is None:
            return []
        others = [other for other in self._alive() if other != worker]
        rows = self._fetch(
            "SELECT id, stream, type, schema, data, metadata FROM posts LEFT JOIN streams ON name = stream"
            f" WHERE owner IS NULL OR {not_in(others)} ORDER BY id",
            others,
        )
        return [Left(number, stream, Encoded(*event)) for number, stream, *event in rows]

    def left(self, stream: str) -> list[Left]:
        """See `Backend.left`."""
        rows = self._fetch(
            "SELECT id, stream, type, schema, data, metadata FROM posts WHERE stream = ? ORDER BY id", (stream,)
        )
        return [Left(number, stream, Encoded(*event)) for number, stream, *event in rows]

    def position(self) -> int:
        """See `Backend.position`."""
        row = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if row is None else row[0]

    def _alive(self) -> list[str]:
        return [worker for worker, _ in workers(self._reader, self._presence)]

    def _kept(self, statement: str, values: Sequence[Any]) -> list[Kept]:
        return [
            Kept(position, stream, version, Encoded(kind, form, data, metadata), at)
            for position, stream, version, kind, form, data, metadata, at in self._fetch(statement, values)
        ]

    def _fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows. Text that is none is given as something that no codec takes for JSON."""
        reader = self._reader
        try:
            return reader.execute(statement, values).fetchall()
        except UnicodeEncodeError:  # a name that cannot have been kept
            return []
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) is not None:
                raise
        reader.text_factory = lambda text: text.decode("utf-8", "backslashreplace")
        try:
            return reader.execute(statement, values).fetchall()
        finally:
            reader.text_factory = str

    @property
    def _reader(self) -> sqlite3.Connection:
        assert self._read is not None
        return self._read


def as_json(labels: Mapping[str, str]) -> str:
    """Labels as the file has them."""
    return json.dumps(labels, separators=(",", ":"))


def not_in(workers: Sequence[str]) -> str:
    """A condition for streams of which none of these is the owner."""
    return f"owner NOT IN ({', '.join('?' * len(workers))})"


def _range(prefix: str, column: str) -> tuple[str, list[Any]]:
    """A condition for texts that begin with a prefix, by the column's index, and its values."""
    kept = prefix.rstrip("\U0010ffff")
    if not prefix:
        return "", []
    if not kept:
        return f"AND {column} >= ?", [prefix]
    last = ord(kept[-1]) + 1
    end = kept[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)
    return f"AND {column} >= ? AND {column} < ?", [prefix, end]
