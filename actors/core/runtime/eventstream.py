"""Who is told of lifecycle facts: functions that subscribed, and a probe."""

from __future__ import annotations

from collections.abc import Callable

from ..base.errors import SpecError, brief
from ..base.events import Event
from ..base.log import logger_of

logger = logger_of()


class EventStream:
    """The lifecycle events of one system.

    Attributes:
        observed: whether anybody is told; looked at before an event is made.
    """

    __slots__ = ("_always", "_subscribers", "observed")

    def __init__(self) -> None:
        self.observed = False
        self._always = False
        self._subscribers: list[Callable[[Event], object]] = []

    def __bool__(self) -> bool:
        return bool(self._subscribers)

    def observe(self) -> None:
        """Have events made whether or not a function has subscribed: a probe looks."""
        self._always = self.observed = True

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Have events told to a function. Return a function that ends that; calling it again does nothing.

        Raises:
            SpecError: it cannot be called.
        """
        if not callable(subscriber):
            raise SpecError(f"{brief(subscriber)} cannot be called: events are told to a function")
        self._subscribers.append(subscriber)
        self.observed = True

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)
            self.observed = self._always or bool(self._subscribers)

        return end

    def publish(self, event: Event) -> None:
        """Tell an event to the subscribers."""
        for tell in list(self._subscribers):
            try:
                tell(event)
            except KeyboardInterrupt:
                raise
            except BaseException:  # a SystemExit of a subscriber is not the affair of the actor it is told of
                logger.exception("a subscriber of events raised")
