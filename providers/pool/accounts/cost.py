"""What a completion costs. Pure: prices come from genai-prices' shipped data, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import checks
from ...messages import Usage

_FRESH = 600.0
"""Seconds a looked-up price is kept: some vendors' prices depend on the time of day."""


_DOLLARS = checks.AMOUNT._replace(text="dollars per million tokens, at least 0")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. Cached tokens cost as input where their price is left out.

    Args:
        input, output: per million tokens.
        cache_read, cache_write: per million input tokens read from, written to a prompt cache.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def __post_init__(self) -> None:
        checks.hold(self, input=_DOLLARS, output=_DOLLARS)
        checks.hold(self, cache_read=_DOLLARS.or_none(), cache_write=_DOLLARS.or_none())

    def of(self, usage: Usage) -> float:
        """Return US dollars for ``usage``, whose input tokens include the cached ones."""
        read, write = usage.cache_read_tokens, usage.cache_write_tokens
        plain = max(0, usage.input_tokens - read - write)
        return (
            plain * self.input
            + read * (self.input if self.cache_read is None else self.cache_read)
            + write * (self.input if self.cache_write is None else self.cache_write)
            + usage.output_tokens * self.output
        ) / 1e6


FREE = Price(0.0, 0.0)

BATCH_SHARE = 0.5
"""What a request in a batch costs, of its price by itself: the vendors that take batches ask for half."""


def load_prices() -> None:
    """Import the price list (a quarter of a second), so that the first answer need not wait for it."""
    import genai_prices  # noqa: F401


class Prices:
    """Prices by vendor and model.

    Args:
        overrides: prices by model name, before anything the list says.
    """

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._flat: dict[tuple[str, str], tuple[float, Price | None]] = {}

    def cost(self, vendor: str, model: str, usage: Usage, now: float) -> float | None:
        """Return US dollars, or None where the price is not known.

        Args:
            vendor: as genai-prices names it (``openai``, ``anthropic``); empty to go by the model's name alone.
            model: the model that answered.
            usage: its tokens.
            now: seconds, any clock; decides when a price is looked up again.
        """
        override = self._overrides.get(model)
        if override is not None:
            return override.of(usage)
        known = self._flat.get((vendor, model))
        if known is None or now - known[0] > _FRESH:
            known = (now, _flat_price(vendor, model))
            self._flat[vendor, model] = known
        if known[1] is not None:
            return known[1].of(usage)
        return _listed(vendor, model, usage)

    def has(self, model: str) -> bool:
        """Return whether a price of one's own is given for a model."""
        return model in self._overrides

    def price(self, vendor: str, model: str) -> float:
        """Return US dollars for a million input and a million output tokens, infinite where unknown; for routing."""
        cost = self.cost(vendor, model, Usage(1_000_000, 1_000_000), 0.0) if model else None
        return float("inf") if cost is None else cost


def _listed(vendor: str, model: str, usage: Usage) -> float | None:
    import genai_prices

    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens or None,
                cache_write_tokens=usage.cache_write_tokens or None,
            ),
            model_ref=model,
            provider_id=vendor or None,
        )
    except LookupError:
        return None
    return float(price.total_price)


def _flat_price(vendor: str, model: str) -> Price | None:
    """Reduce a listed price to four rates: calc_price takes 60 µs, this 1. None if unknown or not flat (tiers)."""

    def rate(**tokens: int) -> float | None:
        return _listed(vendor, model, Usage(**tokens))

    small, large = 1_000, 1_000_000
    rates: dict[str, float] = {}
    kinds: dict[str, dict[str, Any]] = {
        "input": {"input_tokens": 1},
        "output": {"output_tokens": 1},
        "cache_read": {"input_tokens": 1, "cache_read_tokens": 1},
        "cache_write": {"input_tokens": 1, "cache_write_tokens": 1},
    }
    for name, kind in kinds.items():
        low = rate(**dict.fromkeys(kind, small))
        high = rate(**dict.fromkeys(kind, large))
        if low is None or high is None or abs(high - low * (large / small)) > 1e-9 * max(high, 1.0):
            return None
        rates[name] = high
    return Price(**rates)
