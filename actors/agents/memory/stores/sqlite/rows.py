"""Facts as rows, and conditions on them."""

from __future__ import annotations

import json
from typing import Any, Final

from ...facts.fact import Fact, Owner
from ..store import Selection
from .schema import OWNER_BITS

COLUMNS: Final = (
    "f.place, f.id, f.text, f.source, o.user, o.tenant, f.agent, f.valid_from, f.valid_to, f.labels, f.metadata,"
    " f.kind, f.supersedes"
)
FROM: Final = "FROM facts f JOIN owners o ON o.number = f.owner"


def fact_of(row: tuple[Any, ...]) -> Fact:
    """A row of `COLUMNS` as a fact."""
    _, id, text, source, user, tenant, agent, since, until, labels, metadata, kind, supersedes = row
    return Fact(
        id,
        text,
        source,
        Owner(user, tenant, agent),
        since,
        until,
        tuple(json.loads(labels)) if labels != "[]" else (),
        json.loads(metadata) if metadata != "{}" else {},
        kind,
        supersedes,
    )


def as_json(value: Any) -> str:
    """Plain data as it is kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def span(number: int) -> tuple[int, int]:
    """The first and the last place that an owner of this number can have."""
    return number << OWNER_BITS, (number + 1 << OWNER_BITS) - 1


def conditions(selection: Selection) -> tuple[str, list[Any]]:
    """What has to hold for a row of ``facts f``, besides whose it is, and the values in it."""
    parts = ["1"]
    values: list[Any] = []
    if selection.owner is not None and selection.owner.agent:
        parts.append("f.agent IN ('', ?)")
        values.append(selection.owner.agent)
    if selection.at is not None:
        parts.append("f.valid_from <= ? AND (f.valid_to IS NULL OR f.valid_to > ?)")
        values += [selection.at, selection.at]
    if selection.kind is not None:
        parts.append("f.kind = ?")
        values.append(selection.kind)
    if selection.source is not None:
        parts.append("f.source = ?")
        values.append(selection.source)
    return " AND ".join(parts), values
