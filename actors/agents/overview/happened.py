"""What has happened while somebody looked on: crashes, dead letters, and what pools had done when."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from ...core.base.events import Event

MOST_CRASHES: Final = 1_000
"""Actors whose last crash is known."""

LAST: Final = 20
"""Dead letters, and crashes, that are told one by one."""

LONGEST: Final = 500
"""Characters of what is told of one."""

_MINUTE: Final = 60.0
_APART: Final = 0.5
"""Seconds between two times of which is known what had been done, at least."""

_LEAST: Final = 5.0
"""Seconds over which is said what is done a minute, at least: from what was done in one nothing follows."""


class Fact(NamedTuple):
    """A crash or a dead letter.

    Args:
        actor: the path of whose it is.
        detail: why it crashed, or what became of which kind of message.
        at: when, in seconds since 1970.
    """

    actor: str
    detail: str
    at: float


class Rates(NamedTuple):
    """What all pools have done: a minute, or in all.

    Args:
        cost: US dollars.
        tokens: of answers, in and out.
        requests: that were answered.
    """

    cost: float
    tokens: float
    requests: float


class Happened:
    """What has happened; however much that is, it takes no more room than the latest of it. It may be taken down by one
    `Watch` after another.

    Attributes:
        crashes: the last one of each actor, by its path.
        last_crashes: the latest, also several of one actor.
        dead_letters: how many there were.
        last_dead_letters: the latest of them.
    """

    def __init__(self) -> None:
        self.crashes: dict[str, Fact] = {}
        self.last_crashes: deque[Fact] = deque(maxlen=LAST)
        self.dead_letters = 0
        self.last_dead_letters: deque[Fact] = deque(maxlen=LAST)
        self._done: deque[tuple[float, Rates]] = deque()
        """When how much had been done in all."""

    def a_minute(self, done: Rates, now: float) -> Rates:
        """What is done a minute, over the last one somebody looked on.

        Args:
            done: in all until now.
            now: seconds, of any clock that only goes on.
        """
        if not self._done or now - self._done[-1][0] >= _APART:
            self._done.append((now, done))
        while len(self._done) > 2 and self._done[1][0] <= now - _MINUTE:
            self._done.popleft()
        since, before = self._done[0]
        share = _MINUTE / max(now - since, _LEAST)
        return Rates(*(max(0.0, after - first) * share for after, first in zip(done, before, strict=True)))

    def note(self, event: Event, at: float) -> None:
        """Take in an event of the system.

        Args:
            event: any.
            at: the time, in seconds since 1970.
        """
        if event.kind == "crashed":
            fact = Fact(event.actor, event.detail[:LONGEST], at)
            self.crashes.pop(event.actor, None)  # the latest stand last
            self.crashes[event.actor] = fact
            self.last_crashes.append(fact)
            if len(self.crashes) > MOST_CRASHES:
                del self.crashes[next(iter(self.crashes))]
        elif event.kind == "dead_letter":
            self.dead_letters += 1
            self.last_dead_letters.append(Fact(event.actor, event.detail[:LONGEST], at))
