"""Facts as rows, and conditions on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .....core.base.log import logger_of
from ...errors import MemoryFailed
from ...facts.fact import Fact, Owner
from ..store import Selection
from .schema import OWNER_BITS

COLUMNS: Final = (
    "f.place, f.id, f.text, f.source, o.user, o.tenant, f.agent, f.valid_from, f.valid_to, f.labels, f.metadata,"
    " f.kind, f.supersedes"
)
FROM: Final = "FROM facts f JOIN owners o ON o.number = f.owner"

logger = logger_of()


def fact_of(row: tuple[Any, ...]) -> Fact:
    """A row of `COLUMNS` as a fact.

    Raises:
        MemoryFailed: the row is damaged; says which fact it is.
    """
    _, id, text, source, user, tenant, agent, since, until, labels, metadata, kind, supersedes = row
    try:
        fact = Fact(
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
    except (TypeError, ValueError) as error:  # also an owner that is none
        raise _damaged(id) from error
    texts = (text, source, kind, supersedes, *fact.labels)
    times = (since, since if until is None else until)
    if not (
        all(isinstance(one, str) for one in texts)
        and all(isinstance(one, float) for one in times)
        and isinstance(fact.metadata, dict)
    ):
        raise _damaged(id)
    return fact


def _damaged(id: object) -> MemoryFailed:
    return MemoryFailed(f"the fact {id!r:.80} is damaged in the file of the memory, and cannot be read")


def facts_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, Fact]]:
    """The place of each row of `COLUMNS`, and the fact that it is. What is damaged is left out, and the log says so."""
    for row in rows:
        try:
            fact = fact_of(row)
        except MemoryFailed as error:
            logger.error("%s; it is left out", error)
        else:
            yield row[0], fact


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
