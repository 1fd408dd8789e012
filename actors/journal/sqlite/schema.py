"""The tables, and opening a file as a journal."""

from __future__ import annotations

import sqlite3
from typing import Final

from ..errors import JournalUnavailable
from . import migration

APPLICATION: Final = 0x43426A6C  # "CBjl", in the file's header
SCHEMA: Final = 1
PAGE: Final = 8_192
"""Bytes. An event of a kilobyte or two leaves much of SQLite's usual 4,096 empty: 3,000 turns took 1.34 times their
text, and 1.21 times with this."""

BUSY: Final = 5.0
"""Seconds that opening a file waits for whoever writes it."""

TABLES: Final = (
    """
    CREATE TABLE streams (
      name TEXT NOT NULL PRIMARY KEY,
      version INTEGER NOT NULL,              -- of its last event; 0: there is none yet
      epoch INTEGER NOT NULL,                -- how often it has been taken over
      owner TEXT NOT NULL DEFAULT '',        -- a worker, if that one is alive
      unfinished INTEGER NOT NULL DEFAULT 0,
      labels TEXT NOT NULL DEFAULT '{}',     -- a JSON object of texts
      damaged TEXT NOT NULL DEFAULT '',      -- why it cannot be read
      created_at REAL NOT NULL,              -- seconds since 1970
      updated_at REAL NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX unfinished_streams ON streams (name) WHERE unfinished AND damaged = ''",
    """
    CREATE TABLE events (
      position INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of all; never used again
      stream TEXT NOT NULL,
      version INTEGER NOT NULL,
      type TEXT NOT NULL,
      schema INTEGER NOT NULL,               -- version of the type's form; 0: as version 0.1.0 wrote it
      data TEXT NOT NULL,                    -- JSON
      metadata TEXT NOT NULL,                -- a JSON object
      at REAL NOT NULL,                      -- seconds since 1970
      UNIQUE (stream, version)
    )""",
    """
    CREATE TABLE snapshots (
      stream TEXT NOT NULL PRIMARY KEY,
      version INTEGER NOT NULL,              -- up to which it stands for the events
      type TEXT NOT NULL,
      schema INTEGER NOT NULL,
      data TEXT NOT NULL,
      metadata TEXT NOT NULL
    )""",
    "CREATE TABLE keys (key TEXT NOT NULL PRIMARY KEY, stream TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX keys_of_streams ON keys (stream)",
    """
    CREATE TABLE posts (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      stream TEXT NOT NULL,
      type TEXT NOT NULL,
      schema INTEGER NOT NULL,
      data TEXT NOT NULL,
      metadata TEXT NOT NULL,
      at REAL NOT NULL
    )""",
    "CREATE INDEX posts_of_streams ON posts (stream)",
    """
    CREATE TABLE workers (
      id TEXT NOT NULL PRIMARY KEY,
      pid INTEGER NOT NULL,
      boot TEXT NOT NULL,                    -- the start of the machine by whose clock `until` is
      until REAL NOT NULL,
      lease REAL NOT NULL
    ) WITHOUT ROWID""",
)


def connect(path: str, busy: float) -> sqlite3.Connection:
    """A connection to the file, which may be closed on another thread than the one that uses it.

    Args:
        path: absolute.
        busy: seconds to wait for locks.
    """
    connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    connection.text_factory = str
    return connection


def prepare(path: str) -> None:
    """Make the tables, or bring those of an earlier version into today's form.

    Raises:
        JournalUnavailable: it cannot be opened or written, is no journal, or is a newer version's.
    """
    try:
        connection = connect(path, BUSY)
    except sqlite3.Error as error:
        raise JournalUnavailable(f"cannot open the journal {path}: {error}") from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        raise JournalUnavailable(f"cannot open the journal {path}: {error}") from error
    finally:
        connection.close()


def require(connection: sqlite3.Connection, path: str) -> None:
    """Nothing, if the file is a journal of this version's form.

    Raises:
        JournalUnavailable: it is not.
    """
    application, schema = _marks(connection)
    if application != APPLICATION and migration.is_old(connection):
        raise JournalUnavailable(
            f"{path} is a journal of version 0.1.0: it takes today's form when a program next opens it"
        )
    if application != APPLICATION:
        raise JournalUnavailable(f"{path} is no journal")
    if schema > SCHEMA:
        raise JournalUnavailable(
            f"{path} was written by a newer version of this library: its schema is {schema}, this one knows {SCHEMA}"
        )


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if _marks(connection) == (0, 0) and not _tables(connection):
        connection.execute(f"PRAGMA page_size={PAGE}")  # before there is anything in the file
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    elif _marks(connection)[0] != APPLICATION and not migration.is_old(connection):
        raise JournalUnavailable(f"{path} is a database of something else")
    else:
        _refuse_newer(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrated = False
        if _marks(connection)[0] != APPLICATION:  # somebody else may have been faster
            migrated = migration.is_old(connection)
            if migrated:
                migration.set_aside(connection)
            for statement in TABLES:
                connection.execute(statement)
            if migrated:
                migration.take_over(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if migrated:
        migration.tidy(connection)


def _refuse_newer(connection: sqlite3.Connection, path: str) -> None:
    if _marks(connection)[0] == APPLICATION:
        require(connection, path)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, schema


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
