"""Journals by their address, for commands that look at what programs keep: a file, or ``postgresql://…``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

from ...agents.lifecycle import open_journal
from ...agents.turns.encoding.codec import RunCodec
from ...agents.turns.records import EVENTS
from ...agents.turns.state import fold
from ...journal.problems import Fold, Problem
from ...journal.store import Journal

_AGENTS: Final = frozenset(made.__name__ for made in EVENTS)

Look: TypeAlias = Callable[[str, RunCodec, Fold], list[Problem]]


class Store(NamedTuple):
    """What can be done with a kind of store, from its address.

    Args:
        check, repair: as the journal's own, with what a conversation is made of.
        vacuum: gives free room back.
        require: raises `JournalUnavailable` where there is no journal.
    """

    check: Look
    repair: Look
    vacuum: Callable[[str], None]
    require: Callable[[str], None]


class Foreign(NamedTuple):
    """An event that is none of the agents': actors of one's own keep theirs in the same journal."""

    type: str
    data: Any


class KeptCodec(RunCodec):
    """Reads what agents keep. Of what is none of theirs it looks whether it is JSON."""

    def decode(self, type: str, schema: int, data: str) -> Any:
        """The event, or a `Foreign` one."""
        if schema == 0 or type in _AGENTS:
            return super().decode(type, schema, data)
        return Foreign(type, json.loads(data))


def fits(stream: str, events: Sequence[Any]) -> None:
    """Fold a conversation; whatever does not go is raised."""
    foreign = [event for event in events if type(event) is Foreign]
    if foreign and len(foreign) == len(events):
        return  # a stream of somebody else's
    if foreign:
        raise ValueError(f"{foreign[0].type} is no event of a conversation")
    agent, _, conversation = stream.partition("/")
    fold(agent, conversation, events)


def is_database(address: str) -> bool:
    """Whether it is a server's, and not a file's."""
    return address.partition("://")[0] in ("postgres", "postgresql")


def store(address: str) -> Store:
    """The store at an address."""
    if is_database(address):
        from ...journal import postgres

        return Store(postgres.check, postgres.repair, postgres.vacuum, postgres.require)
    from ...journal import sqlite

    return Store(sqlite.check, sqlite.repair, sqlite.vacuum, sqlite.require)


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Journal]:
    """A journal that is there already, as a worker that owns nothing.

    Raises:
        JournalUnavailable: there is none, or it cannot be opened.
    """
    store(address).require(address)
    journal = open_journal(address)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)
