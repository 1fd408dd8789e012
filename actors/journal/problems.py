"""What is found when a journal is looked over."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """Something that is not as it should be.

    Args:
        stream: whose; empty where none is concerned.
        text: what it is.
    """

    stream: str
    text: str
