"""Hedged requests: a call that takes unusually long is sent a second time elsewhere, and the first answer wins. Pure.

Dean and Barroso, "The Tail at Scale" (2013). A hedge may be paid twice, so it is opt-in and has a budget of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ... import checks
from ..accounts.stats import Latencies
from .retry import RetryBudget

_KNOWN = 16
"""Calls an endpoint must have answered before its latencies say what is usual."""


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a call is sent a second time.

    Args:
        quantile: share of calls that are faster than the hedging delay, 0 to 1.
        minimum: least delay in seconds.
        maximum: most delay in seconds, and the delay while the usual latency is not known yet; with None
            nothing is hedged until it is.
        budget: hedges per request that are allowed on average.
    """

    quantile: float = 0.95
    minimum: float = 0.01
    maximum: float | None = None
    budget: float = 0.1

    def __post_init__(self) -> None:
        above_none = checks.Wish("a share above 0, at most 1", lambda share: checks.SHARE.fits(share) and share > 0)
        checks.hold(self, quantile=above_none, minimum=checks.SECONDS, maximum=checks.SECONDS.or_none())
        checks.hold(self, budget=checks.AMOUNT)

    def delay(self, latencies: Iterable[Latencies]) -> float | None:
        """Return seconds to wait before hedging, or None not to.

        Args:
            latencies: of the endpoints that could answer: the fastest one says what is usual.
        """
        usual = [seen.quantile(self.quantile) for seen in latencies if seen.count >= _KNOWN]
        if not usual:
            return self.maximum
        delay = max(self.minimum, min(usual))
        return delay if self.maximum is None else min(delay, self.maximum)

    def allowance(self) -> RetryBudget:
        """Return the token bucket hedges are paid from."""
        return RetryBudget(ratio=self.budget, reserve=32.0, per_second=1.0)
