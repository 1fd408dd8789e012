"""What the server and its exchanges share while it runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime


@dataclass
class ServerStats:
    """What the server has seen.

    Args:
        requests: requests that came.
        statuses: answers by HTTP status; resets and hangs are not among them.
        in_flight: requests that have no answer yet.
        most_in_flight: the largest number of them.
        disconnects: clients that left before their answer was complete.
        tokens: tokens of the answers.
    """

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    disconnects: int = 0
    tokens: int = 0


class State:
    """Made by the server, handed to each exchange.

    Args:
        chunk_delay, chunk_size: see `SimulatedProvider`; they may change at any time.
    """

    def __init__(self, chunk_delay: float, chunk_size: int) -> None:
        self.chunk_delay = chunk_delay
        self.chunk_size = chunk_size
        self.stats = ServerStats()
        self._date = ("", 0.0)

    def date(self) -> str:
        """The ``date`` header, made anew once a second."""
        now = asyncio.get_running_loop().time()
        if not self._date[0] or now - self._date[1] >= 1.0:
            self._date = (format_datetime(datetime.now(UTC), usegmt=True), now)
        return self._date[0]
