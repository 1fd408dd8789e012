"""The tables, and opening a file as a journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Final

from ..errors import JournalUnavailable
from . import migration
from .files import OPENING, FileKind, connect, is_empty, transaction

JOURNAL: Final = FileKind("journal", 0x43426A6C, 1, JournalUnavailable)  # "CBjl", in the file's header
PAGE: Final = 8_192
"""Bytes. An event of a kilobyte or two leaves much of SQLite's usual 4,096 empty: 3,000 turns took 1.34 times their
text, and 1.21 times with this."""

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


def prepare(path: str) -> None:
    """Make the tables, or bring those of an earlier version into today's form.

    Raises:
        JournalUnavailable: it cannot be opened or written, is no journal, or is a newer version's.
    """
    with JOURNAL.opening(path), closing(connect(path, OPENING)) as connection:
        _prepare(connection, path)


def require(connection: sqlite3.Connection, path: str) -> None:
    """Nothing, if the file is a journal of this version's form.

    Raises:
        JournalUnavailable: it is not.
    """
    if not JOURNAL.is_marked(connection):
        if migration.is_old(connection):
            raise JournalUnavailable(
                f"{path} is a journal of version 0.1.0: it takes today's form when a program next opens it"
            )
        raise JournalUnavailable(f"{path} is no journal")
    JOURNAL.refuse_newer(connection, path)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    if is_empty(connection):
        connection.execute(f"PRAGMA page_size={PAGE}")  # before there is anything in the file
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    elif JOURNAL.is_marked(connection):
        JOURNAL.refuse_newer(connection, path)
    elif not migration.is_old(connection):
        raise JournalUnavailable(f"{path} is a database of something else")
    connection.execute("PRAGMA journal_mode=WAL")
    migrated = False
    with transaction(connection):
        if not JOURNAL.is_marked(connection):  # somebody else may have been faster
            migrated = migration.is_old(connection)
            if migrated:
                migration.set_aside(connection)
            for statement in TABLES:
                connection.execute(statement)
            if migrated:
                migration.take_over(connection)
            JOURNAL.mark(connection)
    if migrated:
        migration.tidy(connection)
