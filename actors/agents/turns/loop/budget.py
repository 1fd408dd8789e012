"""What a run may still use, and what it leaves to those it hands work to. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, TypeVar

from .....providers.messages import Usage
from ...errors import CostLimit, RunError, StepLimit, TokenLimit
from ..rules import Limits

N = TypeVar("N", int, float)
Spent: TypeAlias = Literal["steps", "tokens", "cost"]


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
        own.ask,
        own.repeats,
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


def reached(limits: Limits, steps: int, usage: Usage, cost: float) -> tuple[Spent, ...]:
    """The limits that are spent, in the order in which they are named."""
    spent: list[Spent] = []
    if limits.steps is not None and steps >= limits.steps:
        spent.append("steps")
    if limits.tokens is not None and usage.total_tokens >= limits.tokens:
        spent.append("tokens")
    if limits.cost is not None and cost >= limits.cost:
        spent.append("cost")
    return tuple(spent)


def exceeded(limits: Limits, steps: int, usage: Usage, cost: float) -> RunError | None:
    """The error of the first limit that is spent."""
    if limits.steps is not None and steps >= limits.steps:
        return StepLimit(f"no answer within {limits.steps} steps; raise limits.steps or give a smaller task")
    if limits.tokens is not None and usage.total_tokens >= limits.tokens:
        return TokenLimit(f"{usage.total_tokens} tokens used, {limits.tokens} allowed; raise limits.tokens")
    if limits.cost is not None and cost >= limits.cost:
        return CostLimit(f"{cost:.4f} dollars spent, {limits.cost:.4f} allowed; raise limits.cost")
    return None


def raised(limits: Limits, more: Limits, spent: tuple[Spent, ...]) -> Limits:
    """The limits with those that are spent raised; none is ever lowered.

    Args:
        limits: so far.
        more: what a person gives; of it only what is spent counts. None in it leaves a limit as it is.
        spent: what is.
    """
    return replace(
        limits,
        steps=_larger(limits.steps, more.steps) if "steps" in spent else limits.steps,
        tokens=_larger(limits.tokens, more.tokens) if "tokens" in spent else limits.tokens,
        cost=_larger(limits.cost, more.cost) if "cost" in spent else limits.cost,
    )


def _larger(one: N | None, other: N | None) -> N | None:
    return one if one is None or other is None else max(one, other)


def _smaller(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else min(one, other)
