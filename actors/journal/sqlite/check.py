"""Looking a journal in a file over, and putting right what can be."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..codec import Codec
from ..errors import JournalUnavailable
from ..problems import (
    HEADER,
    INDEXES,
    KEY,
    LABELS,
    LEFT,
    SET_ASIDE,
    SNAPSHOT,
    Finding,
    Fold,
    Problem,
    put_right,
    undecodable,
    unreadable,
)
from . import schema
from .files import OPENING, connect, transaction
from .ownership import Presence, workers

_EVENTS: Final = "SELECT stream, version, type, schema, data FROM events ORDER BY stream, version"
_SNAPSHOTS: Final = "SELECT stream, version, type, schema, data FROM snapshots ORDER BY stream"
_POSTS: Final = "SELECT stream, id, type, schema, data FROM posts ORDER BY id"
_DROP_SNAPSHOT: Final = "DELETE FROM snapshots WHERE stream = ?"


def check(path: str | Path, codec: Codec | None = None, fold: Fold | None = None) -> list[Problem]:
    """Look a journal over, as it is at one moment; workers may go on meanwhile.

    Args:
        path: the file.
        codec: that must be able to read every event; None only looks whether they are JSON.
        fold: must take the events of each stream.

    Raises:
        JournalUnavailable: there is no journal, or one of another version's form.
    """
    with _opened(path) as connection:
        connection.execute("BEGIN")
        return [*_integrity(connection), *(finding.problem for finding in _look(connection, codec, fold))]


def repair(path: str | Path, codec: Codec | None = None, fold: Fold | None = None) -> list[Problem]:
    """Put right what can be, and set aside the streams that cannot be read. No event is deleted.

    Indexes are made again where SQLite finds fault with the file. A header that is missing or wrong is made again out
    of its stream's events. A snapshot that cannot be read, or stands for more than there is, goes: the events are
    there. A stream in which an event is missing, cannot be read or does not fit the others is marked as damaged, and is
    not found any more by those who look for work; where there is a codec, one that can be read again is no longer.
    Writers wait meanwhile.

    Returns:
        what was found, as `check` does.

    Raises:
        JournalUnavailable: as `check` does.
    """
    with _opened(path) as connection:
        faults = _integrity(connection)
        if faults:
            with suppress(sqlite3.DatabaseError):  # as far as it goes
                connection.execute("REINDEX")
        with transaction(connection):
            found = list(_look(connection, codec, fold))
            damaged = put_right(found, connection.execute)
            if codec is not None:
                connection.execute("UPDATE streams SET damaged = '' WHERE damaged <> ''")
            changes = [(text, stream) for stream, text in damaged.items()]
            connection.executemany("UPDATE streams SET damaged = ? WHERE name = ?", changes)
        return [*faults, *(finding.problem for finding in found)]


def vacuum(path: str | Path) -> None:
    """Write the file anew, without what is free in it; it takes as much room again.

    It is refused while workers are alive: they could not write meanwhile, nor renew their leases, and would lose what
    they hold. (They give back what is free by themselves, a little at a time.)

    Raises:
        JournalUnavailable: as `check` does, or workers are alive.
    """
    with _opened(path) as connection:
        alive = [pid for _, pid in workers(connection, Presence(Path(f"{os.path.abspath(path)}-workers")))]
        if alive:
            who = f"process {alive[0]} works" if len(alive) == 1 else f"processes {', '.join(map(str, alive))} work"
            raise JournalUnavailable(f"{who} on {path}, and could not write meanwhile: stop what works on it first")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _integrity(connection: sqlite3.Connection) -> list[Problem]:
    lines = connection.execute("PRAGMA integrity_check(20)").fetchall()
    return [Problem("", f"SQLite says: {line}", INDEXES) for (line,) in lines if line != "ok"]


def _look(connection: sqlite3.Connection, codec: Codec | None, fold: Fold | None) -> Iterator[Finding]:
    broken: set[str] = set()  # a part of them is missing
    decode = _is_json if codec is None else codec.decode
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _headers(connection),
        lambda: _labels(connection),
        lambda: _belongings(connection),
        lambda: unreadable(connection.execute(_EVENTS), decode, fold, broken),
        lambda: undecodable(connection.execute(_SNAPSHOTS), decode, "snapshot", _DROP_SNAPSHOT),
        lambda: undecodable(connection.execute(_POSTS), decode, "post"),
    )
    for part in parts:
        try:
            for finding in part():
                if finding.damages:
                    broken.add(finding.problem.stream)
                yield finding
        except sqlite3.DatabaseError as error:  # a page of the file is no more what it was
            yield Finding(Problem("", f"SQLite cannot read on: {error}", LEFT))


def _headers(connection: sqlite3.Connection) -> Iterator[Finding]:
    versions = dict(connection.execute("SELECT name, version FROM streams").fetchall())
    groups = "SELECT stream, min(version), max(version), count(*), min(at), max(at) FROM events GROUP BY stream"
    for stream, first, last, count, begun, changed in connection.execute(groups).fetchall():
        if first > 1 and _is_old(connection, stream, first):  # version 0.1.0 dropped what a snapshot stood for
            first -= 1
        else:
            first = 0
        missing = last - first - count
        if missing:
            yield Finding(Problem(stream, f"{missing} of {last} events are missing", SET_ASIDE), damages=True)
        version = versions.pop(stream, None)
        if version is None:
            # Whoever opens it will find out whether there is work left in it.
            make = (
                "INSERT INTO streams (name, version, epoch, unfinished, created_at, updated_at)"
                " VALUES (?, ?, 0, 1, ?, ?)"
            )
            text = f"there are {count} events and no header"
            yield Finding(Problem(stream, text, HEADER), (make, (stream, last, begun, changed)))
        elif version != last:
            text = f"its header says version {version}, its last event is {last}"
            correct = "UPDATE streams SET version = ? WHERE name = ?"
            yield Finding(Problem(stream, text, HEADER), (correct, (last, stream)))
    for stream, version in versions.items():
        if version:
            text = f"its header says version {version}, and there are no events"
            correct = "UPDATE streams SET version = 0, unfinished = 0 WHERE name = ?"
            yield Finding(Problem(stream, text, HEADER), (correct, (stream,)))


def _is_old(connection: sqlite3.Connection, stream: str, version: int) -> bool:
    select = "SELECT schema FROM events WHERE stream = ? AND version = ?"
    return bool(connection.execute(select, (stream, version)).fetchone() == (0,))


def _labels(connection: sqlite3.Connection) -> Iterator[Finding]:
    for stream, text in connection.execute("SELECT name, labels FROM streams WHERE labels <> '{}'").fetchall():
        try:
            labels = json.loads(text)
        except (ValueError, RecursionError):
            labels = None
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            empty = "UPDATE streams SET labels = '{}' WHERE name = ?"
            yield Finding(Problem(stream, "its labels are no texts by name", LABELS), (empty, (stream,)))


def _belongings(connection: sqlite3.Connection) -> Iterator[Finding]:
    last = "ifnull((SELECT max(version) FROM events WHERE events.stream = snapshots.stream), 0)"
    select = f"SELECT stream, version FROM snapshots WHERE version > {last}"
    for stream, version in connection.execute(select).fetchall():
        text = f"its snapshot stands for {version} events, and there are less"
        yield Finding(Problem(stream, text, SNAPSHOT), (_DROP_SNAPSHOT, (stream,)))
    events = "SELECT 1 FROM events WHERE events.stream = keys.stream"
    select = f"SELECT key, stream FROM keys WHERE stream NOT IN (SELECT name FROM streams) AND NOT EXISTS ({events})"
    for key, stream in connection.execute(select).fetchall():
        text = f"the key {key} belongs to a stream that does not exist"
        yield Finding(Problem(stream, text, KEY), ("DELETE FROM keys WHERE key = ?", (key,)))


def _is_json(type: str, form: int, data: str) -> object:
    return json.loads(data)


def require(path: str | Path) -> None:
    """Nothing, if there is a journal of this version's form.

    Raises:
        JournalUnavailable: as `check` does.
    """
    with _opened(path):
        pass


@contextmanager
def _opened(path: str | Path) -> Iterator[sqlite3.Connection]:
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise JournalUnavailable(f"there is no journal {path}")
    connection = connect(path, OPENING)
    connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")  # which is no JSON
    try:
        schema.require(connection, path)
        yield connection
    except sqlite3.Error as error:
        raise JournalUnavailable(f"the journal {path}: {error}") from error
    finally:
        connection.close()
