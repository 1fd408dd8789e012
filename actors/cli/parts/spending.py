"""What a run has used so far, by agent."""

from __future__ import annotations

from dataclasses import dataclass

from ....providers.messages import Usage
from ...agents.answer import NO_USAGE
from ...agents.events import CompletionFinished, ContextReduced, RunEvent, ToolSpent
from ...agents.rendering.flow import dollars


@dataclass(slots=True)
class Spent:
    """Of one agent, or of several.

    Args:
        usage: its tokens.
        cost: US dollars, as far as prices are known.
        completions: how many.
        unpriced: how many of them have a price that is not known.
    """

    usage: Usage = NO_USAGE
    cost: float = 0.0
    completions: int = 0
    unpriced: int = 0

    @property
    def known_cost(self) -> float | None:
        """US dollars; None where that is not known of a part of it."""
        return None if self.unpriced else self.cost

    @property
    def price(self) -> str:
        """What it cost, in words."""
        if not self.unpriced:
            return dollars(self.cost)
        if not self.cost:
            return dollars(None)
        return f"{dollars(self.cost)} and {self.unpriced} of unknown price"


class Spending:
    """Counts by agent what run events tell of."""

    def __init__(self) -> None:
        self.by_agent: dict[str, Spent] = {}

    def count(self, event: RunEvent) -> None:
        """Take an event; most say nothing of it."""
        if not isinstance(event, CompletionFinished | ContextReduced | ToolSpent):
            return
        spent = self.by_agent.setdefault(event.agent, Spent())
        if isinstance(event, ToolSpent):
            spent.cost += event.amount
            return
        spent.usage += event.usage
        spent.cost += event.cost or 0.0
        if isinstance(event, CompletionFinished):
            spent.completions += 1
            spent.unpriced += event.cost is None

    @property
    def total(self) -> Spent:
        """Of all agents."""
        whole = Spent()
        for spent in self.by_agent.values():
            whole.usage += spent.usage
            whole.cost += spent.cost
            whole.completions += spent.completions
            whole.unpriced += spent.unpriced
        return whole
