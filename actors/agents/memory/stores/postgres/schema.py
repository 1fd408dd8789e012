"""The tables of a memory in PostgreSQL.

They can be read with plain SQL: ``SELECT text, source FROM callboard_memory.facts WHERE "user" = 'ann'``. Texts compare
by code point (`COLLATE "C"`), whatever the database's locale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .....journal.postgres.tables import Tables, quoted
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


class MemoryTables(Tables):
    """A memory's. Statements call the schema that pgvector's types are in ``{v}``."""

    what = "memory"
    version = VERSION
    known_by = ("facts", "memory")
    made_by = TABLES
    refused = MemoryUnavailable

    def look_around(self, connection: Connection[Any]) -> None:
        """See `Tables.look_around`. Raises `MemoryUnavailable` where the server has no pgvector."""
        self._quoted["{v}"] = _vector(connection)


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
    return quoted(found[0])
