"""Looking a journal in PostgreSQL over, and putting right what can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..codec import Codec
from ..errors import JournalUnavailable
from ..problems import (
    HEADER,
    KEY,
    LABELS,
    SET_ASIDE,
    SNAPSHOT,
    Finding,
    Fold,
    Problem,
    put_right,
    undecodable,
    unreadable,
)
from .connect import connect, parameters, shown
from .schema import JournalTables

if TYPE_CHECKING:
    from psycopg import Connection

_PAGE: Final = 1_000  # rows

_VERSIONS: Final = """
SELECT coalesce(t.name, e.stream), t.version, coalesce(e.last, 0), coalesce(e.count, 0)
FROM {s}.streams t
FULL JOIN (SELECT stream, max(version) AS last, count(*) AS count FROM {s}.events GROUP BY stream) e
    ON e.stream = t.name
WHERE t.name IS NULL OR t.version <> coalesce(e.last, 0) OR coalesce(e.last, 0) <> coalesce(e.count, 0)
ORDER BY 1
"""
_LABELS: Final = """
SELECT name FROM {s}.streams
WHERE jsonb_typeof(labels) <> 'object' OR jsonb_path_exists(labels, '$.* ? (@.type() != "string")') ORDER BY name
"""
_SNAPSHOTS: Final = """
SELECT n.stream, n.version FROM {s}.snapshots n LEFT JOIN {s}.streams t ON t.name = n.stream
WHERE t.name IS NULL OR n.version > t.version ORDER BY n.stream
"""
_KEYS: Final = """
SELECT k.key, k.stream FROM {s}.keys k LEFT JOIN {s}.streams t ON t.name = k.stream
WHERE t.name IS NULL ORDER BY k.key
"""
# The headers may have been made again meanwhile.
_DROP_SNAPSHOT: Final = """
DELETE FROM {s}.snapshots n WHERE n.stream = %s
    AND NOT EXISTS (SELECT FROM {s}.streams t WHERE t.name = n.stream AND t.version >= n.version)
