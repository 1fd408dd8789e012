"""Points in production code at which a simulation may have something rare happen.

After FoundationDB's BUGGIFY (Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value Store", SIGMOD
2021): code knows best which rare thing may happen in it, and a simulation makes it happen often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

_deciding: dict[int, Callable[[str], bool]] = {}  # by thread


def maybe(name: str) -> bool:
    """Whether something rare is to happen here: a cache evicts, a batch is cut short, a lease is lost.

    False outside of a simulation, at the cost of one look, and in one unless its faults say otherwise
    (``simulate(…, faults=[Buggify("cache.evict")])``).

    Args:
        name: of the point; several places may share one.

    Raises:
        TypeError: in a simulation, where the name is no text.
    """
    if not _deciding:
        return False
    decide = _deciding.get(get_ident())
    return decide is not None and decide(name)


@contextmanager
def deciding(decide: Callable[[str], bool]) -> Iterator[None]:
    """Have a function decide about the points that are reached in this thread, for as long as this lasts."""
    thread = get_ident()
    _deciding[thread] = decide
    try:
        yield
    finally:
        del _deciding[thread]
