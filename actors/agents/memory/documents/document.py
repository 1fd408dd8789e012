"""What a document is once it has been read, and what it is cut into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_BYTES: Final = 200_000_000
"""Of a document, and of the text in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Text that lies together: a whole document, or a page.

    Args:
        text: what can be read there.
        page: its number, from 1; 0 where there are no pages.
        lines: for each line of the text the number of the line of the document, from 1, on which it begins. Empty: the
            lines of the text are the document's.
    """

    text: str = field(repr=False)
    page: int = 0
    lines: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that has been read.

    Args:
        name: what it is cited as.
        parts: what is in it, in order.
        is_markdown: whether lines that begin with ``#`` are headings.
        digest: of its bytes (SHA-256), hexadecimal.
    """

    name: str
    parts: tuple[Part, ...]
    is_markdown: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, cut where its meaning allows it.

    Args:
        text: as it stands there.
        place: where: ``page 3``, or ``lines 10-24``.
        heading: the headings that it stands under, outermost first; empty if there are none.
    """

    text: str = field(repr=False)
    place: str
    heading: str = ""
