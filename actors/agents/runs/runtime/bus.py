"""Hands the events of runs to those who listen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from .....providers.checks import FUNCTION
from ....core.base.log import logger_of
from ...events import RunEvent
from ...rendering.flow import logged
from ...wishes import define

logger = logger_of()

Subscriber: TypeAlias = Callable[[RunEvent], object]


class Bus:
    """Hands events to subscribers, at once and in order. A subscriber that raises is logged and stays subscribed."""

    __slots__ = ("_all", "_logs", "_rooted", "_told", "active", "everything")

    def __init__(self) -> None:
        self._all: tuple[Subscriber, ...] = ()
        self._rooted: dict[str, tuple[Subscriber, ...]] = {}
        self._logs = False
        self._told = 0
        self.active = False
        """Whether anybody is told of anything."""
        self.everything = False
        """Whether somebody is handed events."""

    def subscribe(self, subscriber: Subscriber, root: str | None = None) -> Callable[[], None]:
        """Add a subscriber, to one root run or to all; return what removes it.

        Raises:
            DefinitionError: it is no function.
        """
        define("a subscriber", function=(subscriber, FUNCTION))
        self.add(subscriber, root)
        subscribed = True

        def unsubscribe() -> None:
            nonlocal subscribed
            if subscribed:
                subscribed = False
                self.remove(subscriber, root)

        return unsubscribe

    def add(self, subscriber: Subscriber, root: str | None) -> None:
        """Add a subscriber, which is not looked at."""
        if root is None:
            self._all = (*self._all, subscriber)
        else:
            self._rooted[root] = (*self._rooted.get(root, ()), subscriber)
        self.active = self.everything = True

    def remove(self, subscriber: Subscriber, root: str | None) -> None:
        """Remove a subscriber, once."""
        left = list(self._all if root is None else self._rooted.pop(root, ()))
        if subscriber in left:
            left.remove(subscriber)
        if root is None:
            self._all = tuple(left)
        elif left:
            self._rooted[root] = tuple(left)
        self._look()

    def look_at_log(self) -> None:
        """See whether the log wants to be told of events, too, which it is at DEBUG."""
        wanted = logger.isEnabledFor(logging.DEBUG)
        if wanted is not self._logs:
            self._logs = wanted
            self._look()

    def tell(self) -> Callable[[], None]:
        """Have told what happens: to spans and figures, which need no event for that; return what ends it, once."""
        self._told += 1
        self._look()

        def end() -> None:
            self._told -= 1
            self._look()

        return end

    def _look(self) -> None:
        self.everything = bool(self._all or self._rooted or self._logs)
        self.active = self.everything or self._told > 0

    def emit(self, event: RunEvent) -> None:
        """Hand an event to everybody it concerns."""
        if self._logs:
            ids = {"run": event.run, "root": event.root, "agent": event.agent, "conversation": event.conversation}
            logger.debug("%s", logged(event), extra={"event": type(event).__name__, **ids})
        self._tell((*self._all, *self._rooted.get(event.root, ())), event)

    def listens(self, root: str) -> bool:
        """Whether somebody listens to one root run."""
        return root in self._rooted

    def pass_on(self, event: RunEvent) -> None:
        """Hand an event of a run that is made in another process to those who listen to that run: who listens to all
        is told over there."""
        self._tell(self._rooted.get(event.root, ()), event)

    def _tell(self, subscribers: tuple[Subscriber, ...], event: RunEvent) -> None:
        for subscriber in subscribers:
            try:
                subscriber(event)
            except KeyboardInterrupt:
                raise
            except BaseException:  # whatever it means by it, the run is not its to end
                logger.exception("a subscriber to run events raised")
