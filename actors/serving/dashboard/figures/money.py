"""Money: what is spent a minute, what of it by whom, and what is left of budgets."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .....providers.pool.accounts.stats import BudgetStats
from .reading import MOST_ROWS, Reading, finite

MOST_POINTS: Final = 600
"""Points of the curve."""

BIGGEST: Final = 50
"""Agents, and models, that are named by what they have spent."""


class BudgetKey(NamedTuple):
    """Which budget it is.

    Args:
        pool: the path of the pool's actor; empty for a limit on requests, which is no pool's.
        account: whose, as in `BudgetStats`.
        period: as there.
        measure: as there.
    """

    pool: str
    account: str
    period: str | None
    measure: str

    @property
    def id(self) -> str:
        """The same as one word that a path may have."""
        return urlsafe_b64encode(json.dumps(self, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def read(cls, id: str) -> BudgetKey:
        """The budget of an id.

        Raises:
            ValueError: it is none.
        """
        try:
            found = json.loads(urlsafe_b64decode(id + "=" * (-len(id) % 4)))
        except (ValueError, RecursionError):
            raise ValueError(f"{id!r:.80} is no budget's id") from None
        if not isinstance(found, list) or len(found) != len(cls._fields):
            raise ValueError(f"{id!r:.80} is no budget's id")
        key = cls(*found)
        texts = (key.pool, key.account, key.measure, *(() if key.period is None else (key.period,)))
        if not all(isinstance(each, str) for each in texts) or key.id != id:
            raise ValueError(f"{id!r:.80} is no budget's id")
        return key


class Money:
    """The curve, of which only what is new is sent, and what stands besides."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, tuple[float, ...]]] = deque(maxlen=MOST_POINTS)
        self._shown: dict[str, Any] = {}
        self._changed = 0

    def take(self, reading: Reading, version: int) -> None:
        """See `View`."""
        last = self._points[-1][1][0] if self._points else 0.0
        self._points.extend((version, point) for point in reading.points if point[0] > last)
        shown = _besides(reading)
        if shown != self._shown:
            self._shown, self._changed = shown, version

    def whole(self) -> dict[str, Any]:
        """See `View`."""
        return {**self._shown, "points": [point for _, point in self._points]}

    def since(self, version: int) -> dict[str, Any] | None:
        """See `View`."""
        points = [point for at, point in self._points if at > version]
        return {**self._shown, "points": points} if points or self._changed > version else None


def _besides(reading: Reading) -> dict[str, Any]:
    budgets = [budget(pool.name, one) for pool in reading.pools for one in pool.stats.budgets]
    return {
        "now": reading.rates.cost,
        "budgets": budgets[:MOST_ROWS],
        "all": len(budgets),
        "by": _spenders(reading),
    }


def budget(pool: str, stats: BudgetStats) -> dict[str, Any]:
    """A budget as it stands.

    Args:
        pool: the path of the pool's actor; empty for a limit on requests, which is no pool's.
        stats: what is left of it.
    """
    return {
        "id": BudgetKey(pool, stats.account, stats.period, stats.measure).id,
        "name": stats.account,
        "pool": pool,
        "measure": stats.measure,
        "spent": stats.spent,
        "reserved": stats.reserved,
        "limit": finite(stats.limit),
        "window": stats.period,
    }


def _spenders(reading: Reading) -> list[dict[str, Any]]:
    spent: dict[str, float] = {}
    for pool in reading.pools:
        for account, amount in pool.stats.spent.items():
            spent[account] = spent.get(account, 0.0) + amount
    return [*_biggest("agent", spent, {}), *_biggest("model", spent, _tokens_of_models(reading))]


def _biggest(kind: str, spent: Mapping[str, float], tokens: Mapping[str, int]) -> list[dict[str, Any]]:
    start = f"{kind}:"
    found = [(amount, name.removeprefix(start)) for name, amount in spent.items() if name.startswith(start)]
    counted = f"tokens:{start}"
    return [
        {kind: name, "cost": amount, "tokens": tokens.get(name, spent.get(f"{counted}{name}"))}
        for amount, name in sorted(found, key=lambda each: (-each[0], each[1]))[:BIGGEST]
    ]


def _tokens_of_models(reading: Reading) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for pool in reading.pools:
        for models in pool.stats.models.values():
            for model, counts in models.items():
                tokens[model] = tokens.get(model, 0) + counts.input_tokens + counts.output_tokens
    return tokens
