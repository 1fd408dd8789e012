"""Which of several versions a conversation gets: by weight, and always the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b


def choose(conversation: str, name: str, weights: Mapping[str, float]) -> str:
    """The version for a conversation: a pure function of what it is given.

    Each version has a share of all conversations as its weight has of the sum. When a weight changes, or a version is
    added, only conversations that gain the heavier one or lose the lighter one change (weighted rendezvous hashing;
    Schindelhauer and Schomaker, 2005).

    Args:
        conversation: the conversation's id.
        name: the template's name: different templates are chosen independently.
        weights: the versions' weights, at least one of them above 0.
    """
    return min(
        (version for version, weight in weights.items() if weight > 0),
        key=lambda version: (-math.log(_uniform(conversation, name, version)) / weights[version], version),
    )


def _uniform(*parts: str) -> float:
    """A number above 0 and below 1 that looks random, and follows from the texts."""
    joined = b"".join(
        len(data).to_bytes(8, "big") + data for data in (p.encode("utf-8", "surrogatepass") for p in parts)
    )
    return (int.from_bytes(blake2b(joined, digest_size=8).digest(), "big") + 0.5) / 2**64
