"""The shapes of higher things that the runtime must know: what expires, what drives, what a simulation is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol


class Expires(Protocol):
    """Something that ends at its deadline unless it has ended before."""

    _state: int
    """0 while it has not ended."""

    def expire(self) -> None:
        """The deadline has come."""

    def when_done(self, fn: Callable[[Any], object]) -> None:
        """Call a function when it has ended."""


class Drives(Protocol):
    """What runs a coroutine in a task, as far as the runtime knows it."""

    task: asyncio.Task[Any]


MESSAGE_FIELDS: Final = {
    "send": ("actor", "sender", "id", "message", "priority"),
    "ask": ("actor", "sender", "id", "message", "priority"),
    "recv": ("actor", "sender", "id", "message", "incarnation", "priority"),
    "done": ("actor", "id", "incarnation"),
    "ask_end": ("actor", "id", "how", "sender", "outcome"),
}
"""What a probe is told of messages, by kind: the names of the values, in order."""


class Probe(Protocol):
    """What a simulated loop, or a ledger of messages, is told of a system.

    Attributes:
        on_send: given a message and the receiver's path, returns the delays, in seconds, after which copies arrive.
        on_reply: given an ask and the path of who replies, returns the delay, in seconds, after which the reply
            arrives; None where it is lost.
        on_process: given a path, how many messages that actor has taken up, and ``before``, ``in`` or ``after``; what
            it raises, the handler raises.
        on_look: given the number of an ask that somebody asks whether it has ended, or gives up.
        on_full: given the path of an actor for whose mailbox somebody has a message while there is no room in it.
        on_view: given a path at which somebody looks whether there is an actor, or None where it is looked at what the
            system or a mailbox is like, or somebody is told of it from now on.
    """

    on_send: Callable[[Any, str], Sequence[float]] | None
    on_reply: Callable[[Any, str], float | None] | None
    on_process: Callable[[str, int, str], None] | None
    on_look: Callable[[int], None] | None
    on_full: Callable[[str], None] | None
    on_view: Callable[[str | None], None] | None

    def event(self, kind: str, **row: Any) -> None:
        """Something has happened that is no message's."""

    def unheard_failure(self, what: str, failure: Any) -> None:
        """An ask has failed, or a hook of an actor's end, and nobody waits for it; `Failure.seen` says if one looks."""

    def message(self, kind: str, *values: Any) -> None:
        """Something has happened to a message; the values are named by `MESSAGE_FIELDS`.

        They come without names because there are four of these for each ask.
        """
