"""Waiting out the faults of a database: a lock, a full disk, a server that restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Final, Protocol, TypeVar

from ...core.base.log import logger_of
from ..errors import JournalClosed
from .running import Waits, until

T = TypeVar("T")

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0
GIVES_UP: Final = 5.0
"""Seconds for which closing goes on trying."""

logger = logger_of()


class Faulty(Protocol):
    """What says of its faults whether they pass."""

    def is_transient(self, error: Exception) -> bool:
        """Whether the same may succeed later."""
        ...

    def reconnect(self) -> None:
        """Called after a transient fault."""
        ...


class Closing:
    """Whether the journal is being closed, and how long that may take.

    Args:
        what: is closed, for those who come later: a journal, or what else has a store on threads.

    Attributes:
        begun: whether it is.
        why: what those are told who come later.
    """

    __slots__ = ("_give_up_at", "_what", "begun", "why")

    def __init__(self, what: str) -> None:
        self._what = what
        self.begun = False
        self.why = f"the {what} is closed"
        self._give_up_at = 0.0

    def begin(self) -> None:
        """From here on nothing is waited for longer than `GIVES_UP`. Who waits has to be woken."""
        self._give_up_at = time.monotonic() + GIVES_UP
        self.begun = True

    def forked(self) -> None:
        """In a forked process nothing can be done with what is the parent's, nor waited for."""
        self.why = f"the {self._what} belongs to the process that this one was forked from: open one here"
        self.begun = True

    def check(self) -> None:
        """Raise `JournalClosed` if it has begun."""
        if self.begun:
            raise JournalClosed(self.why)

    def pause(self, seconds: float, patient: bool) -> Generator[float, None, bool]:
        """Wait before another attempt. Returns False if there is none.

        Args:
            seconds: how long, if nobody closes the journal meanwhile.
            patient: whether to go on for a while although it is being closed.
        """
        yield from until(time.monotonic() + seconds, lambda: self.begun)
        if not self.begun:
            return True
        if not patient or time.monotonic() + FIRST_PAUSE >= self._give_up_at:
            return False
        yield from until(time.monotonic() + FIRST_PAUSE, lambda: False)
        return True


class Healing:
    """Tries again until it works, and says so in the log once at the beginning and once at the end.

    Args:
        backend: tells which faults pass.
        closing: ends it.
        what: what cannot be done meanwhile, for the log.
        patient: whether to go on for a while when the journal is being closed.
    """

    def __init__(self, backend: Faulty, closing: Closing, what: str, patient: bool) -> None:
        self._backend = backend
        self._closing = closing
        self._what = what
        self._patient = patient

    def run(self, attempt: Callable[[], T]) -> Waits[T]:
        """What the attempt returns.

        Raises:
            JournalClosed: it was closed before an attempt went well.
            Exception: another attempt would not help.
        """
        pause = FIRST_PAUSE
        ill = False
        while True:
            try:
                result = attempt()
            except Exception as error:
                if not self._backend.is_transient(error):
                    raise
                if not ill:
                    ill = True
                    logger.error("%s: %s; trying again until it can", self._what, error)
                self._backend.reconnect()
                if not (yield from self._closing.pause(pause, self._patient)):
                    raise JournalClosed(f"{self._what}, and it was closed meanwhile: {error}") from error
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                if ill:
                    logger.warning("%s: that is over", self._what)
                return result
