"""Which of a number of slots a key belongs to: the same in every process, and few keys move when the number changes.

Rendezvous hashing: Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996.
"""

from __future__ import annotations

import uuid
from enum import Enum
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any

from .errors import SpecError, brief

_MASK = (1 << 64) - 1


@lru_cache(maxsize=4096)
def slot_of(number: int, size: int) -> int:
    """Return which of ``size`` slots a key's hash belongs to: the one that draws the highest number for it."""
    best = -1
    found = 0
    for slot in range(size):
        mixed = ((number ^ _seed(slot)) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93) & _MASK
        if mixed > best:
            best, found = mixed, slot
    return found


@cache
def _seed(slot: int) -> int:
    return _hash(b"slot %d" % slot)


def key_hash(key: Any) -> int:
    """Return a number for a key that is the same in every process.

    Raises:
        SpecError: the key is of a type that has no such number.
    """
    return _hash(_encoded(key))


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _encoded(key: Any) -> bytes:
    match key:
        case str():
            return b"s" + key.encode("utf-8", "surrogatepass")
        case bytes():
            return b"b" + key
        case int():  # True is 1, as it is everywhere else
            return b"i%d" % key
        case None:
            return b"n"
        case uuid.UUID():
            return b"u" + key.bytes
        case Enum():
            return b"e" + f"{type(key).__qualname__}.{key.name}".encode()
        case tuple():
            parts = [_encoded(part) for part in key]
            return b"t" + b"".join(b"%d:%s" % (len(part), part) for part in parts)
    raise SpecError(
        f"{brief(key)} cannot be a routing key: use a str, bytes, int, UUID, enum member, None, or a tuple of these"
    )
