"""The embedder that asks an embedding model, through the pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .....providers.checks import COUNT, NAME, SOME_SECONDS, require
from .....providers.embeddings import EmbeddingRequest
from ....core.refs.ref import ActorRef
from ...context import model_at_work
from ...errors import DefinitionError
from ..errors import EmbeddingFailed

if TYPE_CHECKING:
    from .embedder import Matrix


class PoolEmbedder:
    """Vectors by a model, with the pool's limits, retries and accounts.

    Args:
        model: which, such as ``text-embedding-3-small``.
        pool: who is asked; None: the pool of the agency that a search or a tool works for. Outside of runs one is
            needed.
        dimensions: numbers in a vector, where the model lets one choose.
        timeout: seconds after which a fact is kept without its vector, and a search goes by words alone.

    Raises:
        DefinitionError: an argument is of the wrong type.
    """

    def __init__(
        self, model: str, *, pool: ActorRef[Any] | None = None, dimensions: int | None = None, timeout: float = 30.0
    ) -> None:
        require(
            DefinitionError,
            "a pool's embedder",
            model=(model, NAME),
            dimensions=(dimensions, COUNT.or_none()),
            timeout=(timeout, SOME_SECONDS),
        )
        if pool is not None and not isinstance(pool, ActorRef):
            raise DefinitionError(f"a pool's embedder: pool is an actor, not {type(pool).__name__}")
        self._model = model
        self._pool = pool
        self._dimensions = dimensions
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"PoolEmbedder({self._model!r})"

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return self._model if self._dimensions is None else f"{self._model}/{self._dimensions}"

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """See `Embedder.embed`."""
        import numpy as np

        pool = self._pool or model_at_work()
        if pool is None:
            raise EmbeddingFailed(f"the embedder {self.name} has no pool to ask outside of an agent's run: give it one")
        request = EmbeddingRequest(tuple(texts), self._model, self._dimensions)
        answered = await pool.ask(request, timeout=self._timeout)
        return np.array(answered.vectors, dtype=np.float32)
