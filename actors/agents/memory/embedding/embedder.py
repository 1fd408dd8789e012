"""What an embedder is, and what is asked of its vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, cast

from ....core.base.foreign import is_ours
from ..errors import EmbeddingFailed, WrongFact
from ..facts.fact import is_storable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]

INSTALL = "a memory needs numpy: pip install 'callboard[memory]'"


class Embedder(Protocol):
    """Turns texts into vectors, so that what is near in meaning is near in direction.

    Attributes:
        name: of the embedder and its model. It is kept with the vectors: vectors of two names are never compared, so
            whatever makes other vectors has another name.
    """

    @property
    def name(self) -> str:
        """See the class."""
        ...

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """The vectors of some texts.

        Args:
            texts: at least one, none of them empty.

        Returns:
            an array of shape (texts, dimensions). Only the direction of a row counts.
        """
        ...


class Vectors(NamedTuple):
    """Vectors, and whose they are.

    Args:
        embedder: its name.
        rows: shape (texts, dimensions), float32, each row of length 1.
    """

    embedder: str
    rows: Matrix


def as_embedder(given: object) -> Embedder:
    """An embedder, as far as can be seen before it is asked.

    Raises:
        WrongFact: it is none.
    """
    if isinstance(given, type) or not callable(getattr(given, "embed", None)):
        kind = given.__name__ if isinstance(given, type) else type(given).__name__
        raise WrongFact(f"a memory's embedder is an object with a name and `async def embed(texts)`, not {kind}")
    return cast(Embedder, given)


async def embedded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The vectors of some texts, of length 1.

    Raises:
        EmbeddingFailed: the embedder raised, whatever it was, or what it returned are no such vectors; or its name is
            none.
    """
    import numpy as np

    task = asyncio.current_task()
    called = type(embedder).__name__
    try:
        name: object = embedder.name
        if not isinstance(name, str) or not name or not is_storable(name):
            raise EmbeddingFailed(f"the name of the embedder {called} is {name!r:.80}, which is no name")
        called = name
        rows = np.asarray(await embedder.embed(texts), dtype=np.float32)
    except EmbeddingFailed:
        raise
    except BaseException as error:
        if is_ours(error, task):
            raise
        raise EmbeddingFailed(f"the embedder {called} failed: {type(error).__name__}") from error
    if rows.ndim != 2 or rows.shape[0] != len(texts) or not rows.shape[1]:
        raise EmbeddingFailed(
            f"the embedder {name} returned an array of shape {rows.shape} for {len(texts)} texts:"
            f" expected ({len(texts)}, dimensions)"
        )
    if not np.isfinite(rows).all():
        raise EmbeddingFailed(f"the embedder {name} returned vectors with numbers that are none")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return Vectors(name, np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))
