"""The tables, and opening a file as a memory."""

from __future__ import annotations

import sqlite3
from typing import Final

from .....journal.sqlite.files import FileKind, is_empty, transaction
from ...errors import MemoryUnavailable

MEMORY: Final = FileKind("memory", 0x43426D6D, 1, MemoryUnavailable)  # "CBmm", in the file's header
"""Its version is also that of `facts.terms`, by which the index of words is made."""

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


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, if the file is new.

    Raises:
        MemoryUnavailable: it is no memory, or is a newer version's.
    """
    if is_empty(connection):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before there is anything in the file
    elif not MEMORY.is_marked(connection):
        raise MemoryUnavailable(f"{path} is a database of something else")
    connection.execute("PRAGMA journal_mode=WAL")
    with transaction(connection):
        if MEMORY.is_marked(connection):
            MEMORY.refuse_newer(connection, path)
        else:  # nobody else has been faster
            for statement in TABLES:
                connection.execute(statement)
            MEMORY.mark(connection)
