"""Facts in PostgreSQL: what is written in one transaction after the other, what is read beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .....journal.errors import JournalUnavailable
from .....journal.postgres.connect import connect, is_transient, parameters, shown
from ...embedding.embedder import Vectors
from ...errors import MemoryUnavailable
from ...facts.fact import Fact, Owner
from ...facts.fusion import DEVIATIONS, ENOUGH
from ...facts.terms import looked_for, most_of, terms
from ..changing import ChangingStore
from ..outcomes import corrected, ended, erases, mismatch, unknown
from ..store import Add, Change, Correct, Embed, End, Erase, Place, Query, Ranked, Selection
from .rows import COLUMNS, conditions, fact_of, lexeme, tsvector, vector_text, vectors_text, whose
from .schema import MemoryTables

if TYPE_CHECKING:
    from psycopg import Connection

_INSERT: Final = (
    'INSERT INTO {s}.facts (id, tenant, "user", agent, kind, text, source, valid_from, valid_to, labels, metadata, key,'
    " supersedes, terms, vector) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::tsvector,"
    " %s::{v}.vector)"
)
_BY_TEXT: Final = """
WITH fits AS MATERIALIZED (
    SELECT f.place, f.terms FROM {s}.facts f WHERE f.terms @@ %(any)s::tsquery AND <where>
), asked AS MATERIALIZED (
    SELECT q.term::tsquery AS term,
        -- How much a word tells apart, as in BM25; ts_rank does not know it.
        ln(1 + ((SELECT count(*) FROM fits) - count(t.place) + 0.5) / (count(t.place) + 0.5)) + 0.01 AS weight
    FROM unnest(%(each)s::text[]) q (term) LEFT JOIN fits t ON t.terms @@ q.term::tsquery
    GROUP BY q.term
)
SELECT t.place FROM fits t JOIN asked a ON t.terms @@ a.term
GROUP BY t.place ORDER BY sum(a.weight * ts_rank(t.terms, a.term, 1)) DESC, t.place LIMIT %(depth)s
"""
_HOW_MANY: Final = "SELECT count(*) FROM {s}.facts f WHERE <where>"
_HOW_MANY_HAVE: Final = """
SELECT q.term, (SELECT count(*) FROM (
    SELECT FROM {s}.facts f WHERE f.terms @@ q.term::tsquery AND <where> LIMIT %(limit)s
) those) FROM unnest(%(each)s::text[]) q (term)
"""
_BY_VECTOR: Final = """
WITH fits AS MATERIALIZED (
    SELECT f.place, -(f.vector OPERATOR({v}.<#>) %(vector)s::{v}.vector) AS likeness FROM {s}.facts f
    WHERE f.vector IS NOT NULL AND <where>
)
-- Subqueries, which are carried out once: a server that has not counted its rows yet would join them for each row anew.
SELECT place, (SELECT count(*) FROM fits) < %(enough)s
    OR likeness > (SELECT avg(likeness) + stddev_pop(likeness) * %(deviations)s FROM fits)
FROM fits WHERE likeness > 0 ORDER BY likeness DESC, place LIMIT %(depth)s
"""


class PostgresMemoryStore(ChangingStore):
    """See `MemoryStore`. Facts in a schema of a PostgreSQL database with pgvector, which any number of processes on any
    machines may share. It holds two connections: one that writes, one that reads.

    Needs ``pip install 'callboard[postgres]'``.

    Args:
        url: ``postgresql://user:password@host:5432/database``, or whatever else libpq takes. The password appears in no
            representation, error or log line.
        schema: where the tables are; made where they do not exist. Memories in different schemas do not meet.

    Raises:
        MemoryUnavailable: the driver is not installed, or the URL is none.
        ValueError: the schema cannot be one's name.
    """

    reads_beside_writes = True

    def __init__(self, url: str, *, schema: str = "callboard_memory") -> None:
        try:
            self._given = parameters(url)
        except JournalUnavailable as error:
            raise MemoryUnavailable(str(error)) from error
        self._tables = MemoryTables(schema)
        self._open: dict[str, Connection[Any]] = {}
        self._erased = False  # and something of it may be left

    def __str__(self) -> str:
        return f"{shown(self._given)}, schema {self._tables.schema}"

    def prepare(self) -> None:
        """See `MemoryStore.prepare`."""
        import psycopg

        try:
            with connect(self._given) as connection:
                self._tables.prepare(connection)
        except psycopg.Error as error:
            raise MemoryUnavailable(f"the memory in {self} cannot be opened: {str(error).strip()}") from error

    def write(self, batch: Sequence[Change]) -> list[object]:
        """See `MemoryStore.write`. Writers come one after the other, as with a file."""
        connection = self._connection("write")
        try:
            with connection.transaction():
                self._run("write", "SELECT pg_advisory_xact_lock(%s)", [self._tables.lock])
                results = [self._apply(item) for item in batch]
        except Exception as error:
            if self.is_transient(error):
                self._drop("write")
            raise
        if erases(batch):
            self._erased = True
            self.clean_up()
        return results

    def clean_up(self) -> bool:
        """See `MemoryStore.clean_up`."""
        if self._erased:
            try:
                self._connection("write").execute(self._tables.script("VACUUM {s}.facts"))
            except Exception as error:  # it can wait: nobody finds it any more
                if self.is_transient(error):
                    self._drop("write")
            else:
                self._erased = False
        return not self._erased

    def search(self, query: Query) -> Ranked:
        """See `MemoryStore.search`."""
        where, values = conditions(query.selection)
        values["depth"] = query.depth
        by_vector: list[Place] = []
        outstanding = 0
        if query.vector is not None:
            kept = self._embedder("read")
            if wrong := mismatch(kept, (query.embedder, len(query.vector))):
                raise wrong
            if kept[1]:
                values |= {"vector": vector_text(query.vector), "enough": ENOUGH, "deviations": DEVIATIONS}
                rows = self._read(_BY_VECTOR.replace("<where>", where), values)
                by_vector = [row[0] for row in rows]
                outstanding = sum(row[1] for row in rows)
        by_text: list[Place] = []
        if query.terms:
            each = self._looked_for([lexeme(term) for term in dict.fromkeys(query.terms)], query.selection.owner)
            values |= {"any": " | ".join(each), "each": each}
            by_text = [row[0] for row in self._read(_BY_TEXT.replace("<where>", where), values)]
        return Ranked(by_text, by_vector, bool(self.unembedded(query.selection.owner, 1)), outstanding)

    def take(self, places: Sequence[Place]) -> dict[Place, Fact]:
        """See `MemoryStore.take`."""
        rows = self._read(f"SELECT {COLUMNS} FROM {{s}}.facts f WHERE f.place = ANY (%s)", [list(places)])
        return {row[0]: fact_of(row) for row in rows}

    def get(self, id: str, owner: Owner) -> Fact | None:
        """See `MemoryStore.get`."""
        return self._seen("read", id, owner)

    def select(self, selection: Selection) -> list[Fact]:
        """See `MemoryStore.select`."""
        where, values = conditions(selection)
        rows = self._read(f"SELECT {COLUMNS} FROM {{s}}.facts f WHERE {where} ORDER BY f.place", values)
        return list(map(fact_of, rows))

    def unembedded(self, owner: Owner | None, limit: int) -> list[tuple[Place, str]]:
        """See `MemoryStore.unembedded`."""
        where, values = conditions(Selection(owner))
        rows = self._read(
            f"SELECT f.place, f.text FROM {{s}}.facts f WHERE f.vector IS NULL AND {where} LIMIT %(limit)s",
            {**values, "limit": limit},
        )
        return [(row[0], row[1]) for row in rows]

    # -- changes -------------------------------------------------------------------------------------------------------

    def _add(self, item: Add) -> object:
        if kept := self._under(item.facts[0].owner, item.key) or self._there([fact.id for fact in item.facts]):
            if item.replaces is not None and item.in_place:
                self._erase(item.replaces)
            return kept
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        if item.replaces is not None and not self._erase(item.replaces) and item.in_place:
            return unknown(item.replaces.id)
        self._insert(item.facts, item.key, item.vectors)
        return list(item.facts)

    def _correct(self, item: Correct) -> object:
        if kept := self._under(item.owner, item.key) or self._there([item.by]):
            return kept[0]
        old = self._seen("write", item.id, item.owner)
        if old is None:
            return unknown(item.id)
        by = self._run("write", "SELECT id FROM {s}.facts WHERE supersedes = %s", [item.id])
        if by or (old.valid_to is not None and old.valid_to <= item.at):
            return ended(item.id, by[0][0] if by else "")
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        self._set_end(old, item.at)
        new = corrected(old, item)
        self._insert([new], item.key, item.vectors)
        return new

    def _end(self, item: End) -> object:
        fact = self._seen("write", item.id, item.owner)
        if fact is None:
            return unknown(item.id)
        if fact.valid_to is not None and fact.valid_to <= item.at:
            return fact
        return self._set_end(fact, item.at)

    def _erase(self, item: Erase) -> int:
        owner = item.owner
        where = 'tenant = %(tenant)s AND "user" = %(user)s'
        for column, wanted in (("agent", owner.agent or None), ("source", item.source), ("id", item.id or None)):
            if wanted is not None:
                where += f" AND {column} = %({column})s"
        if item.kinds:
            where += " AND kind = ANY (%(kinds)s)"
        values = {
            "tenant": owner.tenant,
            "user": owner.user,
            "agent": owner.agent,
            "source": item.source,
            "id": item.id,
            "kinds": list(item.kinds),
        }
        return len(self._run("write", f"DELETE FROM {{s}}.facts WHERE {where} RETURNING 1", values))

    def _embed(self, item: Embed) -> object:
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        self._run(
            "write",
            "UPDATE {s}.facts f SET vector = made.vector::{v}.vector"
            " FROM unnest(%s::bigint[], %s::text[]) made (place, vector) WHERE f.place = made.place",
            [list(item.places), vectors_text(item.vectors.rows)],
        )
        return None

    # -- within --------------------------------------------------------------------------------------------------------

    def _insert(self, facts: Sequence[Fact], key: str, vectors: Vectors | None) -> None:
        made = [None] * len(facts) if vectors is None else vectors_text(vectors.rows)
        rows = [
            (
                fact.id,
                fact.owner.tenant,
                fact.owner.user,
                fact.owner.agent,
                fact.kind,
                fact.text,
                fact.source,
                fact.valid_from,
                fact.valid_to,
                json.dumps(fact.labels, ensure_ascii=False),
                json.dumps(dict(fact.metadata), ensure_ascii=False),
                key,
                fact.supersedes,
                tsvector(terms(fact.text)),
                vector,
            )
            for fact, vector in zip(facts, made, strict=True)
        ]
        with self._connection("write").cursor() as cursor:
            cursor.executemany(self._tables.query(_INSERT), rows)

    def _under(self, owner: Owner, key: str) -> list[Fact]:
        """What is kept under a key."""
        if not key:
            return []
        rows = self._run(
            "write",
            f"SELECT {COLUMNS} FROM {{s}}.facts f"
            " WHERE f.tenant = %s AND f.\"user\" = %s AND f.key = %s AND f.key <> '' ORDER BY f.place",
            [owner.tenant, owner.user, key],
        )
        return [fact_of(row) for row in rows]

    def _there(self, ids: list[str]) -> list[Fact]:
        """What has been written of a batch already, whose outcome was not learned."""
        rows = self._run("write", f"SELECT {COLUMNS} FROM {{s}}.facts f WHERE f.id = ANY (%s) ORDER BY f.place", [ids])
        return [fact_of(row) for row in rows]

    def _seen(self, on: str, id: str, owner: Owner) -> Fact | None:
        rows = self._run(on, f"SELECT {COLUMNS} FROM {{s}}.facts f WHERE f.id = %s", [id])
        fact = fact_of(rows[0]) if rows else None
        return fact if fact is not None and owner.sees(fact.owner) else None

    def _set_end(self, fact: Fact, at: float) -> Fact:
        until = max(at, fact.valid_from)
        self._run("write", "UPDATE {s}.facts SET valid_to = %s WHERE id = %s", [until, fact.id])
        return replace(fact, valid_to=until)

    def _looked_for(self, lexemes: list[str], owner: Owner | None) -> list[str]:
        """Those of a query's words that are looked for."""
        where, values = whose(owner)
        ((count,),) = self._read(_HOW_MANY.replace("<where>", where), values)
        most = most_of(count)
        values |= {"each": lexemes, "limit": most + 1}
        return looked_for(dict(self._read(_HOW_MANY_HAVE.replace("<where>", where), values)), most)

    def _embedder(self, on: str) -> tuple[str, int]:
        """Whose vectors are there, and their dimensions; empty where there are none yet."""
        ((name, dimensions),) = self._run(on, "SELECT embedder, dimensions FROM {s}.memory")
        return name or "", dimensions or 0

    def _kept_embedder(self) -> tuple[str, int]:
        return self._embedder("write")

    def _keep_embedder(self, name: str, dimensions: int) -> None:
        self._run("write", "UPDATE {s}.memory SET embedder = %s, dimensions = %s", [name, dimensions or None])

    def _forget_vectors(self) -> None:
        self._run("write", "UPDATE {s}.facts SET vector = NULL WHERE vector IS NOT NULL")

    # -- connections ---------------------------------------------------------------------------------------------------

    def _read(self, text: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        return self._run("read", text, arguments)

    def _run(self, on: str, text: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """What a statement gives. A connection that is at fault is dropped; what writes does so at the transaction."""
        query = self._tables.query(text) if arguments else self._tables.script(text)
        try:
            cursor = self._connection(on).execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else []
        except Exception as error:
            if on == "read" and self.is_transient(error):
                self._drop(on)
            raise

    def _connection(self, name: str) -> Connection[Any]:
        if name not in self._open:
            self._open[name] = connect(self._given)
        return self._open[name]

    def _drop(self, name: str) -> None:
        connection = self._open.pop(name, None)
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def is_transient(self, error: Exception) -> bool:
        """See `MemoryStore.is_transient`."""
        import psycopg

        # Tables that somebody has dropped, or a right that was taken: waiting does not bring it back.
        return is_transient(error) and not isinstance(error, psycopg.ProgrammingError)

    def reconnect(self) -> None:
        """See `MemoryStore.reconnect`. Broken connections are dropped where they break."""

    def close(self) -> None:
        """See `MemoryStore.close`."""
        for name in list(self._open):
            self._drop(name)

    def forked(self) -> None:
        """See `MemoryStore.forked`. The driver leaves alone what another process has connected."""
