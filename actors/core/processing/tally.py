"""What is counted and timed of a class of actors while it is measured, and how many messages may be watched. Pure."""

from __future__ import annotations

from typing import Final

from ..base.metrics import Buckets
from ..mail.watched import Sample

RATE: Final = 1_000.0
"""Messages watched a second: 0.5 % of the time, at 5 µs for each that comes alone."""

SAVED: Final = 100.0
"""Messages that may be watched at once, after a time in which fewer were."""

BEHIND: Final = 100_000.0
"""Messages a second in turns that leave others behind: 7 % of the time, at 0.7 µs for each that comes with many."""

SELDOM: Final = 1.0
"""Seconds after which an actor of a class is watched again, however busy the others are."""

SKIPPED: Final = 128
"""Messages after which, at the latest, a class asks again of which no actor was to be watched."""

NEVER: Final = 1 << 62


class Tally:
    """What is counted of a class of actors, or of one that is followed.

    Attributes:
        taken: messages taken up, each when the turn it was taken in ends.
        next: at how many of them an actor of the class is to be watched as its turn begins.
        turn: how many more messages the actor at work may take in its turn, when it had last returned a coroutine.
        at_work: handlers that wait for something.
        watched: how many of them were taken, and
        watched_at: when that was, as a watch was last begun or prolonged.
    """

    __slots__ = (
        "at_work",
        "dead_letters",
        "failed",
        "next",
        "restarts",
        "taken",
        "turn",
        "waits",
        "watched",
        "watched_at",
        "works",
    )

    def __init__(self, next: int = NEVER) -> None:
        self.taken = 0
        self.next = next
        self.turn: int | None = None
        self.at_work = 0
        self.failed = 0
        self.dead_letters = 0
        self.restarts = 0
        self.watched = 0
        self.watched_at = float("-inf")
        self.waits = Buckets()
        self.works = Buckets()

    def skip(self) -> None:
        """No actor of the class is to be watched now: ask again later, the longer the last watch is ago the later."""
        self.next = self.taken + min(SKIPPED, 32 * (self.taken - self.watched) + 1)

    def suspended(self) -> None:
        """A handler waits. It will be timed by itself."""
        self.at_work += 1

    def resumed(self, seconds: float, failed: bool) -> None:
        """It has ended."""
        self.at_work -= 1
        self.failed += failed
        self.works.add(seconds)

    def note(self, waits: list[Sample], works: list[Sample]) -> None:
        """Take in the times of a watched turn."""
        for seconds, messages in waits:
            self.waits.add(seconds, messages)
        for seconds, messages in works:
            self.works.add(seconds, messages)


class Ration:
    """How many messages may be watched.

    Args:
        rate: so many a second.
        saved: so many at once, after a time in which fewer were.
    """

    __slots__ = ("_left", "_now", "_rate", "_saved")

    def __init__(self, rate: float, saved: float) -> None:
        self._rate = rate
        self._left = self._saved = saved
        self._now = 0.0

    def allows(self, now: float, *, rare: bool = False) -> bool:
        """Whether a mailbox may be watched; one of a rarely watched class may always."""
        self._left = min(self._saved, self._left + (now - self._now) * self._rate)
        self._now = now
        return rare or self._left > 0

    def use(self, messages: int) -> None:
        """Say how many have been watched."""
        self._left -= messages
