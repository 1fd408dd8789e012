"""What a run may still use, and what it leaves to those it hands work to. Pure."""

from __future__ import annotations

from typing import TypeVar

from ....providers.messages import Usage
from .rules import Limits

N = TypeVar("N", int, float)


def narrowed(own: Limits, given: Limits | None) -> Limits:
    """The smaller of each limit.

    Args:
        own: an agent's.
        given: what the one who asks can still spend, or None.
    """
    if given is None:
        return own
    return Limits(
        _smaller(own.steps, given.steps),
        _smaller(own.tokens, given.tokens),
        _smaller(own.cost, given.cost),
        _smaller(own.seconds, given.seconds),
    )


def left(limits: Limits, usage: Usage, cost: float, used: float) -> Limits | None:
    """What one that is handed work may use of a run's limits; None where there are none.

    Steps are each agent's own. Time passes for the whole chain at once, so it ends for all with the first.

    Args:
        limits: the run's.
        usage, cost: what the run, and those it handed work to, have used.
        used: seconds that the run has used.
    """
    if limits.tokens is None and limits.cost is None and limits.seconds is None:
        return None
    return Limits(
        None,
        None if limits.tokens is None else max(0, limits.tokens - usage.total_tokens),
        None if limits.cost is None else max(0.0, limits.cost - cost),
        None if limits.seconds is None else max(0.0, limits.seconds - used),
    )


def _smaller(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else min(one, other)
