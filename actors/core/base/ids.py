"""Ids that nobody else has, in the order in which they were made."""

from __future__ import annotations

import random
from typing import Final

_VERSION: Final = 7 << 76
_VARIANT: Final = 2 << 62


def uuid7(seconds: float, rng: random.Random) -> str:
    """A UUID of version 7, as text.

    Source: RFC 9562, section 5.7: 48 bits of milliseconds, then chance. Python has none before 3.14; the clock and the
    source of chance are given, so that a simulated run repeats.

    Args:
        seconds: since 1970.
        rng: where the chance comes from.
    """
    chance = rng.getrandbits(74)
    milliseconds = int(seconds * 1000) & 0xFFFFFFFFFFFF
    number = milliseconds << 80 | _VERSION | (chance >> 62) << 64 | _VARIANT | chance & 0x3FFFFFFFFFFFFFFF
    digits = f"{number:032x}"  # uuid.UUID would take 4 µs more
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
