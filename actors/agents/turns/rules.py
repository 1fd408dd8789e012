"""What one run may use, and how the calls of a completion are treated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ....providers.messages import ToolCall
from ..errors import DefinitionError

NOTHING: Final[frozenset[str]] = frozenset()
"""No names: each new empty one takes 216 bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; None means no limit.

    Args:
        steps: completions asked of the model by this agent.
        tokens: input and output tokens, including those of agents it delegated to.
        cost: US dollars, including those of agents it delegated to; completions of unknown price count as nothing.
        seconds: time, not counting time spent waiting for approvals.
        ask: when steps, tokens or cost are spent, ask a person for more instead of ending the run: it waits for an
            approval without a tool, and `Agency.approve` with ``limits`` raises what is spent.
        repeats: times that one call may have the very same result before the run ends in `StuckLoop`, at least 2. At
            half of them the model is told.
    """

    steps: int | None = 25
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = 600.0
    ask: bool = False
    repeats: int | None = 10


def check_limits(limits: object) -> None:
    """Raises `DefinitionError` where they are no `Limits`, or one of them is no number or negative."""
    if not isinstance(limits, Limits):
        raise DefinitionError(f"limits are a Limits(steps=…, tokens=…, cost=…, seconds=…), not {limits!r:.80}")
    for name in ("steps", "tokens", "cost", "seconds"):
        value = getattr(limits, name)
        if value is None:
            continue
        whole = name in ("steps", "tokens")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not value >= 0:
            kind = "a whole number" if whole else "a number"
            raise DefinitionError(f"Limits.{name} is {kind} not below 0, or None, not {value!r:.80}")
    repeats: object = limits.repeats
    if repeats is not None and (isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 2):
        raise DefinitionError(f"Limits.repeats is a whole number, at least 2, or None, not {repeats!r:.80}")
    if not isinstance(limits.ask, bool):
        raise DefinitionError(f"Limits.ask is True or False, not {limits.ask!r:.80}")


def _nothing_needs_approval(call: ToolCall) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rules:
    """How the calls of a completion are treated.

    Args:
        limits: what the run may use.
        delegates: names of calls that hand a task to another agent and get its answer back.
        transfers: names of calls that give the conversation to another agent.
        external: names of tools that the caller runs.
        needs_approval: whether a call waits for a person.
        repairs: how often the model may correct a final text that does not fit.
    """

    limits: Limits = Limits()
    delegates: frozenset[str] = NOTHING
    transfers: frozenset[str] = NOTHING
    external: frozenset[str] = NOTHING
    needs_approval: Callable[[ToolCall], bool] = _nothing_needs_approval
    repairs: int = 1
