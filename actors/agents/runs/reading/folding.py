"""A conversation as its journal has it, without owning it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ....journal.errors import EventNotReadable
from ....journal.store import Header, Journal, Record, at_hand
from ...turns.state import ConversationState, fold


class Read(NamedTuple):
    """What was read of a stream: its records, and the state that they come to."""

    state: ConversationState
    records: Sequence[Record]


def folded(stream: str, events: Iterable[Any]) -> ConversationState:
    """The state that a stream's events come to.

    Raises:
        EventNotReadable: they do not fit together.
    """
    agent, _, conversation = stream.partition("/")
    try:
        return fold(agent, conversation, events)
    except Exception as error:
        raise unfit(stream, error) from error


def unfit(stream: str, error: Exception) -> EventNotReadable:
    """The named error of a stream whose events do not fit together."""
    return EventNotReadable(f"the events of {stream} do not fit together: {type(error).__name__}: {error}", stream)


APPENDED: Final = "events/"
"""How the names of streams begin that programs of one's own append to by way of a server."""


def is_conversation(header: Header) -> bool:
    """Whether a stream is an agent's: those of a pool, of actors of one's own, or of programs may lie in the same
    journal."""
    return "/" in header.name and (not header.name.startswith(APPENDED) or "agent" in header.labels)


async def header_of(journal: Journal, stream: str) -> Header | None:
    """The header of a stream, if there is one."""
    found = await at_hand(journal.headers(prefix=stream, limit=1))  # the shortest name comes first
    return found[0] if found and found[0].name == stream else None


async def read(journal: Journal, stream: str) -> Read:
    """A stream, from its first event on.

    Raises:
        JournalError: it cannot be read, or its events do not fit together.
    """
    records = await at_hand(journal.read(stream))
    return Read(folded(stream, [record.event for record in records]), records)
