"""Several rankings made one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeVar

T = TypeVar("T", bound=Hashable)

K: Final = 60
"""The paper's constant: how little the first places count more than the next ones."""


def fuse(rankings: Iterable[Sequence[T]], limit: int) -> list[tuple[T, float]]:
    """Reciprocal rank fusion: each ranking gives what it has at place n (from 1) ``1 / (60 + n)``.

    Source: G. V. Cormack, C. L. A. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods, SIGIR 2009.

    Args:
        rankings: best first; nothing twice in one of them.
        limit: how many are wanted.

    Returns:
        the best ones with their scores, best first; of equal ones those that an earlier ranking has first.
    """
    scores: dict[T, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + 1 / (K + place)
    return sorted(scores.items(), key=lambda scored: -scored[1])[:limit]
