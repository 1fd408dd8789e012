"""Keeping of a conversation what matters most, wherever it stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, log

from .....providers.checks import AMOUNT, MAYBE_FUNCTION
from .....providers.messages import Message
from ...errors import DefinitionError
from ...wishes import define
from .strategy import ContextStrategy, check_amount
from .view import ContextView, Unit

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class KeepPriority(ContextStrategy):
    """What matters least goes first, until half of what is allowed is left. The order of the rest stays.

    A unit (an assistant's message with the results of its calls, or any other message) is worth the sum of what its
    age, its words and its labels are worth. Of several that are worth the same, the oldest goes first.

    Args:
        pin: says of a message whether it stays whatever happens.
        labels: what a message is worth besides, by its role, its speaker's name or its tool's name; the highest counts.
        recency: what the newest message is worth for its age; the oldest is worth nothing for it.
        relevance: what a message is worth that has every word of what the run was asked; rare words count for more.
        tokens: as of `Window`.

    Raises:
        DefinitionError: something is of the wrong type, or negative.
    """

    pin: Callable[[Message], bool] | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    recency: float = 1.0
    relevance: float = 1.0
    tokens: int | None = None

    def __post_init__(self) -> None:
        define(
            "KeepPriority",
            pin=(self.pin, MAYBE_FUNCTION),
            recency=(self.recency, AMOUNT),
            relevance=(self.relevance, AMOUNT),
        )
        labels: object = self.labels
        if not isinstance(labels, Mapping) or not all(
            isinstance(name, str) and isinstance(worth, int | float) and not isinstance(worth, bool) and isfinite(worth)
            for name, worth in labels.items()
        ):
            raise DefinitionError(f"KeepPriority.labels are numbers by role or name, not {labels!r:.80}")
        check_amount("KeepPriority", "tokens", self.tokens)

    def apply(self, view: ContextView) -> ContextView:
        excess = view.excess(self.tokens, lambda unit: unit.pinned or self._pins(view, unit))
        if excess <= 0:
            return view
        units = [unit for unit in view.units() if not (unit.pinned or self._pins(view, unit))]
        going: list[Unit] = []
        for _, unit in sorted(zip(self._worth(view, units), units, strict=True)):
            if excess <= 0:
                break
            going.append(unit)
            excess -= unit.tokens
        return view.without(going)

    def _pins(self, view: ContextView, unit: Unit) -> bool:
        return self.pin is not None and any(self.pin(view.history[at]) for at in range(unit.start, unit.end))

    def _worth(self, view: ContextView, units: Sequence[Unit]) -> list[float]:
        """What each unit is worth."""
        history = view.history
        asks = view.asks()
        found = relevance(
            history[asks].text if asks >= 0 else "",
            ["\n".join(history[at].text for at in range(unit.start, unit.end)) for unit in units],
        )
        newest = max(1, len(history) - 1)
        return [
            self.recency * unit.start / newest + self.relevance * share + self._labelled(history, unit)
            for unit, share in zip(units, found, strict=True)
        ]

    def _labelled(self, history: Sequence[Message], unit: Unit) -> float:
        if not self.labels:
            return 0.0
        labels: set[str] = set()
        for at in range(unit.start, unit.end):
            labels.update((history[at].role, history[at].name or ""))
        return max((self.labels[label] for label in labels if label in self.labels), default=0.0)


def relevance(question: str, texts: Sequence[str]) -> list[float]:
    """For each text how much of a question's words it has, from 0 to 1; each counts by its inverse document frequency
    (Spärck Jones 1972)."""
    asked = set(_words(question))
    words = [asked.intersection(_words(text)) for text in texts]
    frequency = Counter(word for each in words for word in each)
    worth = {word: log(1 + len(texts) / frequency[word]) for word in asked if frequency[word]}
    whole = sum(worth.values())
    return [sum(worth[word] for word in sorted(each)) / whole if whole else 0.0 for each in words]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
