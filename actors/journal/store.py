"""What a journal is: named streams of events, in the order appended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..core.mail.future import Future


class Journal(Protocol):
    """Streams of events. Called on the event loop's thread; none of it may block for long.

    Attributes:
        session: how often this journal has been opened, this time included; 0 if it holds nothing from before. It
            keeps ids made in one process apart from those of an earlier one.
    """

    session: int

    def append(self, stream: str, events: Sequence[Any]) -> Future[None] | None:
        """Add events to the end of a stream, all or none.

        Returns:
            None if they are as safe as they get already, otherwise a future that is done once they are.
        """
        ...

    def load(self, stream: str) -> Sequence[Any]:
        """The stream's events in the order appended, those not yet safe included; empty if there is no such stream."""
        ...

    def compact(self, stream: str, events: Sequence[Any]) -> None:
        """Offer events that stand for all that are there. A hint: a journal may keep what it has and ignore it."""
        ...

    def drop(self, stream: str) -> None:
        """Forget a stream."""
        ...

    def streams(self, prefix: str = "") -> list[str]:
        """The names of the streams that begin with ``prefix``, in the order they were begun."""
        ...

    def close(self) -> None:
        """Write what is left and let go of every resource."""
        ...
