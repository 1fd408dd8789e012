"""A journal in memory: survives every actor's crash, not the process's end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MemoryJournal:
    """Keeps streams in lists. Appended events are as safe as they get at once."""

    __slots__ = ("_streams",)

    session = 0

    def __init__(self) -> None:
        self._streams: dict[str, list[Any]] = {}

    def append(self, stream: str, events: Sequence[Any]) -> None:
        """Add events to the end of a stream."""
        kept = self._streams.get(stream)
        if kept is None:
            self._streams[stream] = list(events)
        else:
            kept.extend(events)

    def load(self, stream: str) -> Sequence[Any]:
        """The stream's events; empty if there is no such stream."""
        return self._streams.get(stream, ())

    def compact(self, stream: str, events: Sequence[Any]) -> None:
        """Keep these events in place of all that are there."""
        if stream in self._streams:
            self._streams[stream] = list(events)

    def drop(self, stream: str) -> None:
        """Forget a stream."""
        self._streams.pop(stream, None)

    def streams(self, prefix: str = "") -> list[str]:
        """The names of the streams that begin with ``prefix``."""
        return [name for name in self._streams if name.startswith(prefix)]

    def close(self) -> None:
        """Nothing to let go of."""
