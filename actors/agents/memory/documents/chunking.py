"""Cutting documents into passages: at headings, paragraphs, sentences, words, in this order."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from .document import Chunk, Document, Part

INSTALL: Final = "cutting documents needs semantic-text-splitter: pip install 'callboard[documents]'"

MOST_AT_ONCE: Final = 32_000
"""Characters that are cut at a time: a text without any border costs the square of its length (4 MB: 5 minutes)."""

MOST_HEADING: Final = 500
"""Characters of the headings above a passage."""

_HEADING: Final = re.compile(r"(#{1,6})\s+(.*?)[\s#]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


def cut(document: Document, characters: int) -> Iterator[Chunk]:
    """The passages of a document, in order: together they have all of its text but white space around them.

    Args:
        document: what was read.
        characters: how long a passage may be; it is at least half as long where what lies together allows it.

    Raises:
        ImportError: the extra is not installed.
    """
    try:
        from semantic_text_splitter import MarkdownSplitter, TextSplitter
    except ImportError:
        raise ImportError(INSTALL) from None
    splitter = (MarkdownSplitter if document.is_markdown else TextSplitter)((max(1, characters // 2), characters))
    for part in document.parts:
        place = _Places(part)
        offsets, paths = _headings(part.text) if document.is_markdown else ([], [])
        for start, piece in pieces(part.text, splitter.chunk_indices):
            under = bisect_right(offsets, start)
            yield Chunk(piece, place.of(start, start + len(piece)), paths[under - 1] if under else "")


def pieces(
    text: str, indices: Callable[[str], list[tuple[int, str]]], at_once: int = MOST_AT_ONCE
) -> Iterator[tuple[int, str]]:
    """The pieces of a text, in order, and where they begin.

    Args:
        text: however long.
        indices: what cuts it, as a splitter's ``chunk_indices`` does.
        at_once: characters that are given to it at a time.
    """
    at = 0
    while at < len(text):
        end = _border(text, at, at_once)
        yield from ((at + start, piece) for start, piece in indices(text[at:end]) if piece.strip())
        at = end


def _border(text: str, at: int, at_once: int) -> int:
    """Where to cut off what is cut at once: before a heading, between paragraphs, lines or words, if there are any."""
    end = at + at_once
    if end >= len(text):
        return len(text)
    least = at + at_once // 2
    for border in ("\n#", "\n\n", "\n", " "):
        found = text.rfind(border, least, end)
        if found >= 0:
            return found + 1
    return end


class _Places:
    """Says where in the document a piece of a part is."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._begins = [] if part.page else [0, *accumulate(len(line) + 1 for line in part.text.split("\n"))][:-1]

    def of(self, start: int, end: int) -> str:
        """The place of the characters from ``start`` to before ``end``."""
        if self._part.page:
            return f"page {self._part.page}"
        first, last = (self._line(at) for at in (start, end - 1))
        return f"line {first}" if first == last else f"lines {first}-{last}"

    def _line(self, at: int) -> int:
        line = bisect_right(self._begins, at)
        return self._part.lines[line - 1] if self._part.lines else line


def _headings(text: str) -> tuple[list[int], list[str]]:
    """Where headings begin, and what stands under each: its own and those above it."""
    offsets: list[int] = []
    paths: list[str] = []
    above: list[tuple[int, str]] = []
    fence = ""
    at = 0
    for line in text.split("\n"):
        opened = _FENCE.match(line)
        if opened and not fence:
            fence = opened[1]
        elif fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif found := _HEADING.match(line):
            level = len(found[1])
            above = [one for one in above if one[0] < level]
            if found[2]:
                above.append((level, found[2]))
            offsets.append(at)
            paths.append(" › ".join(title for _, title in above)[:MOST_HEADING])
        at += len(line) + 1
    return offsets, paths
