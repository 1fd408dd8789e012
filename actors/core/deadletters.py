"""Where messages end that no handler will process: counted, logged, and told to who subscribed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .events import DeadLetter

if TYPE_CHECKING:
    from .ref import ActorRef

logger = logging.getLogger("callboard.deadletters")

LOGGED = 10
"""Dead letters logged one by one; after that only each tenfold count, so that a flood does not drown the log."""


class DeadLetters:
    """The dead letters of one system."""

    def __init__(self) -> None:
        self.count = 0
        self._subscribers: list[Callable[[DeadLetter], object]] = []
        self._next = LOGGED

    def subscribe(self, subscriber: Callable[[DeadLetter], object] | ActorRef[Any]) -> Callable[[], None]:
        """Have each dead letter told to a function, or to an actor. Return a function that ends the subscription."""
        tell = subscriber if callable(subscriber) else subscriber.tell
        self._subscribers.append(tell)
        return lambda: self._subscribers.remove(tell)

    def publish(self, letter: DeadLetter) -> None:
        """Take a dead letter in."""
        self.count += 1
        if self.count <= LOGGED:
            logger.info("dead letter for %s (%s): %.200r", letter.recipient, letter.reason, letter.message)
        elif self.count == self._next * 10:
            self._next = self.count
            logger.info("%d dead letters so far", self.count)
        for tell in list(self._subscribers):
            try:
                tell(letter)
            except Exception:
                logger.exception("a subscriber of dead letters raised")
