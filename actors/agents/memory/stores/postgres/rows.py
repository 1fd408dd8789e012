"""Facts as rows, and what is told to the server as text."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...facts.fact import Fact, Owner
from ..store import Selection

if TYPE_CHECKING:
    from ...embedding.embedder import Matrix

COLUMNS: Final = (
    'f.place, f.id, f.text, f.source, f."user", f.tenant, f.agent, f.valid_from, f.valid_to, f.labels::text,'
    " f.metadata::text, f.kind, f.supersedes"
)
MOST_PLACES: Final = 256
LAST_PLACE: Final = 16_383
"""PostgreSQL keeps so many places of a word, and none behind that."""


def fact_of(row: Sequence[Any]) -> Fact:
    """A row of `COLUMNS` as a fact."""
    _, id, text, source, user, tenant, agent, since, until, labels, metadata, kind, supersedes = row
    owner = Owner(user, tenant, agent)
    return Fact(
        id, text, source, owner, since, until, tuple(json.loads(labels)), json.loads(metadata), kind, supersedes
    )


def whose(owner: Owner | None) -> tuple[str, dict[str, Any]]:
    """What has to hold for a row of ``facts f`` to be an owner's, of whichever agent, and the values in it."""
    if owner is None:
        return "true", {}
    return 'f.tenant = %(tenant)s AND f."user" = %(user)s', {"tenant": owner.tenant, "user": owner.user}


def conditions(selection: Selection) -> tuple[str, dict[str, Any]]:
    """What has to hold for a row of ``facts f``, and the values in it."""
    owner = selection.owner
    all_of_it, values = whose(owner)
    parts = [all_of_it]
    if owner is not None and owner.agent:
        parts.append("f.agent IN ('', %(agent)s)")
        values["agent"] = owner.agent
    if selection.at is not None:
        parts.append("f.valid_from <= %(at)s AND (f.valid_to IS NULL OR f.valid_to > %(at)s)")
        values["at"] = selection.at
    for column in ("kind", "source"):
        wanted = getattr(selection, column)
        if wanted is not None:
            parts.append(f"f.{column} = %({column})s")
            values[column] = wanted
    return " AND ".join(parts), values


def tsvector(terms: Sequence[str]) -> str:
    """Words with their places, as PostgreSQL writes a `tsvector`: its own parser would cut them up differently."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, term in enumerate(terms, 1):
        if len(places[term]) < MOST_PLACES:
            places[term].append(min(place, LAST_PLACE))
    return " ".join(f"{lexeme(term)}:{','.join(map(str, at))}" for term, at in places.items())


def lexeme(term: str) -> str:
    """A word as it stands in a `tsvector` or a `tsquery`."""
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def vector_text(row: Matrix) -> str:
    """A vector as pgvector writes it."""
    return f"[{','.join(map(repr, row.tolist()))}]"


def vectors_text(rows: Iterable[Matrix]) -> list[str]:
    """Several vectors."""
    return [vector_text(row) for row in rows]
