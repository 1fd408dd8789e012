"""What is counted and timed of a class of actors while it is measured, and how many messages may be watched. Pure."""

from __future__ import annotations

from typing import Final

from ..base.metrics import Buckets

RATE: Final = 1_000.0
"""Messages watched a second: 0.5 % of the time, at 5 µs for each that comes alone."""

SAVED: Final = 100.0
"""Messages that may be watched at once, after a time in which fewer were."""

RESERVE: Final = SAVED / 2
"""What of these is kept for classes of which no actor has been watched for `SELDOM` seconds."""

SELDOM: Final = 1.0

SKIPPED: Final = 128
"""Messages after which a class asks again of which no actor was to be watched."""

NEVER: Final = 1 << 62


class Tally:
    """What is counted of a class of actors, or of one that is followed.

    Attributes:
        taken: messages taken up, each when the turn it was taken in ends.
        next: at how many of them an actor of the class is to be watched as its turn begins.
        turn: how many more messages the actor at work may take in its turn, when it had last returned a coroutine.
        at_work: handlers that wait for something.
        watched_at: when an actor of the class was last watched.
    """

    __slots__ = (
        "_timed",
        "_waited",
        "at_work",
        "dead_letters",
        "failed",
        "next",
        "restarts",
        "taken",
        "turn",
        "waits",
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
        self.watched_at = float("-inf")
        self.waits = Buckets()
        self.works = Buckets()
        self._waited = 0  # for how many of the messages taken the times in the mailbox stand
        self._timed = 0  # for how many the processing times do

    def measure(self) -> None:
        """Time what comes from now on; it does not stand for what was before."""
        self.next = 0
        self.turn = None
        self._waited = self._timed = self.taken

    def suspended(self) -> None:
        """A handler waits. It will be timed by itself."""
        self.at_work += 1
        self._timed += 1

    def resumed(self, seconds: float, failed: bool) -> None:
        """It has ended."""
        self.at_work -= 1
        self.failed += failed
        self.works.add(seconds)

    def note(self, waits: list[float], works: list[float]) -> None:
        """Take in the times of a watched turn."""
        if waits:
            self.waits.spread(waits, max(0, self.taken - self._waited))
            self._waited = self.taken
        if works:
            self.works.spread(works, max(0, self.taken - self._timed))
            self._timed = self.taken


class Ration:
    """How many messages may be watched: `RATE` a second."""

    __slots__ = ("_left", "_now")

    def __init__(self) -> None:
        self._left = SAVED
        self._now = 0.0

    def allows(self, now: float, *, rare: bool) -> bool:
        """Whether a mailbox may be watched; one of a rarely watched class also when others may not."""
        self._left = min(SAVED, self._left + (now - self._now) * RATE)
        self._now = now
        return self._left > (0 if rare else RESERVE)

    def use(self, messages: int) -> None:
        """Say how many have been watched."""
        self._left -= messages
