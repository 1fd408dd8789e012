"""Where a memory's vectors come from: of new texts at once, and later those that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from ...core.base.log import logger_of
from .embedding.embedder import Embedder, Vectors, embedded
from .errors import EmbeddingFailed
from .facts.fact import Owner
from .stores.store import Change, Embed, MemoryStore, Place, Reindex

MADE_UP: Final = 256
"""Missing vectors that are made at a time."""

TRIES: Final = 3
"""Times that an embedder may fail on one text alone; then it is not asked for that again in this process."""

logger = logger_of()


class VectorMaker:
    """Has vectors made, as well as the embedder can just now.

    Args:
        embedder: what makes them; it may be put in another one's place.
        store: where some may be missing.
        read, write: have the store's threads do something.
    """

    def __init__(
        self,
        embedder: Embedder,
        store: MemoryStore,
        read: Callable[[Callable[[], Any]], Awaitable[Any]],
        write: Callable[[Change], Awaitable[Any]],
    ) -> None:
        self.embedder = embedder
        self._store = store
        self._read = read
        self._write = write
        self._at_once = MADE_UP
        self._refused: Counter[Place] = Counter()  # how often the embedder has failed on a text alone
        self._ill = False

    async def of(self, texts: list[str]) -> Vectors | None:
        """Their vectors; None where they cannot be had now."""
        try:
            parts = [
                await embedded(self.embedder, texts[start : start + MADE_UP]) for start in range(0, len(texts), MADE_UP)
            ]
        except EmbeddingFailed as error:
            self._note_failed(error)
            return None
        self._ill = False
        if len(parts) == 1:
            return parts[0]
        import numpy as np

        return Vectors(parts[0].embedder, np.concatenate([part.rows for part in parts]))

    async def make_some(self, owner: Owner | None) -> bool:
        """Make some of those that are missing.

        Args:
            owner: of which facts; None for everybody's.

        Returns:
            whether there are more than before.
        """
        missing = await self._missing(owner)
        if not missing:
            return False
        try:
            await self._make(missing)
        except EmbeddingFailed as error:
            self._note_failed(error)
            return False
        return True

    async def make_all(self) -> int:
        """Make all that are missing or another embedder's.

        Returns:
            how many were made.

        Raises:
            EmbeddingFailed: the embedder cannot make them now, or not those of some texts; what was made is kept.
        """
        name, rows = await embedded(self.embedder, ["dimensions"])
        await self._write(Reindex(name, rows.shape[1]))
        self._at_once = MADE_UP
        self._refused.clear()
        made = row = 0
        failed: EmbeddingFailed | None = None
        while missing := await self._missing(None):
            try:
                await self._make(missing)
            except EmbeddingFailed as error:
                if len(missing) == 1:
                    row, failed = row + 1, error
                    self._refused[missing[0][0]] = TRIES
                if row == TRIES:  # it is not the texts' fault
                    raise
            else:
                made += len(missing)
                row = 0
        if failed is not None:
            raise EmbeddingFailed(f"no vectors can be made for {len(self._refused)} of the facts: {failed}") from failed
        return made

    async def _missing(self, owner: Owner | None) -> list[tuple[Place, str]]:
        """Some facts without a vector whose vectors can be made, as far as is known."""
        found = await self._read(partial(self._store.unembedded, owner, self._at_once + len(self._refused)))
        return [one for one in found if self._refused[one[0]] < TRIES][: self._at_once]

    async def _make(self, missing: Sequence[tuple[Place, str]]) -> None:
        """Make vectors that are missing. Where the embedder fails on several texts, the next time it is given fewer: so
        one that it does not take keeps the vectors of no others away."""
        try:
            vectors = await embedded(self.embedder, [text for _, text in missing])
        except EmbeddingFailed:
            if len(missing) == 1:
                self._refused[missing[0][0]] += 1
            self._at_once = max(1, len(missing) // 2)
            raise
        self._at_once = min(MADE_UP, 2 * self._at_once)
        await self._write(Embed(tuple(place for place, _ in missing), vectors))

    def _note_failed(self, error: EmbeddingFailed) -> None:
        if not self._ill:
            self._ill = True
            logger.warning("%s; facts are found by their words alone until it works again", error, exc_info=error)
