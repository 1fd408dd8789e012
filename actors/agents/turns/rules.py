"""What one run may use, and how the calls of a completion are treated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ....providers.messages import ToolCall


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use; None means no limit.

    Args:
        steps: completions asked of the model by this agent.
        tokens: input and output tokens, including those of agents it delegated to.
        cost: US dollars, including those of agents it delegated to; completions of unknown price count as nothing.
        seconds: time, not counting time spent waiting for approvals.
    """

    steps: int | None = 25
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = 600.0


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
        check: returns what is wrong with a final text, or None; for structured answers.
        repairs: how often the model may correct a final text that ``check`` refused.
    """

    limits: Limits = Limits()
    delegates: frozenset[str] = frozenset()
    transfers: frozenset[str] = frozenset()
    external: frozenset[str] = frozenset()
    needs_approval: Callable[[ToolCall], bool] = _nothing_needs_approval
    check: Callable[[str], str | None] | None = None
    repairs: int = 1
