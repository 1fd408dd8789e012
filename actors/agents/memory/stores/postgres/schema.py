"""The tables of a memory in PostgreSQL.

They can be read with plain SQL: ``SELECT text, source FROM callboard_memory.facts WHERE "user" = 'ann'``. Texts compare
by code point (`COLLATE "C"`), whatever the database's locale.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ...errors import MemoryUnavailable

if TYPE_CHECKING:
    from psycopg import Connection

VERSION: Final = 1
"""Of the tables, and of `facts.terms`, by which the words in them are made."""

TABLES: Final = """
CREATE TABLE {s}.memory (
    version int NOT NULL,               -- of these tables
    embedder text,                      -- whose vectors are there; null: there are none yet
    dimensions int                      -- null: the first of them is still to be made
);

CREATE TABLE {s}.facts (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    tenant text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    text text NOT NULL,
    source text COLLATE "C" NOT NULL,
    valid_from float8 NOT NULL,         -- seconds since 1970
    valid_to float8,
    labels json NOT NULL,
    metadata json NOT NULL,
    key text COLLATE "C" NOT NULL,      -- what made it once, or empty
    supersedes text COLLATE "C" NOT NULL,  -- the id of the fact that it corrects, or empty
    terms tsvector NOT NULL,
    vector {v}.vector                   -- of length 1
);
CREATE INDEX facts_owner ON {s}.facts (tenant, "user", place);
CREATE INDEX facts_key ON {s}.facts (tenant, "user", key) WHERE key <> '';
CREATE INDEX facts_supersedes ON {s}.facts (supersedes) WHERE supersedes <> '';
CREATE INDEX facts_unembedded ON {s}.facts (tenant, "user") WHERE vector IS NULL;
CREATE INDEX facts_terms ON {s}.facts USING gin (terms);

INSERT INTO {s}.memory (version) VALUES ({version});
"""


class Names:
    """What a memory is called on the server.

    Args:
        schema: the schema that holds its tables.

    Raises:
        ValueError: it cannot be a schema's name.
    """

    def __init__(self, schema: str) -> None:
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise ValueError(f"a schema's name has 1 to 63 bytes: {schema!r}")
        self.schema = schema
        self.quoted = _quoted(schema)
        self.vector = "public"
        """The schema that pgvector's types are in, as it is quoted."""
        self.lock = int.from_bytes(sha256(f"callboard memory {schema}".encode()).digest()[:8], "big", signed=True)

    def query(self, text: str) -> bytes:
        """A statement on this memory's tables, which the text calls ``{s}.facts`` and so on; pgvector is ``{v}``."""
        s, v = (name.replace("%", "%%") for name in (self.quoted, self.vector))
        return text.replace("{s}", s).replace("{v}", v).encode()

    def script(self, text: str) -> bytes:
        """The same of statements without parameters."""
        s, v = self.quoted, self.vector
        return text.replace("{s}", s).replace("{v}", v).replace("{version}", str(VERSION)).encode()


def prepare(connection: Connection[Any], names: Names) -> None:
    """Make the tables, where they are not there yet. Several processes may do so at once.

    Raises:
        MemoryUnavailable: the server has no pgvector, a newer library has made the tables, or they are no memory's.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [names.lock])
        names.vector = _vector(connection)
        there = _tables(connection, names)
        if not there:
            if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [names.schema]).fetchone() is None:
                connection.execute(names.script("CREATE SCHEMA {s}"))
            connection.execute(names.script(TABLES))
        elif len(there) < 2:
            raise MemoryUnavailable(f"the schema {names.schema} has tables that are no memory's: {there}")
        row = connection.execute(names.script("SELECT version FROM {s}.memory")).fetchone()
        version = 0 if row is None else int(row[0])
        if version > VERSION:
            raise MemoryUnavailable(
                f"the memory in the schema {names.schema} was made by a newer library: its tables are of version"
                f" {version}, this one knows version {VERSION}"
            )


def _tables(connection: Connection[Any], names: Names) -> list[str]:
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname IN ('memory', 'facts') ORDER BY 1",
        [names.schema],
    )
    return [name for (name,) in rows]


def _vector(connection: Connection[Any]) -> str:
    """The schema of pgvector's types, which is installed where it is not."""
    import psycopg

    find = (
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    found = connection.execute(find).fetchone()
    if found is None:
        # One lock for all memories: of two that make it at once in one database, one would fail.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('callboard memory vector'))")
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except psycopg.Error as error:
            raise MemoryUnavailable(
                f"a memory needs pgvector, and it cannot be made in this database: {str(error).strip()}; install it on"
                " the server, and have somebody who may do so run CREATE EXTENSION vector"
            ) from error
        found = connection.execute(find).fetchone()
    assert found is not None
    return _quoted(found[0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
