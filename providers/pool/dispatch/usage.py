"""What a callback is told of each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Literal, TypeAlias

from ...messages import Usage
from ..accounts.ledger import Item
from .job import Requester

logger = logging.getLogger("callboard.pool")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call to a provider that has ended. A request that is retried or hedged makes several, a batch one for each of
    its requests, an answer from a cache none.

    Args:
        requesters: on whose behalf; several where equal requests shared it.
        asked: the model that the request named.
        served: the model that answered, as the vendor names it, or else the one that the endpoint was asked for.
        endpoint: where.
        outcome: what became of it, as in `PoolStats.bought`; ``refused`` if the vendor charges nothing: it refused, or
            nothing was sent.
        usage, cost: tokens and US dollars, as booked: of an answer as the vendor said, otherwise estimates. The cost is
            None where nobody knows the price.
        latency: seconds from sending to the end.
        attempts: calls that were made for the request so far.
        notes: those of the completion; empty if there is none.
        error: the class of the error that it ended in; empty for an answer.
    """

    requesters: tuple[Requester, ...]
    asked: str
    served: str
    endpoint: str
    outcome: Item | Literal["refused"]
    usage: Usage
    cost: float | None
    latency: float
    attempts: int
    notes: tuple[str, ...] = ()
    error: str = ""


OnUsage: TypeAlias = Callable[[CallRecord], object]
"""Called on the event loop as each call ends: it should be quick. What it returns is not looked at."""


def can_be_told(value: object) -> bool:
    """Whether a value can be an `OnUsage`: something to call, and not async, for nobody waits for what it returns."""
    return callable(value) and not any(map(iscoroutinefunction, (value, type(value).__call__)))


def tell(on_usage: OnUsage, record: CallRecord) -> None:
    """Call it. What it raises is logged, and harms nothing."""
    try:
        on_usage(record)
    except (Exception, asyncio.CancelledError, SystemExit):  # nothing is awaited: a cancellation is of its own making
        logger.exception("on_usage raised on a call to %s", record.endpoint)
