"""Where messages end that no handler will process: counted, logged, and told to who subscribed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from ..base.errors import ActorDead, SpecError, brief
from ..base.events import DeadLetter
from ..base.log import logger_of

logger = logger_of("callboard.deadletters")

LOGGED: Final = 10
"""Dead letters logged one by one; after that only each tenfold count, so that a flood does not drown the log."""


class Tells(Protocol):
    """An actor's ref, as far as it is needed here."""

    def tell(self, message: Any) -> object:
        """Send a message."""


class DeadLetters:
    """The dead letters of one system."""

    def __init__(self) -> None:
        self.count = 0
        self._subscribers: list[Callable[[DeadLetter], object]] = []
        self._next = LOGGED

    def subscribe(self, subscriber: Callable[[DeadLetter], object] | Tells) -> Callable[[], None]:
        """Have each dead letter told to a function, or to an actor as long as it lives.

        A dead letter that was itself to tell of one is only counted: a subscriber's full mailbox has dropped it.

        Returns:
            a function that ends the subscription; calling it again does nothing.

        Raises:
            SpecError: it is neither.
        """
        tell = subscriber if callable(subscriber) else getattr(subscriber, "tell", None)
        if tell is None:
            raise SpecError(f"{brief(subscriber)} cannot be told: dead letters go to a function, or to an actor's ref")
        self._subscribers.append(tell)

        def end() -> None:
            if tell in self._subscribers:
                self._subscribers.remove(tell)

        return end

    def publish(self, letter: DeadLetter) -> None:
        """Take a dead letter in."""
        self.count += 1
        if not logger.isEnabledFor(logging.INFO):
            pass
        elif self.count <= LOGGED:
            logger.info("dead letter for %s (%s): %s", letter.recipient, letter.reason, brief(letter.message))
        elif self.count == self._next * 10:
            self._next = self.count
            logger.info("%d dead letters so far", self.count)
        if letter.message.__class__ is DeadLetter:
            return  # a subscriber's mailbox was full, or it has ended: to tell the others would come back from them
        for tell in list(self._subscribers):
            try:
                tell(letter)
            except ActorDead as dead:
                logger.info("a subscriber of dead letters has ended and is told no more: %s", dead)
                if tell in self._subscribers:
                    self._subscribers.remove(tell)
            except KeyboardInterrupt:
                raise
            except BaseException:
                logger.exception("a subscriber of dead letters raised")
