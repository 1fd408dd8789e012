"""Conversations that somebody goes through, event by event: kept at some of their events, so that only what is between
is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ....providers.messages import Message, Part, Text
from ...journal.store import Journal, Record, at_hand
from ..errors import DefinitionError
from ..runs.reading.folding import header_of
from ..turns.records import Accepted, Snapshot
from ..turns.steps import Completed, HandoffReturned
from .history import StreamHistory
from .reading import Lineage, read_lineage, read_past, taken_in

APART: Final = 1_000
"""Events between two at which a conversation is kept, at least; reading so many takes about 30 ms."""

MOST_POINTS: Final = 32
"""Events at which one is kept; of more, every second one is dropped. One of 50,000 events takes 0.4 MB for each."""

MOST_EVENTS: Final = 200_000
MOST_TEXT: Final = 32_000_000
"""Events, and characters of what was said, of all that are kept together."""


class Pasts:
    """The conversations that are gone through now. What is kept has its bounds (`MOST_EVENTS`, `MOST_TEXT`): of more,
    those are dropped that nobody has asked for for longest."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def clear(self) -> None:
        """Keep nothing of what was read so far."""
        self._kept.clear()

    async def read(self, journal: Journal, agent: str, conversation: str, version: int | None = None) -> Lineage:
        """A conversation as it was after so many of its events, without its records. One that was transferred, or whose
        agent has handed work to another one just now, is read from its beginning.

        Args:
            journal: where it is kept.
            agent, conversation: which.
            version: after how many events; None for all there are.

        Raises:
            UnknownConversation: there is none.
            DefinitionError: it has not so many events, or 0 is asked for.
            EventNotReadable: it is damaged.
        """
        name = f"{agent}/{conversation}"
        header = await header_of(journal, name)
        others = await at_hand(journal.headers(labels={"parent": name}, limit=1))
        if header is None or not header.version or others:
            self._kept.pop(name, None)
            if version is None:
                return await read_lineage(journal, agent, conversation)
            return await read_past(journal, agent, conversation, version)
        kept = self._kept.pop(name, None)
        if kept is None or kept.created_at != header.created_at:  # another one may have had its name
            kept = _Kept(header.created_at)
        self._kept[name] = kept
        history = kept.nearest(version) or StreamHistory(agent, conversation, ())
        while version is None or history.version < version:
            most = APART if version is None else min(APART, version - history.version)
            records = await at_hand(journal.read(name, after=history.version, limit=most))
            await taken_in(history, records)
            kept.add(history, records)
            if len(records) < most:
                break
        self._drop()
        if version is not None and not 0 < version == history.version:
            raise DefinitionError(f"conversation {conversation!r:.100} of {agent:.80} has no version {version}")
        return Lineage(header, [history], [()])

    def _drop(self) -> None:
        while self._kept and (
            sum(one.events for one in self._kept.values()) > MOST_EVENTS
            or sum(one.text for one in self._kept.values()) > MOST_TEXT
        ):
            del self._kept[next(iter(self._kept))]


class _Kept:
    """A conversation at some of its events, in their order."""

    def __init__(self, created_at: float) -> None:
        self.created_at = created_at
        self.events = 0
        self.text = 0
        self._apart = APART
        self._points: list[StreamHistory] = []

    def nearest(self, version: int | None) -> StreamHistory | None:
        """The last one that is not behind a version, to be gone on with."""
        for point in reversed(self._points):
            if version is None or point.version <= version:
                return point.copy()
        return None

    def add(self, history: StreamHistory, records: Iterable[Record]) -> None:
        """Keep how it is now, if that is far enough behind what is kept.

        Args:
            history: how it is.
            records: by which it has come to that.
        """
        if history.version <= self.events:
            return
        self.text += sum(_size(record.event) for record in records if record.version > self.events)
        self.events = history.version
        if history.version >= self._apart + (self._points[-1].version if self._points else 0):
            self._points.append(history.copy())
        if len(self._points) > MOST_POINTS:
            self._apart *= 2
            del self._points[::2]


def _size(event: Any) -> int:
    """Characters of what was said in an event."""
    return _length(getattr(event, "content", "")) + sum(map(_of_message, _messages(event)))


def _messages(event: Any) -> Iterator[Message]:
    kind = type(event)
    if kind is Accepted:
        yield from event.run.messages
    elif kind is Completed:
        yield event.completion.message
    elif kind is Snapshot:
        yield from event.history
    elif kind is HandoffReturned:
        for step in event.within:
            yield step.message
            yield from (call.result for call in step.calls if call.result is not None)


def _of_message(message: Message) -> int:
    called = sum(len(call.arguments) for call in message.tool_calls)
    return _length(message.content) + len(message.reasoning or "") + called


def _length(content: str | tuple[Part, ...]) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(len(part.text if isinstance(part, Text) else part.url) for part in content)
