"""What is read of a file: by words, by nearness, one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ...facts.fact import Fact, Owner
from ...facts.terms import looked_for, most_of
from ..outcomes import mismatch
from ..store import Place, Query, Ranked, Selection
from .rows import COLUMNS, FROM, conditions, fact_of, facts_of, span
from .vectors import NEVER, Moments, OwnedVectors, Row, VectorCache, is_whole

LARGE: Final = 10_000
"""Facts beyond which not every word is looked for; see `_telling`."""

MATCHES: Final = 4_000
"""Facts that have one of the words, which are ranked then: each costs 1.5 µs."""

_CHANGED: Final = (
    "SELECT f.place, f.agent, f.kind, f.valid_from, ifnull(f.valid_to, ?), v.vector"
    " FROM facts f INDEXED BY facts_changed JOIN vectors v ON v.place = f.place WHERE f.owner = ? AND f.version > ?"
)


class SqliteMemoryReader:
    """Reads through one connection.

    Args:
        cache: bytes of vectors that are kept in memory.
    """

    def __init__(self, cache: int) -> None:
        self._vectors = VectorCache(cache)
        self._embedder = ("", 0)
        self._read: sqlite3.Connection | None = None

    def search(self, query: Query) -> Ranked:
        """See `MemoryStore.search`."""
        execute = self._reader.execute
        execute("BEGIN")  # what is read belongs together
        try:
            owner = query.selection.owner
            owners = self._owners(owner)
            if not owners:
                return Ranked((), (), False)
            number = None if owner is None else owners[0][0]
            nearest, apart = self._by_vector(query, owners) if query.vector is not None else ([], 0)
            texts = self._by_text(query, owners) if query.terms else []
            return Ranked(texts, nearest, self._any_unembedded(number), apart)
        finally:
            execute("COMMIT")

    def take(self, places: Sequence[Place]) -> dict[Place, Fact]:
        """See `MemoryStore.take`."""
        marks = ",".join("?" * len(places))
        rows = self._reader.execute(f"SELECT {COLUMNS} {FROM} WHERE f.place IN ({marks})", places)
        return dict(facts_of(rows))

    def get(self, id: str, owner: Owner) -> Fact | None:
        """See `MemoryStore.get`."""
        row = self._reader.execute(f"SELECT {COLUMNS} {FROM} WHERE f.id = ?", (id,)).fetchone()
        fact = None if row is None else fact_of(row)
        return fact if fact is not None and owner.sees(fact.owner) else None

    def select(self, selection: Selection) -> list[Fact]:
        """See `MemoryStore.select`. One statement, which SQLite answers as of one moment."""
        owners = self._owners(selection.owner)
        if not owners:
            return []
        first, last = span(owners[0][0])[0], span(owners[-1][0])[1]
        where, values = conditions(selection)
        rows = self._reader.execute(
            f"SELECT {COLUMNS} {FROM} WHERE f.place BETWEEN ? AND ? AND {where} ORDER BY f.place",
            (first, last, *values),
        )
        return [fact for _, fact in facts_of(rows)]

    def unembedded(self, owner: Owner | None, limit: int) -> list[tuple[Place, str]]:
        """See `MemoryStore.unembedded`."""
        owners = self._owners(owner)
        if not owners:
            return []
        whose, values = ("", []) if owner is None else (" AND owner = ?", [owners[0][0]])
        rows = self._reader.execute(
            f"SELECT place, text FROM facts WHERE NOT embedded{whose} LIMIT ?", (*values, limit)
        )
        return rows.fetchall()

    # -- within ------------------------------------------------------------------------------------------------------

    def _owners(self, owner: Owner | None) -> list[tuple[int, int, int, int]]:
        """Number, version, erasures and last running number of an owner, or of all, in order."""
        select = "SELECT number, version, erasures, last FROM owners"
        if owner is None:
            return self._reader.execute(f"{select} ORDER BY number").fetchall()
        return self._reader.execute(f"{select} WHERE tenant = ? AND user = ?", (owner.tenant, owner.user)).fetchall()

    def _any_unembedded(self, number: int | None) -> bool:
        whose = "" if number is None else f" AND owner = {number}"
        return self._reader.execute(f"SELECT 1 FROM facts WHERE NOT embedded{whose} LIMIT 1").fetchone() is not None

    def _by_text(self, query: Query, owners: list[tuple[int, int, int, int]]) -> list[Place]:
        where, values = conditions(query.selection)
        terms = list(dict.fromkeys(query.terms))
        first, last = span(owners[0][0])[0], span(owners[-1][0])[1]
        count = sum(last for *_, last in owners)  # with what has been erased: nobody counts
        if count <= LARGE:
            most = most_of(count)
            terms = looked_for({term: self._count(term, first, last, most + 1) for term in terms}, most)
            rows = self._reader.execute(
                "SELECT f.place FROM words CROSS JOIN facts f ON f.place = words.rowid"
                f" WHERE words MATCH ? AND words.rowid BETWEEN ? AND ? AND {where}"
                " ORDER BY words.rank, f.place LIMIT ?",
                (_match(terms), first, last, *values, query.depth),
            )
            return [place for (place,) in rows]
        # The best ones of all are looked for first, and then which of them fit: that looks at few of the facts.
        match, wanted = _match(self._telling(terms)), query.depth * 2
        while True:
            best = self._reader.execute(
                "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rank LIMIT ?",
                (match, first, last, wanted),
            ).fetchall()
            places = [place for (place,) in best]
            fitting = self._fitting(places, where, values)
            found = [place for place in places if place in fitting]
            if len(found) >= query.depth or len(places) < wanted:
                return found[: query.depth]
            wanted *= 8

    def _fitting(self, places: list[int], where: str, values: list[Any]) -> set[int]:
        fitting: set[int] = set()
        for start in range(0, len(places), 500):
            part = places[start : start + 500]
            marks = ",".join("?" * len(part))
            rows = self._reader.execute(
                f"SELECT f.place FROM facts f WHERE f.place IN ({marks}) AND {where}", (*part, *values)
            )
            fitting.update(place for (place,) in rows)
        return fitting

    def _count(self, term: str, first: int, last: int, limit: int) -> int:
        """How many facts between two places have a word; nobody counts beyond the limit."""
        (found,) = self._reader.execute(
            "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? LIMIT ?)",
            (_match([term]), first, last, limit),
        ).fetchone()
        return int(found)

    def _telling(self, terms: list[str]) -> list[str]:
        """The rarest words, as many as are in `MATCHES` facts together, and at least one: what many have tells least,
        and costs most."""
        counted = []
        for term in terms:
            row = self._reader.execute("SELECT doc FROM word_counts WHERE term = ?", (term,)).fetchone()
            # One that no fact has may be several words to SQLite, and is looked for all the same.
            counted.append((0 if row is None else row[0], term))
        counted.sort()
        total = 0
        telling: list[str] = []
        for count, term in counted:
            total += count
            if total > MATCHES and any(found for found, _ in counted[: len(telling)]):
                break
            telling.append(term)
        return telling

    def _by_vector(self, query: Query, owners: list[tuple[int, int, int, int]]) -> tuple[list[Place], int]:
        """What is nearest, and how many of it stand out."""
        import numpy as np

        assert query.vector is not None
        embedder = self._reader.execute("SELECT name, dimensions FROM embedder").fetchone() or ("", 0)
        if embedder != self._embedder:
            self._vectors.clear()
            self._embedder = embedder
        if wrong := mismatch(embedder, (query.embedder, len(query.vector))):
            raise wrong
        dimensions = embedder[1]
        if not dimensions:
            return [], 0
        owner = query.selection.owner
        agents = ("", owner.agent) if owner is not None and owner.agent else ()
        places: list[Any] = []
        likeness: list[Any] = []
        floor = 0.0  # what is at a right angle or beyond has nothing to do with it
        held = 0
        moments = []
        for one in owners:
            vectors = self._of_owner(*one[:3], dimensions)
            found = vectors.nearest(query.vector, query.selection.at, agents, query.selection.kind, query.depth, floor)
            places.append(found[0])
            likeness.append(found[1])
            moments.append(found[2])
            held += len(found[0])
            if held > 2 * query.depth:  # from here on only what is nearer than these is of interest
                top = np.concatenate(likeness)
                best = np.argpartition(top, -query.depth)[-query.depth :]
                places, likeness = [np.concatenate(places)[best]], [top[best]]
                floor, held = float(likeness[0].min()), query.depth
        top = np.concatenate(likeness)
        order = np.argsort(-top, kind="stable")[: query.depth]
        nearest: list[Place] = np.concatenate(places)[order].tolist()
        bound = Moments(*(sum(part) for part in zip(*moments, strict=True))).bound()
        return nearest, int(np.count_nonzero(top[order] > bound))

    def _of_owner(self, number: int, version: int, erasures: int, dimensions: int) -> OwnedVectors:
        """An owner's vectors as they are now."""
        kept = self._vectors.get(number)
        if kept is not None and kept.erasures != erasures:
            self._vectors.drop(number)
            kept = None
        if kept is not None and kept.version == version:
            return kept
        before = 0 if kept is None else kept.nbytes
        vectors = kept or OwnedVectors(dimensions, erasures)
        changed: list[Row] = self._reader.execute(_CHANGED, (NEVER, number, vectors.version)).fetchall()
        vectors.update([row for row in changed if is_whole(row, dimensions)], version)
        self._vectors.put(number, vectors, before)
        return vectors

    @property
    def _reader(self) -> sqlite3.Connection:
        assert self._read is not None
        return self._read


def _match(terms: Sequence[str]) -> str:
    """Words, any of which will do, as SQLite's full-text search takes them."""
    return " OR ".join(f'"{term}"' for term in terms)
