"""Carrying changes out, as far as it is the same in every store."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..embedding.embedder import Vectors
from ..errors import EmbedderMismatch
from .outcomes import mismatch
from .store import Add, Change, Correct, Embed, End, Erase, Reindex


class ChangingStore(ABC):
    """What writes in a `MemoryStore`: a method for each kind of change, which returns what `MemoryStore.write` says."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    @abstractmethod
    def __str__(self) -> str:
        """Where the facts are, without secrets."""

    def _apply(self, change: Change) -> object:
        """Carry a change out."""
        match change:
            case Add():
                return self._add(change)
            case Correct():
                return self._correct(change)
            case End():
                return self._end(change)
            case Erase():
                return self._erase(change)
            case Embed():
                return self._embed(change)
            case Reindex():
                return self._reindex(change)

    @abstractmethod
    def _add(self, item: Add) -> object: ...

    @abstractmethod
    def _correct(self, item: Correct) -> object: ...

    @abstractmethod
    def _end(self, item: End) -> object: ...

    @abstractmethod
    def _erase(self, item: Erase) -> object: ...

    @abstractmethod
    def _embed(self, item: Embed) -> object: ...

    def _reindex(self, item: Reindex) -> object:
        kept = self._kept_embedder()
        if not kept[0] or mismatch(kept, (item.embedder, item.dimensions)):
            self._forget_vectors()
            self._keep_embedder(item.embedder, 0)
        return None

    def _wrong_embedder(self, vectors: Vectors | None) -> EmbedderMismatch | None:
        """What is wrong with somebody's vectors; the first ones say whose they are from then on."""
        if vectors is None:
            return None
        given = (vectors.embedder, vectors.rows.shape[1])
        kept = self._kept_embedder()
        if wrong := mismatch(kept, given):
            return wrong
        if not kept[1]:
            self._keep_embedder(*given)
        return None

    @abstractmethod
    def _kept_embedder(self) -> tuple[str, int]:
        """Whose vectors are there, and their dimensions, 0 where the first are still to be made; empty where there are
        none yet."""

    @abstractmethod
    def _keep_embedder(self, name: str, dimensions: int) -> None:
        """Say whose vectors are there from now on."""

    @abstractmethod
    def _forget_vectors(self) -> None:
        """Have no fact have a vector."""
