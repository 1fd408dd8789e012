"""What is found when a journal is looked over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

Fold: TypeAlias = Callable[[str, Sequence[Any]], object]
"""Is given a stream's name and all its events; raises if they do not fit together."""


class Problem(NamedTuple):
    """Something that is not as it should be.

    Args:
        stream: whose; empty where none is concerned.
        text: what it is.
        remedy: what ``repair`` does about it.
    """

    stream: str
    text: str
    remedy: str = ""


class Finding(NamedTuple):
    """A problem, and what is to be done about it.

    Args:
        problem: what was found.
        mend: a statement that mends it, and its values.
        damages: whether its stream has to be set aside.
    """

    problem: Problem
    mend: tuple[str, tuple[Any, ...]] | None = None
    damages: bool = False


Decode: TypeAlias = Callable[[str, int, str], Any]
"""Makes an event of its type, schema and text."""

SET_ASIDE: Final = "it is set aside: no start takes it up, and nothing of it is deleted"
HEADER: Final = "its header is made again out of its events"
LABELS: Final = "it has no labels from now on"
SNAPSHOT: Final = "the snapshot is dropped: the events are all there"
KEY: Final = "the key is free again"
INDEXES: Final = "the indexes are made again"
LEFT: Final = "it is left as it is"


def unreadable(
    rows: Iterable[tuple[Any, ...]], decode: Decode, fold: Fold | None, broken: set[str]
) -> Iterator[Finding]:
    """What cannot be read of the events, or does not fit together.

    Args:
        rows: stream, version, type, schema and text of each event, in this order.
        decode: must take each of them.
        fold: must take the events of each stream.
        broken: the streams of which something is known to be missing, which are not folded; others are added.
    """
    for stream, events in groupby(rows, itemgetter(0)):
        read = []
        for _, number, type, form, data in events:
            try:
                read.append(decode(type, form, data))
            except Exception as error:
                broken.add(stream)
                yield Finding(Problem(stream, _cannot("event", number, type, error), SET_ASIDE), damages=True)
        if fold is not None and stream not in broken:
            try:
                fold(stream, read)
            except Exception as error:
                yield Finding(Problem(stream, misfit(error), SET_ASIDE), damages=True)


def undecodable(
    rows: Iterable[tuple[Any, ...]], decode: Decode, kind: str, drop: str | None = None
) -> Iterator[Finding]:
    """Which snapshots or posts cannot be read.

    Args:
        rows: stream, number, type, schema and text of each.
        decode: must take each of them.
        kind: what they are.
        drop: the statement that deletes the one of a stream; None to leave them as they are.
    """
    for stream, number, type, form, data in rows:
        try:
            decode(type, form, data)
        except Exception as error:
            text = _cannot(kind, number, type, error)
            if drop is not None:
                yield Finding(Problem(stream, text, SNAPSHOT), (drop, (stream,)))
            else:
                yield Finding(Problem(stream, text, LEFT))


def put_right(found: Iterable[Finding], execute: Callable[[str, tuple[Any, ...]], object]) -> dict[str, str]:
    """Mend what can be; returns the streams that have to be set aside, and why."""
    damaged: dict[str, str] = {}
    for finding in found:
        if finding.mend is not None:
            execute(*finding.mend)
        elif finding.damages:
            damaged.setdefault(finding.problem.stream, finding.problem.text)
    return damaged


def misfit(error: Exception) -> str:
    """The text for events that a `Fold` does not take."""
    return f"its events do not fit together: {type(error).__name__}: {error}"


def _cannot(kind: str, number: int, type: str, error: Exception) -> str:
    return f"its {kind} {number} ({type}) cannot be read: {error!r}"
