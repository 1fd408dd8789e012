"""Conversations that end with their run, and in which another process has decided: they are kept a little longer.

Whoever left a decision in the journal looks there what has become of it. Where the call and the answer after it take
no time, the conversation would be gone before it has looked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .clock import Clock

LINGER: Final = 10.0
"""Seconds for which they are kept: longer than anybody looks, see `coordination.elsewhere`."""


class Lingering:
    """Conversations that are deleted later than others.

    Args:
        clock: its alarms are used.
        time: the time of the event loop, seconds.
        delete: deletes conversations.
    """

    __slots__ = ("_clock", "_decided", "_delete", "_leaving", "_time")

    def __init__(self, clock: Clock, time: Callable[[], float], delete: Callable[..., object]) -> None:
        self._clock = clock
        self._time = time
        self._delete = delete
        self._decided: set[str] = set()
        self._leaving: set[str] = set()

    def decided(self, stream: str) -> None:
        """Another process has decided in a conversation."""
        self._decided.add(stream)

    def leave(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        """Conversations are not needed any more; returns those that may go at once."""
        later = self._decided.intersection(streams)
        if not later:
            return streams
        self._decided -= later
        self._leaving |= later
        self._clock.call_at(self._time() + LINGER, self._end, later)
        return tuple(stream for stream in streams if stream not in later)

    def close(self) -> None:
        """Have all go that are not needed any more."""
        self._end(set(self._leaving))

    def _end(self, streams: set[str]) -> None:
        self._leaving -= streams
        if streams:
            self._delete(*streams)
