"""The stores that the conformance tests run on, and what they keep in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from callboard.actors import Future
from callboard.actors.journal import Journal, JsonCodec, MemoryJournal
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.journal.threaded import ThreadedJournal
from callboard.actors.testing.processes.postgres import Database, ModelBackend

T = TypeVar("T")

GUARD = 30.0
"""Seconds after which a test that hangs is ended. Nothing is timed by it."""


class Said(NamedTuple):
    """An event of a class."""

    text: str
    number: int = 0


class Unreadable(NamedTuple):
    """An event that can be written, and not read."""

    text: str = ""


class Codec(JsonCodec):
    """Of the events above, and of plain values."""

    def __init__(self) -> None:
        super().__init__(Said, Unreadable)

    def decode(self, type: str, schema: int, data: str) -> Any:
        if type == "Unreadable":
            raise ValueError("nobody can read this")
        return super().decode(type, schema, data)


@dataclass
class Store:
    """A place where journals keep.

    Args:
        make: a journal of another worker's, on the same place.
        encodes: whether events become text.
    """

    make: Callable[[], Journal]
    encodes: bool = True
    made: list[Journal] = field(default_factory=list)

    def journal(self) -> Journal:
        """A journal of another worker's."""
        journal = self.make()
        self.made.append(journal)
        return journal

    def close(self) -> None:
        for journal in self.made:
            journal.close()


def memory(folder: Path) -> Store:
    return Store(MemoryJournal().as_worker, encodes=False)


def sqlite(folder: Path) -> Store:
    path = folder / "journal.db"
    return Store(lambda: SqliteJournal(path, Codec()))


def model(folder: Path) -> Store:
    """The simulator's model of PostgreSQL, on threads like any other."""
    database = Database()
    return Store(lambda: ThreadedJournal(ModelBackend(database), Codec(), 10.0, "model"))


STORES: dict[str, Callable[[Path], Store]] = {"memory": memory, "sqlite": sqlite, "model": model}
"""By name; each is given an empty folder."""


async def settled(value: Future[T] | T) -> T:
    """What a call gave, or its future."""
    if isinstance(value, Future):
        async with asyncio.timeout(GUARD):
            return await value
    return value