"""
_DROP_KEY: Final = """
DELETE FROM {s}.keys k WHERE k.key = %s AND NOT EXISTS (SELECT FROM {s}.streams t WHERE t.name = k.stream)
"""
_KEPT: Final = {
    "event": "SELECT stream, version, type, schema, data::text FROM {s}.events ORDER BY stream, version",
    "snapshot": "SELECT stream, version, type, schema, data::text FROM {s}.snapshots ORDER BY stream",
    "post": "SELECT stream, id, type, schema, data::text FROM {s}.posts ORDER BY id",
}


def check(
    url: str, codec: Codec | None = None, fold: Fold | None = None, *, schema: str = "callboard"
) -> list[Problem]:
    """Look a journal over, as it is at one moment; workers may go on meanwhile.

    Args:
        url: the database's, as libpq takes it.
        codec: that must be able to read every event; None does not try.
        fold: must take the events of each stream; only where there is a codec.
        schema: the schema with the journal's tables.

    Raises:
        JournalUnavailable: it cannot be reached, there is no journal, or one of a newer library.
    """
    with _opened(url, schema) as (connection, tables), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [finding.problem for finding in _look(connection, tables, codec, fold)]


def repair(
    url: str, codec: Codec | None = None, fold: Fold | None = None, *, schema: str = "callboard"
) -> list[Problem]:
    """Put right what can be, and set aside the streams that cannot be read. No event is deleted.

    A header that is missing or wrong is made again out of its stream's events. A snapshot that cannot be read, or
    stands for more than there is, goes: the events are there. A stream in which an event is missing or cannot be read,
    or does not fit the others, is marked as damaged, and is not found any more by those who look for work; where there
    is a codec, one that can be read again is no longer. Writers wait meanwhile.

    Returns:
        what was found, as `check` does.

    Raises:
        JournalUnavailable: as `check` does.
    """
    with _opened(url, schema) as (connection, tables), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [tables.lock])
        found = list(_look(connection, tables, codec, fold))
        damaged = put_right(found, lambda statement, values: connection.execute(tables.query(statement), values))
        if codec is not None:
            connection.execute(tables.script("UPDATE {s}.streams SET damaged = '' WHERE damaged <> ''"))
        for stream, text in damaged.items():
            connection.execute(tables.query("UPDATE {s}.streams SET damaged = %s WHERE name = %s"), [text, stream])
        return [finding.problem for finding in found]


def vacuum(url: str, *, schema: str = "callboard") -> None:
    """Give the space of what was deleted back to use, and let the planner know what there is.

    Raises:
        JournalUnavailable: as `check` does.
    """
    with _opened(url, schema) as (connection, tables):
        for table in ("streams", "events", "snapshots", "keys", "posts", "workers", "batches", "journal"):
            connection.execute(tables.script(f"VACUUM (ANALYZE) {{s}}.{table}"))


def _look(
    connection: Connection[Any], tables: JournalTables, codec: Codec | None, fold: Fold | None
) -> Iterator[Finding]:
    broken: set[str] = set()  # a part of them is missing

    def rows(text: str) -> list[tuple[Any, ...]]:
        return connection.execute(tables.script(text)).fetchall()

    for stream, version, last, count in rows(_VERSIONS):
        if count != last:
            broken.add(stream)
            yield Finding(Problem(stream, f"{last - count} of {last} events are missing", SET_ASIDE), damages=True)
        if version is None:
            # Whoever opens it will find out whether there is work left in it.
            make = (
                "INSERT INTO {s}.streams (name, version, epoch, unfinished)"
                " SELECT %s, %s, epochs + 1, true FROM {s}.journal"
            )
            yield Finding(Problem(stream, f"there are {count} events and no header", HEADER), (make, (stream, last)))
        elif version != last:
            correct = "UPDATE {s}.streams SET version = %s WHERE name = %s"
            text = f"its header says version {version}, its last event is {last}"
            yield Finding(Problem(stream, text, HEADER), (correct, (last, stream)))
    for (stream,) in rows(_LABELS):
        empty = "UPDATE {s}.streams SET labels = '{}' WHERE name = %s"
        yield Finding(Problem(stream, "its labels are no texts by name", LABELS), (empty, (stream,)))
    for stream, version in rows(_SNAPSHOTS):
        text = f"its snapshot stands for {version} events, and there are less"
        yield Finding(Problem(stream, text, SNAPSHOT), (_DROP_SNAPSHOT, (stream,)))
    for key, stream in rows(_KEYS):
        text = f"the key {key} belongs to a stream that does not exist"
        yield Finding(Problem(stream, text, KEY), (_DROP_KEY, (key,)))
    if codec is not None:
        yield from unreadable(_rows(connection, tables, "event"), codec.decode, fold, broken)
        drop = "DELETE FROM {s}.snapshots WHERE stream = %s"
        yield from undecodable(_rows(connection, tables, "snapshot"), codec.decode, "snapshot", drop)
        yield from undecodable(_rows(connection, tables, "post"), codec.decode, "post")


def _rows(connection: Connection[Any], tables: JournalTables, kind: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(f"callboard_{kind}s") as cursor:
        cursor.itersize = _PAGE
        yield from cursor.execute(tables.script(_KEPT[kind]))


def require(url: str, *, schema: str = "callboard") -> None:
    """Nothing, if there is a journal that this library knows.

    Raises:
        JournalUnavailable: as `check` does.
    """
    with _opened(url, schema):
        pass


@contextmanager
def _opened(url: str, schema: str) -> Iterator[tuple[Connection[Any], JournalTables]]:
    given, tables = parameters(url), JournalTables(schema)
    import psycopg

    try:
        with connect(given) as connection:
            if tables.kept_version(connection) is None:
                raise JournalUnavailable(f"{shown(given)} has no journal in the schema {schema}")
            yield connection, tables
    except psycopg.Error as error:
        raise JournalUnavailable(
            f"the journal in the schema {schema} of {shown(given)}: {str(error).strip()}"
        ) from error
