"""Facts in SQLite: what is written, by a connection of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ......providers.checks import AMOUNT, WHOLE, require
from .....journal.sqlite.files import BUSY, OPENING, connect, identity, inherit, is_passing, transaction
from ....errors import DefinitionError
from ...embedding.embedder import Vectors
from ...facts.fact import Fact, Owner
from ...facts.terms import terms
from ..changing import ChangingStore
from ..outcomes import corrected, ended, erases, unknown
from ..store import Add, Change, Correct, Embed, End, Erase
from . import schema
from .reading import SqliteMemoryReader
from .rows import COLUMNS, FROM, as_json, fact_of, facts_of

IN_MEMORY: Final = ":memory:"

_INSERT: Final = (
    "INSERT INTO facts (place, id, owner, agent, kind, text, source, valid_from, valid_to, labels, metadata, key,"
    " supersedes, version, embedded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UNWORD: Final = "INSERT INTO words (words, rowid, terms) VALUES ('delete', ?, ?)"


class SqliteMemoryStore(SqliteMemoryReader, ChangingStore):
    """See `MemoryStore`. Any number of processes may use one file.

    Args:
        path: the file; ``:memory:`` for none, which is gone with the store.
        cache: bytes of vectors that are kept in memory, of those owners that were asked for last.

    Raises:
        DefinitionError: the cache is no whole number, or below 0.
    """

    def __init__(self, path: str | Path, *, cache: int = 512_000_000) -> None:
        require(DefinitionError, "a memory in SQLite", cache=(cache, WHOLE))
        require(DefinitionError, "a memory in SQLite", cache=(cache, AMOUNT))
        super().__init__(cache)
        self._path = IN_MEMORY if str(path) == IN_MEMORY else schema.MEMORY.absolute(path)
        self.reads_beside_writes = self._path != IN_MEMORY
        self._identity: tuple[int, int] | None = None
        self._erased = False  # and something of it may be left in the log
        self._write: sqlite3.Connection | None = None

    def __str__(self) -> str:
        return self._path

    def prepare(self) -> None:
        """See `MemoryStore.prepare`."""
        with schema.MEMORY.opening(self._path):
            connection = connect(self._path, OPENING)
            try:
                schema.prepare(connection, self._path)
            except BaseException:
                connection.close()
                raise
        self._write = connection
        connection.execute(f"PRAGMA busy_timeout={int(BUSY * 1000)}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        if self.reads_beside_writes:
            self._identity = identity(self._path)
            self._erased = _has_log(self._path)  # whoever wrote it may have been killed before it could clean up
            self._read = connect(self._path, BUSY)
            self._read.execute("PRAGMA query_only=ON")
        else:
            self._read = connection

    def write(self, batch: Sequence[Change]) -> list[object]:
        """See `MemoryStore.write`."""
        with transaction(self._writer):
            results = [self._apply(item) for item in batch]
        if erases(batch):
            self._erased = True
            self._clean_up()
        return results

    def clean_up(self) -> bool:
        """See `MemoryStore.clean_up`. Nobody is waited for: as long as somebody reads what was there before, even in
        another process, it cannot be done."""
        if self._erased:
            self._writer.execute("PRAGMA busy_timeout=0")
            self._clean_up()
            self._writer.execute(f"PRAGMA busy_timeout={int(BUSY * 1000)}")
        return not self._erased

    # -- changes -------------------------------------------------------------------------------------------------------

    def _add(self, item: Add) -> object:
        owner = item.facts[0].owner
        number = self._number(owner)
        if number is not None and (kept := self._under(number, item.key)):
            if item.replaces is not None and item.in_place:
                self._erase(item.replaces)
            return kept
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        if item.replaces is not None:
            if not self._erase(item.replaces) and item.in_place:
                return unknown(item.replaces.id)
            number = self._number(owner)
        if number is None:
            cursor = self._writer.execute("INSERT INTO owners (tenant, user) VALUES (?, ?)", (owner.tenant, owner.user))
            number = cursor.lastrowid
            assert number is not None
        self._insert(number, item.facts, item.key, item.vectors)
        return list(item.facts)

    def _correct(self, item: Correct) -> object:
        number = self._number(item.owner)
        if number is not None and (kept := self._under(number, item.key)):
            return kept[0]
        old = self._seen(item.id, item.owner)
        if old is None or number is None:
            return unknown(item.id)
        row = self._writer.execute(
            "SELECT id FROM facts WHERE owner = ? AND supersedes = ?", (number, item.id)
        ).fetchone()
        if row is not None or (old.valid_to is not None and old.valid_to <= item.at):
            return ended(item.id, "" if row is None else row[0])
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        self._set_end(number, old, item.at)
        new = corrected(old, item)
        self._insert(number, (new,), item.key, item.vectors)
        return new

    def _end(self, item: End) -> object:
        fact, number = self._seen(item.id, item.owner), self._number(item.owner)
        if fact is None or number is None:
            return unknown(item.id)
        if fact.valid_to is not None and fact.valid_to <= item.at:
            return fact
        return self._set_end(number, fact, item.at)

    def _erase(self, item: Erase) -> int:
        number = self._number(item.owner)
        if number is None:
            return 0
        where = "owner = ?"
        values: list[Any] = [number]
        for column, wanted in (
            ("agent", item.owner.agent or None),
            ("source", item.source),
            ("id", item.id or None),
        ):
            if wanted is not None:
                where += f" AND {column} = ?"
                values.append(wanted)
        if item.kinds:
            where += f" AND kind IN ({','.join('?' * len(item.kinds))})"
            values += item.kinds
        rows = self._writer.execute(f"SELECT place, text FROM facts WHERE {where}", values).fetchall()
        words = [(place, " ".join(terms(text))) for place, text in rows if isinstance(text, str)]  # or it is damaged
        self._writer.executemany(_UNWORD, words)
        places = [(place,) for place, _ in rows]
        self._writer.executemany("DELETE FROM vectors WHERE place = ?", places)
        self._writer.executemany("DELETE FROM facts WHERE place = ?", places)
        if self._writer.execute("SELECT 1 FROM facts WHERE owner = ? LIMIT 1", (number,)).fetchone() is None:
            self._writer.execute("DELETE FROM owners WHERE number = ?", (number,))
        else:
            self._writer.execute("UPDATE owners SET erasures = erasures + 1 WHERE number = ?", (number,))
        if rows:  # else what was deleted stays in the index until it is merged
            self._writer.execute("INSERT INTO words (words) VALUES ('optimize')")
        return len(rows)

    def _embed(self, item: Embed) -> object:
        if wrong := self._wrong_embedder(item.vectors):
            return wrong
        versions: dict[int, int] = {}
        for place, vector in zip(item.places, item.vectors.rows, strict=True):
            row = self._writer.execute("SELECT owner FROM facts WHERE place = ?", (place,)).fetchone()
            if row is None:
                continue
            if row[0] not in versions:
                versions[row[0]] = self._next_version(row[0])
            self._writer.execute(
                "INSERT OR REPLACE INTO vectors (place, vector) VALUES (?, ?)", (place, vector.tobytes())
            )
            self._writer.execute(
                "UPDATE facts SET embedded = 1, version = ? WHERE place = ?", (versions[row[0]], place)
            )
        return None

    # -- within --------------------------------------------------------------------------------------------------------

    def _number(self, owner: Owner) -> int | None:
        row = self._writer.execute(
            "SELECT number FROM owners WHERE tenant = ? AND user = ?", (owner.tenant, owner.user)
        ).fetchone()
        return None if row is None else row[0]

    def _next_version(self, number: int) -> int:
        self._writer.execute("UPDATE owners SET version = version + 1 WHERE number = ?", (number,))
        version: int = self._writer.execute("SELECT version FROM owners WHERE number = ?", (number,)).fetchone()[0]
        return version

    def _under(self, number: int, key: str) -> list[Fact]:
        """What is kept under a key."""
        if not key:
            return []
        rows = self._writer.execute(
            f"SELECT {COLUMNS} {FROM} WHERE f.owner = ? AND f.key = ? AND f.key <> '' ORDER BY f.place", (number, key)
        )
        return [fact for _, fact in facts_of(rows)]

    def _seen(self, id: str, owner: Owner) -> Fact | None:
        """A fact that the owner sees, as it is within the transaction."""
        row = self._writer.execute(f"SELECT {COLUMNS} {FROM} WHERE f.id = ?", (id,)).fetchone()
        fact = None if row is None else fact_of(row)
        return fact if fact is not None and owner.sees(fact.owner) else None

    def _set_end(self, number: int, fact: Fact, at: float) -> Fact:
        until = max(at, fact.valid_from)
        self._writer.execute(
            "UPDATE facts SET valid_to = ?, version = ? WHERE id = ?", (until, self._next_version(number), fact.id)
        )
        return replace(fact, valid_to=until)

    def _insert(self, number: int, facts: Sequence[Fact], key: str, vectors: Vectors | None) -> None:
        version = self._next_version(number)
        self._writer.execute("UPDATE owners SET last = last + ? WHERE number = ?", (len(facts), number))
        (last,) = self._writer.execute("SELECT last FROM owners WHERE number = ?", (number,)).fetchone()
        first = (number << schema.OWNER_BITS) + last - len(facts) + 1
        for place, fact in enumerate(facts, first):
            values = (place, fact.id, number, fact.owner.agent, fact.kind, fact.text, fact.source)
            times = (fact.valid_from, fact.valid_to, as_json(list(fact.labels)), as_json(dict(fact.metadata)))
            self._writer.execute(_INSERT, (*values, *times, key, fact.supersedes, version, vectors is not None))
            self._writer.execute("INSERT INTO words (rowid, terms) VALUES (?, ?)", (place, " ".join(terms(fact.text))))
        if vectors is not None:
            self._writer.executemany(
                "INSERT INTO vectors (place, vector) VALUES (?, ?)",
                [(place, row.tobytes()) for place, row in enumerate(vectors.rows, first)],
            )

    def _kept_embedder(self) -> tuple[str, int]:
        kept: tuple[str, int] | None = self._writer.execute("SELECT name, dimensions FROM embedder").fetchone()
        return kept or ("", 0)

    def _keep_embedder(self, name: str, dimensions: int) -> None:
        self._writer.execute("DELETE FROM embedder")
        self._writer.execute("INSERT INTO embedder (name, dimensions) VALUES (?, ?)", (name, dimensions))

    def _forget_vectors(self) -> None:
        self._writer.execute("DELETE FROM vectors")
        self._writer.execute("UPDATE facts SET embedded = 0 WHERE embedded")
        self._writer.execute("UPDATE owners SET erasures = erasures + 1")

    def _clean_up(self) -> None:
        """Write what was erased out of the log, and give its room back. It can wait: nobody finds it any more."""
        with suppress(sqlite3.Error):
            self._writer.executescript("PRAGMA incremental_vacuum")
            busy, *_ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._erased = bool(busy)

    # -- faults and the end --------------------------------------------------------------------------------------------

    def is_transient(self, error: Exception) -> bool:
        """See `MemoryStore.is_transient`."""
        return is_passing(error)

    def reconnect(self) -> None:
        """See `MemoryStore.reconnect`. A connection to a file does not break."""

    def close(self) -> None:
        """See `MemoryStore.close`."""
        for connection in (self._read, self._write):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def forked(self) -> None:
        """See `MemoryStore.forked`."""
        inherit(self._identity)

    @property
    def _writer(self) -> sqlite3.Connection:
        assert self._write is not None
        return self._write


def _has_log(path: str) -> bool:
    with suppress(OSError):
        return os.path.getsize(f"{path}-wal") > 0
    return False
