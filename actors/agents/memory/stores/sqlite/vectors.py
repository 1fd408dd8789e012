"""The vectors of an owner's facts in memory, and which of them are nearest to another one. No database here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...embedding.embedder import Matrix

NEVER: Final = float("inf")


class Row(NamedTuple):
    """A fact that has a vector.

    Args:
        place: its place.
        agent, kind: its own.
        valid_from, valid_to: seconds since 1970; `NEVER` where there is no end.
        vector: float32.
    """

    place: int
    agent: str
    kind: str
    valid_from: float
    valid_to: float
    vector: bytes


class OwnedVectors:
    """The vectors of one owner's facts, as of a version of what the owner has.

    Args:
        dimensions: numbers in a vector.
        erasures: how often places or vectors of the owner have gone.

    Attributes:
        version: as of which they are.
        erasures: as above.
    """

    def __init__(self, dimensions: int, erasures: int) -> None:
        import numpy as np

        self.version = 0
        self.erasures = erasures
        self._index: dict[int, int] = {}
        self._codes: dict[str, int] = {}
        self._size = 0
        self._matrix: Matrix = np.empty((0, dimensions), dtype=np.float32)
        self._places: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._times: NDArray[np.float64] = np.empty((2, 0))
        self._kinds: NDArray[np.int32] = np.empty((2, 0), dtype=np.int32)

    @property
    def nbytes(self) -> int:
        """What they take, about."""
        return self._matrix.nbytes + 140 * len(self._places)

    def update(self, rows: Iterable[Row], version: int) -> None:
        """Take in what has changed up to a version."""
        import numpy as np

        for row in rows:
            at = self._index.get(row.place)
            if at is None:
                at = self._index[row.place] = self._size
                self._grow()
                self._places[at] = row.place
                self._kinds[:, at] = self._code(row.agent), self._code(row.kind)
            self._matrix[at] = np.frombuffer(row.vector, dtype=np.float32)
            self._times[:, at] = row.valid_from, row.valid_to
        self.version = version

    def nearest(
        self, vector: Matrix, at: float | None, agents: tuple[str, ...], kind: str | None, depth: int
    ) -> tuple[Any, Any]:
        """The nearest ones of those that are true at a moment.

        Args:
            vector: of length 1.
            at: seconds since 1970; None: whenever.
            agents: whose; none: all.
            kind: which; None: all.
            depth: how many.

        Returns:
            two arrays: places, and the cosines of the angles; in no order.
        """
        import numpy as np

        n = self._size
        likeness = self._matrix[:n] @ vector
        fits = likeness > 0  # what is at a right angle or beyond has nothing to do with it
        if at is not None:
            fits &= (self._times[0, :n] <= at) & (self._times[1, :n] > at)
        if agents:
            fits &= np.isin(self._kinds[0, :n], [self._codes.get(agent, -1) for agent in agents])
        if kind is not None:
            fits &= self._kinds[1, :n] == self._codes.get(kind, -1)
        chosen = np.flatnonzero(fits)
        if len(chosen) > depth:
            chosen = chosen[np.argpartition(likeness[chosen], -depth)[-depth:]]
        return self._places[chosen], likeness[chosen]

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _grow(self) -> None:
        import numpy as np

        n = self._size
        self._size += 1
        if n < len(self._places):
            return
        more = max(16, n // 2)
        self._matrix = np.concatenate([self._matrix, np.empty((more, self._matrix.shape[1]), dtype=np.float32)])
        self._places = np.concatenate([self._places, np.empty(more, dtype=np.int64)])
        self._times = np.concatenate([self._times, np.empty((2, more))], axis=1)
        self._kinds = np.concatenate([self._kinds, np.empty((2, more), dtype=np.int32)], axis=1)


class VectorCache:
    """The vectors of those owners that were asked for last.

    Args:
        nbytes: how much they may take together; the one asked for last stays in any case.
    """

    def __init__(self, nbytes: int) -> None:
        self._most = nbytes
        self._taken = 0
        self._kept: OrderedDict[int, OwnedVectors] = OrderedDict()

    def get(self, number: int) -> OwnedVectors | None:
        """An owner's."""
        found = self._kept.get(number)
        if found is not None:
            self._kept.move_to_end(number)
        return found

    def drop(self, number: int) -> None:
        """Let go of an owner's."""
        gone = self._kept.pop(number, None)
        if gone is not None:
            self._taken -= gone.nbytes

    def put(self, number: int, vectors: OwnedVectors, before: int = 0) -> None:
        """Keep an owner's.

        Args:
            number: the owner's.
            vectors: what is kept.
            before: what they took when they were last put; 0 where they are new.
        """
        self._kept[number] = vectors
        self._taken += vectors.nbytes - before
        while self._taken > self._most and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._taken -= gone.nbytes

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()
        self._taken = 0
