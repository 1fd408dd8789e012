"""Several rankings made one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import repeat
from typing import Final, TypeVar

T = TypeVar("T", bound=Hashable)

K: Final = 60
"""The paper's constant: how little the first places count more than the next ones."""


DEVIATIONS: Final = 2.5
"""What is nearer to a question than the mean by so many standard deviations stands out. To most embedders all that is
written in one language is near to each other, and to one that knows words only all that has the same small ones:
something is always the nearest, and it counts as much as a word in common only where it is nearer than the rest."""

ENOUGH: Final = 50
"""Of fewer vectors nobody can say what stands out, and all of them count."""

REST: Final = 0.01
"""How much a ranking of what does not stand out counts: it fills up where nothing else is found."""


def fuse(rankings: Iterable[Sequence[T]], limit: int, weights: Iterable[float] = repeat(1.0)) -> list[tuple[T, float]]:
    """Reciprocal rank fusion: each ranking gives what it has at place n (from 1) ``weight / (60 + n)``.

    Source: G. V. Cormack, C. L. A. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods, SIGIR 2009.

    Args:
        rankings: best first; nothing twice in one of them.
        limit: how many are wanted.
        weights: how much each of them counts.

    Returns:
        the best ones with their scores, best first; of equal ones those that an earlier ranking has first.
    """
    scores: dict[T, float] = {}
    for ranking, weight in zip(rankings, weights, strict=False):
        for place, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + weight / (K + place)
    return sorted(scores.items(), key=lambda scored: -scored[1])[:limit]
