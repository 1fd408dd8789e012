"""What the pool has bought, by what became of it. Pure: plain numbers, which outlive the pool's restarts.

Between what vendors have served and what callers have been answered lie calls whose answers nobody got. They cost money
all the same, so each is booked under the item that says why; what the vendor would have said of it, nobody knows, so
its tokens are an estimate.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from ....actors.core.base.errors import ActorDead, CoreError
from ...errors import ConnectionLost, MalformedResponse, ProviderError, ProviderTimeout, StreamCut
from ...messages import Usage

Item: TypeAlias = Literal[
    "answered", "unreported", "hedged", "cancelled", "timeout", "cut", "malformed", "lost", "interrupted"
]
"""What became of a call; see `PoolStats.bought`."""

ITEMS: tuple[Item, ...] = get_args(Item)


@dataclass(slots=True)
class Bought:
    """Calls that vendors have charged, or may have, with what became of them.

    Args:
        calls: how many.
        input_tokens, output_tokens: of them.
        cost: US dollars, of those whose price is known.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Ledger:
    """What was bought, by item."""

    def __init__(self) -> None:
        self._items: dict[Item, Bought] = {item: Bought() for item in ITEMS}

    def add(self, item: Item, usage: Usage, cost: float) -> None:
        """Enter a call."""
        entry = self._items[item]
        entry.calls += 1
        entry.input_tokens += usage.input_tokens
        entry.output_tokens += usage.output_tokens
        entry.cost += cost

    def entries(self) -> dict[str, Bought]:
        """A copy, without the items that have never come up."""
        return {item: replace(entry) for item, entry in self._items.items() if entry.calls}


def became_of(error: BaseException, *, begun: bool = False, overtaken: bool = False) -> Item | None:
    """The item of a call that was not answered; None if the vendor charges nothing for it: it was refused, or not sent.

    Args:
        error: what the call ended with.
        begun: whether a part of the answer had come.
        overtaken: whether another call for the same request was faster.
    """
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "hedged" if overtaken else "cancelled"
    if isinstance(error, ActorDead):
        return "interrupted"
    if isinstance(error, ProviderTimeout | TimeoutError):
        return None if getattr(error, "unsent", False) else "timeout"
    if isinstance(error, StreamCut):
        return "cut"
    if isinstance(error, MalformedResponse):
        return "malformed"
    if isinstance(error, ConnectionLost):
        return "cut" if begun or error.begun else None if error.unsent else "lost"
    if isinstance(error, ProviderError | CoreError):
        return "cut" if begun else None
    return "interrupted"  # a bug of the provider's: it may have asked before
