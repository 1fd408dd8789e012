"""Cutting a text into the pieces in which a server streams it."""

from __future__ import annotations

from collections.abc import Iterator


def pieces(text: str, size: int) -> Iterator[str]:
    """`text` in pieces of `size` characters."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
