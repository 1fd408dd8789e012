"""The values of labels and the names of spans: they come from outside, from models too, and have to be written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str, ...]

LONGEST: Final = 200
"""Letters of the longest that is written as it is."""

OTHER: Final = "other"

_OURS: Final = frozenset({"error", "event", "state", "failed", "action"})
"""Labels whose values come from code, and are few."""

_HALF: Final = re.compile("[\ud800-\udfff]")


def fitting(text: str, longest: int | None = LONGEST) -> str:
    """A text that can be written: half of a letter, which has no form in UTF-8, becomes U+FFFD.

    Args:
        text: it.
        longest: letters; what is longer ends in ``…``. None for any number.
    """
    if not text.isascii():
        text = _HALF.sub("\ufffd", text)
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def fitting_key(key: Key) -> Key:
    """The values of labels, as they can be written."""
    return tuple(map(fitting, key))


def other(labels: Sequence[str], key: Key) -> Key:
    """The series in which a figure is counted that has none of its own: what comes from outside is ``other`` there,
    while errors, states and the like keep their names, without which the sum would say nothing."""
    return tuple(value if label in _OURS else OTHER for label, value in zip(labels, key, strict=True))
