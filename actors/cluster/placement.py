"""Where a conversation lives. Pure: the same nodes and the same key give the same place on every node.

Rendezvous hashing (D. Thaler, C. Ravishankar: A Name-Based Mapping Scheme for Rendezvous, 1996): each node has a score
for each key, and the highest one wins; a node that joins takes an even part from all others, one that leaves gives its
part to all others, and nothing else moves. Its load is bounded (V. Mirrokni, M. Thorup, M. Zadimoghaddam: Consistent
Hashing with Bounded Loads, 2018): what would bring a node above `BOUND` times the average goes to the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

BOUND: Final = 1.25
"""Times the average load that a node is given at most."""


class Candidate(NamedTuple):
    """A node as placement sees it.

    Args:
        id: unique for ever.
        load: runs under way there.
        weight: how much it takes, beside others; 1 is usual.
    """

    id: str
    load: int = 0
    weight: float = 1.0


def score(key: str, node: str, weight: float = 1.0) -> float:
    """How much a node wants a key; the highest one has it. (``weight / -ln(u)`` for an even ``u`` has a node win as
    often as its weight is part of all weights: J. Mosheiff et al., weighted rendezvous.)

    Args:
        key: of what is placed.
        node: its id.
        weight: above 0.
    """
    # Two texts by their lengths, or "ab" at "c" were "a" at "bc".
    digest = blake2b(f"{len(node)}:{node}{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    even = ((int.from_bytes(digest, "big") >> 11) + 0.5) * 2.0**-53  # 53 bits: neither 0 nor 1
    return weight / -math.log(even)


def ranked(key: str, nodes: Iterable[Candidate]) -> list[Candidate]:
    """The nodes in the order in which a key would live there. Two of the same score are in the order of their ids."""
    return sorted(nodes, key=lambda node: (-score(key, node.id, node.weight), node.id))


def place(key: str, nodes: Sequence[Candidate]) -> str | None:
    """Where a key lives.

    Args:
        key: of a conversation.
        nodes: those that are alive and take something.

    Returns:
        the id of a node; None where there is none.
    """
    if not nodes:
        return None
    total, weights = sum(node.load for node in nodes) + 1, sum(node.weight for node in nodes)
    best: tuple[float, str] | None = None
    fallback: tuple[float, str] | None = None
    for node in nodes:
        wants = (-score(key, node.id, node.weight), node.id)
        if node.load < bound(total, node.weight / weights):
            best = wants if best is None else min(best, wants)
        else:
            fallback = wants if fallback is None else min(fallback, wants)
    found = best or fallback  # not all of them are above the average, but loads are of different moments
    assert found is not None
    return found[1]


def bound(total: int, part: float) -> int:
    """How much a node is given at most.

    Args:
        total: load of all nodes, with what is placed now.
        part: of it that is the node's by its weight; 0 to 1.
    """
    return math.ceil(BOUND * total * part)
