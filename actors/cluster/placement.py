"""Where a conversation lives. Pure: the same nodes and the same key give the same place on every node.

Rendezvous hashing (D. Thaler, C. Ravishankar: A Name-Based Mapping Scheme for Rendezvous, 1996): each node has a score
for each key, and the highest one wins; a node that joins takes an even part from all others, one that leaves gives its
part to all others, and nothing else moves. Its load is bounded (V. Mirrokni, M. Thorup, M. Zadimoghaddam: Consistent
Hashing with Bounded Loads, 2018): what would bring a node above `BOUND` times the average goes to the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
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
    (drawn,) = _drawn(_bytes(key), [node])
    even = ((int.from_bytes(drawn, "big") >> 11) + 0.5) * 2.0**-53  # 53 bits: neither 0 nor 1
    return weight / -math.log(even)


def _drawn(key: bytes, nodes: Iterable[str]) -> list[bytes]:
    """What is drawn for a key at each of some nodes."""
    hashes = [_begun(node).copy() for node in nodes]
    for hashed in hashes:
        hashed.update(key)
    return [hashed.digest() for hashed in hashes]


@lru_cache(maxsize=10_000)
def _begun(node: str) -> blake2b:
    """The hash of a node, to which keys are added: four times as fast, which counts where there are a thousand."""
    # Two texts by their lengths, or "ab" at "c" were "a" at "bc".
    return blake2b(_bytes(f"{len(node)}:{node}"), digest_size=8)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


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
    total, weights = sum([node.load for node in nodes]) + 1, sum([node.weight for node in nodes])
    most = {weight: bound(total, weight / weights) for weight in {node.weight for node in nodes}}
    takes = [node for node in nodes if node.load < most[node.weight]]  # not all of them are at their bounds
    if len(most) > 1:
        return min((-score(key, node.id, node.weight), node.id) for node in takes)[1]
    ids = [node.id for node in takes]  # of the same weight: the scores are in the order of what is drawn
    drawn = _drawn(_bytes(key), ids)
    best = max(drawn)
    return min([id for id, wants in zip(ids, drawn, strict=True) if wants == best])


def bound(total: int, part: float) -> int:
    """How much a node is given at most.

    Args:
        total: load of all nodes, with what is placed now.
        part: of it that is the node's by its weight; 0 to 1.
    """
    return math.ceil(BOUND * total * part)
