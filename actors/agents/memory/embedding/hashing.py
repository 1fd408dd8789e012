"""The embedder that needs no model: hashes of words and of the letters in them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .....providers.checks import COUNT, require
from .....providers.offline.hashing import hashed
from ...errors import DefinitionError

if TYPE_CHECKING:
    from .embedder import Matrix

FEW: Final = 8
"""Texts for which the event loop is not left: each takes some 0.2 ms."""


class HashingEmbedder:
    """Vectors without a model and without a network.

    It knows words and how they are spelled, not what they mean: "car" and "automobile" are as far apart as any two
    words. Beside full-text search it brings forms of one word and misspelled ones together, and no more. The same text
    has the same vector in every process and on every machine.

    Args:
        dimensions: numbers in a vector.

    Raises:
        DefinitionError: that is no whole number above 0.
    """

    def __init__(self, dimensions: int = 256) -> None:
        require(DefinitionError, "a hashing embedder", dimensions=(dimensions, COUNT))
        self._dimensions = dimensions

    def __repr__(self) -> str:
        return f"HashingEmbedder({self._dimensions})"

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return f"hashing/{self._dimensions}"

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """See `Embedder.embed`."""
        return self._made(texts) if len(texts) <= FEW else await asyncio.to_thread(self._made, texts)

    def _made(self, texts: Sequence[str]) -> Matrix:
        import numpy as np

        return np.array([hashed(text, self._dimensions) for text in texts], dtype=np.float32)
