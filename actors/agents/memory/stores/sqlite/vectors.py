"""The vectors of an owner's facts in memory, and which of them are nearest to another one. No database here."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ...facts.fusion import DEVIATIONS, ENOUGH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...embedding.embedder import Matrix

NEVER: Final = float("inf")


Row: TypeAlias = tuple[int, str, str, float, float, bytes]
"""A fact that has a vector: place, agent, kind, valid from, valid to (`NEVER` where there is no end), the vector."""


def is_whole(row: Row, dimensions: int) -> bool:
    """Whether a row is none that is damaged in the file: that one is found by its words alone."""
    return len(row[5]) == 4 * dimensions and isinstance(row[3], float) and isinstance(row[4], float)


class Moments(NamedTuple):
    """What some numbers are like.

    Args:
        n: how many.
        total: their sum.
        squares: the sum of their squares.
    """

    n: int
    total: float
    squares: float

    def bound(self) -> float:
        """What a number has to be above to stand out, see `facts.fusion`; minus infinity where nobody can say."""
        if self.n < ENOUGH:
            return -math.inf
        mean = self.total / self.n
        return mean + DEVIATIONS * math.sqrt(max(self.squares / self.n - mean * mean, 0.0))


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
        self._matrix: Matrix = np.empty((0, dimensions), dtype=np.float32)
        self._places: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._times: NDArray[np.float64] = np.empty((2, 0))
        self._kinds: NDArray[np.int32] = np.empty((2, 0), dtype=np.int32)

    @property
    def nbytes(self) -> int:
        """What they take, about."""
        return self._matrix.nbytes + 140 * len(self._places)

    def update(self, rows: Sequence[Row], version: int) -> None:
        """Take in what has changed up to a version."""
        import numpy as np

        self.version = version
        if not rows:
            return
        places, agents, kinds, since, until, vectors = zip(*rows, strict=True)
        at = [self._index.setdefault(place, len(self._index)) for place in places]
        self._make_room(len(self._index))
        # At once, and not row by row: 2,000 rows take 2 ms in place of 13.
        self._places[at] = places
        self._kinds[0, at] = [self._code(agent) for agent in agents]
        self._kinds[1, at] = [self._code(kind) for kind in kinds]
        self._times[0, at] = since
        self._times[1, at] = until
        self._matrix[at] = np.frombuffer(b"".join(vectors), dtype=np.float32).reshape(len(rows), -1)

    def nearest(
        self, vector: Matrix, at: float | None, agents: tuple[str, ...], kind: str | None, depth: int, floor: float
    ) -> tuple[Any, Any, Moments]:
        """The nearest ones of those that are true at a moment.

        Args:
            vector: of length 1.
            at: seconds since 1970; None: whenever.
            agents: whose; none: all.
            kind: which; None: all.
            depth: how many.
            floor: what the cosine has to be above.

        Returns:
            two arrays: places, and the cosines of the angles, in no order; and what all cosines are like.
        """
        import numpy as np

        n = len(self._index)
        likeness = self._matrix[:n] @ vector
        moments = Moments(n, float(likeness.sum()), float(likeness @ likeness))
        chosen = np.flatnonzero(likeness > floor)
        if at is not None:
            chosen = chosen[(self._times[0, chosen] <= at) & (self._times[1, chosen] > at)]
        if agents:
            codes = [self._codes.get(agent, -1) for agent in agents]
            chosen = chosen[np.isin(self._kinds[0, chosen], codes)]
        if kind is not None:
            chosen = chosen[self._kinds[1, chosen] == self._codes.get(kind, -1)]
        best = likeness[chosen]
        if len(chosen) > depth:
            top = np.argpartition(best, -depth)[-depth:]
            chosen, best = chosen[top], best[top]
        return self._places[chosen], best, moments

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _make_room(self, size: int) -> None:
        import numpy as np

        more = size - len(self._places)
        if more <= 0:
            return
        more = max(more, size // 2 if len(self._places) else 0)
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
