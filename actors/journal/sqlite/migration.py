"""Files that version 0.1.0 wrote: ``events(id, stream, version, data BLOB)`` and ``meta(key, value)``.

Events stay what they are, under schema 0. What version 0.1.0 found out by reading every event when it started is put
into the headers: which streams hold a run without an outcome.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

_TYPE: Final = re.compile(r'\{"c":"(\w+)"')
_TELLING: Final = ("Accepted", "Ended", "Snapshot")


def is_old(connection: sqlite3.Connection) -> bool:
    """Whether version 0.1.0 made the tables."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
    meta = [row[1] for row in connection.execute("PRAGMA table_info(meta)")]
    return columns == ["id", "stream", "version", "data"] and meta == ["key", "value"]


def set_aside(connection: sqlite3.Connection) -> None:
    """Make room for the new tables."""
    connection.execute("ALTER TABLE events RENAME TO events_of_0_1_0")


def take_over(connection: sqlite3.Connection) -> None:
    """Fill the new tables from the old ones, and drop those."""
    now = time.time()
    connection.create_function("type_of", 1, type_of, deterministic=True)
    connection.execute(
        "INSERT INTO events (position, stream, version, type, schema, data, metadata, at)"
        " SELECT id, stream, version, type_of(data), 0, CAST(data AS TEXT), '{}', ? FROM events_of_0_1_0 ORDER BY id",
        (now,),
    )
    connection.execute(
        "INSERT INTO streams (name, version, epoch, created_at, updated_at)"
        " SELECT stream, max(version), 0, ?, ? FROM events GROUP BY stream",
        (now, now),
    )
    for (stream,) in connection.execute("SELECT name FROM streams").fetchall():
        rows = connection.execute(
            "SELECT version, type, CAST(data AS BLOB) FROM events"
            " WHERE stream = ? AND type IN (?, ?, ?, '') ORDER BY version",
            (stream, *_TELLING),
        )
        unfinished, damaged = _header(rows)
        if unfinished or damaged:
            connection.execute(
                "UPDATE streams SET unfinished = ?, damaged = ? WHERE name = ?", (unfinished, damaged, stream)
            )
    (last,) = connection.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()
    connection.execute("DROP TABLE events_of_0_1_0")
    connection.execute("DROP TABLE meta")
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (last,))


def tidy(connection: sqlite3.Connection) -> None:
    """Give the old tables' room back, and let the file shrink from here on. It can do without."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")


def type_of(data: bytes | str) -> str:
    """The name of an old event's class; empty if it has none."""
    text = data if isinstance(data, str) else data[:100].decode("utf-8", "replace")
    found = _TYPE.match(text)
    return found[1] if found else ""


def _header(rows: Iterable[tuple[int, str, bytes]]) -> tuple[bool, str]:
    """Whether a stream holds a run without an outcome, and what is damaged."""
    open_runs: set[Any] = set()
    damaged = ""
    for version, kind, data in rows:
        try:
            values = json.loads(data)["v"]
            if kind == "Accepted":
                open_runs.add(values[0]["v"][0])
            elif kind == "Ended":
                open_runs.discard(values[0])
            elif values[2] is not None:
                open_runs.discard(values[2]["v"][0])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            damaged = damaged or f"event {version} cannot be read: {type(error).__name__}: {error}"
    return bool(open_runs), damaged
