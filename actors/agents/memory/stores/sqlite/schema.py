"""The tables, and opening a file as a memory."""

from __future__ import annotations

import sqlite3
from typing import Final

from ...errors import MemoryUnavailable

APPLICATION: Final = 0x43426D6D  # "CBmm", in the file's header
SCHEMA: Final = 1
"""Also of `facts.terms`, by which the index of words is made."""

BUSY: Final = 5.0
"""Seconds that opening a file waits for whoever writes it."""

OWNER_BITS: Final = 32
"""A fact's place is its owner's number, shifted by so many bits, and a running number of that owner's: what belongs to
one owner lies together, and the index of words can be asked for one owner's places only."""

TABLES: Final = (
    """
    CREATE TABLE embedder (
      name TEXT NOT NULL,                    -- whose vectors are there; no row: there are none yet
      dimensions INTEGER NOT NULL            -- 0: the first of them is still to be made
    )""",
    """
    CREATE TABLE owners (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      tenant TEXT NOT NULL,
      user TEXT NOT NULL,
      version INTEGER NOT NULL DEFAULT 0,    -- counts changes of facts
      erasures INTEGER NOT NULL DEFAULT 0,   -- counts what made places or vectors go
      last INTEGER NOT NULL DEFAULT 0,       -- the running number of the last fact
      UNIQUE (tenant, user)
    )""",
    """
    CREATE TABLE facts (
      place INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      owner INTEGER NOT NULL,
      agent TEXT NOT NULL,
      kind TEXT NOT NULL,
      text TEXT NOT NULL,
      source TEXT NOT NULL,
      valid_from REAL NOT NULL,              -- seconds since 1970
      valid_to REAL,
      labels TEXT NOT NULL,                  -- a JSON array of texts
      metadata TEXT NOT NULL,                -- a JSON object
      key TEXT NOT NULL,                     -- what made it once, or empty
      supersedes TEXT NOT NULL,              -- the id of the fact that it corrects, or empty
      version INTEGER NOT NULL,              -- the owner's, at the last change
      embedded INTEGER NOT NULL              -- whether it has a vector
    )""",
    "CREATE INDEX facts_changed ON facts (owner, version)",
    "CREATE INDEX facts_keys ON facts (owner, key) WHERE key <> ''",
    "CREATE INDEX facts_supersede ON facts (owner, supersedes) WHERE supersedes <> ''",
    "CREATE INDEX facts_unembedded ON facts (owner) WHERE NOT embedded",
    "CREATE TABLE vectors (place INTEGER PRIMARY KEY, vector BLOB NOT NULL)  -- float32, of length 1",
    "CREATE VIRTUAL TABLE words USING fts5 (terms, content = '', tokenize = \"unicode61 tokenchars '_'\")",
    "CREATE VIRTUAL TABLE word_counts USING fts5vocab ('words', 'row')",
)


def connect(path: str, busy: float) -> sqlite3.Connection:
    """A connection to the file, which may be closed on another thread than the one that uses it.

    Args:
        path: absolute, or ``:memory:``.
        busy: seconds to wait for locks.
    """
    return sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, if the file is new.

    Raises:
        MemoryUnavailable: it cannot be opened or written, is no memory, or is a newer version's.
    """
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        raise MemoryUnavailable(f"cannot open the memory {path}: {error}") from error


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    application, _ = marks = _marks(connection)
    if marks == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before there is anything in the file
    elif application != APPLICATION:
        raise MemoryUnavailable(f"{path} is a database of something else")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        application, schema = _marks(connection)
        if application != APPLICATION:  # nobody else has been faster
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={SCHEMA}")
        elif schema > SCHEMA:
            raise MemoryUnavailable(
                f"{path} was written by a newer version of this library: its schema is {schema}, this one knows"
                f" {SCHEMA}"
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, schema
