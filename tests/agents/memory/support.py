"""What the tests of memories share: the stores they are held against, and embedders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from callboard import Embedder, Memory, Owner

ANN = Owner("ann", "acme")
BOB = Owner("bob", "acme")
NOW = 1_800_000_000.0
"""A moment, in seconds since 1970, that is far from every wall clock's."""

Open = Callable[..., Memory]
"""Opens the memory of a test: each time another one on the same store, if that outlives it."""


def texts(found: Sequence[Any]) -> list[str]:
    """The texts of facts, or of what a search has found."""
    return [one.text if hasattr(one, "text") else one.fact.text for one in found]


class Words(Embedder):
    """A dimension for each of some words, and one for none of them; it can be told to fail."""

    def __init__(self, *words: str, name: str = "words") -> None:
        self._words = words
        self._name = name
        self.fails = False
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    async def embed(self, texts: Sequence[str]) -> Any:
        if self.fails:
            raise ConnectionError("nobody answers")
        self.asked += texts
        rows = [[float(word in text) for word in self._words] for text in texts]
        return np.array([[*row, float(not any(row))] for row in rows])
