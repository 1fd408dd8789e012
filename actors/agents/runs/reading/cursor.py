"""Where in the stream of a run whoever reads it is, as a text that can be sent along and given back.

The records of a run are in the journal. Of the text between two of them a place has its length and a checksum: so
whoever reads on, in whichever process, is given what is missing of the same text, or is told that it begins anew where
the completion was asked for again meanwhile and says something else.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from ...errors import DefinitionError
from .progress import RunRecord

Kind: TypeAlias = Literal["reasoning", "text"]
KINDS: Final[tuple[Kind, ...]] = ("reasoning", "text")

_PLACE: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,9})\.([0-9a-f]{8})-([0-9]{1,9})\.([0-9a-f]{8}))?")
_CLOSING: Final = frozenset({"completed", "completion_failed", "ended"})
"""Records behind which another completion begins."""


@dataclass(frozen=True, slots=True)
class RunText:
    """A piece of what a model says, before the record of its completion; that comes once all of it was given.

    Args:
        cursor: the place in the stream behind it.
        text: the piece.
        kind: whether it belongs to the answer, or to what is visible of its reasoning.
        restarted: what came of this kind since the last completion is void, and this is its beginning.
    """

    cursor: str
    text: str
    kind: Kind = "text"
    restarted: bool = False


class _Given(NamedTuple):
    """What of a text was given: how many characters, and their checksum (CRC-32 of their UTF-8)."""

    characters: int
    checksum: int

    def __str__(self) -> str:
        return f"{self.characters}.{self.checksum:08x}"

    def begins(self, text: str) -> bool:
        """Whether a text begins with it."""
        return len(text) >= self.characters and _checksum(text[: self.characters]) == self.checksum

    def grown(self, piece: str) -> _Given:
        """The same, with a piece that was given besides."""
        return _Given(self.characters + len(piece), _checksum(piece, self.checksum))


_NONE: Final = _Given(0, 0)


def _checksum(text: str, before: int = 0) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), before)


class Cursor:
    """A place in the stream of a run.

    Args:
        position: of the last record that was given; 0 for none.
    """

    __slots__ = ("_reasoning", "_text", "position")

    def __init__(self, position: int = 0, text: _Given = _NONE, reasoning: _Given = _NONE) -> None:
        self.position = position
        self._text = text
        self._reasoning = reasoning

    @classmethod
    def read(cls, text: str) -> Cursor:
        """The place that a text names; the beginning for an empty one.

        Raises:
            DefinitionError: it names none.
        """
        if not text:
            return cls()
        found = _PLACE.fullmatch(text)
        if found is None:
            raise DefinitionError(f"{text!r:.100} is no place in a stream; give the cursor of what came last")
        if found[2] is None:
            return cls(int(found[1]))
        return cls(int(found[1]), _Given(int(found[2]), int(found[3], 16)), _Given(int(found[4]), int(found[5], 16)))

    def __str__(self) -> str:
        text, reasoning = self._text, self._reasoning
        if not text.characters and not reasoning.characters:
            return str(self.position)
        return f"{self.position}-{text}-{reasoning}"

    def given(self, kind: Kind) -> int:
        """How many characters were given of the completion to come."""
        return self._given(kind).characters

    def _given(self, kind: Kind) -> _Given:
        return self._text if kind == "text" else self._reasoning

    def passed(self, record: RunRecord) -> RunRecord:
        """The next record, with the place behind it."""
        self.position = record.position
        if record.type in _CLOSING:
            self._text = self._reasoning = _NONE
        return replace(record, cursor=str(self))

    def rest(self, kind: Kind, text: str) -> RunText | None:
        """What of a text is to be given still; None where nothing is.

        Args:
            kind: what it is.
            text: all of it, or its beginning, at least as much as was given.
        """
        given = self._given(kind)
        restarted = not given.begins(text)
        piece = text if restarted else text[given.characters :]
        if not piece and not restarted:
            return None
        return self.grown(kind, piece, restarted=restarted)

    def grown(self, kind: Kind, piece: str, *, restarted: bool = False) -> RunText:
        """The piece that follows on what was given, or begins anew."""
        given = (_NONE if restarted else self._given(kind)).grown(piece)
        if kind == "text":
            self._text = given
        else:
            self._reasoning = given
        return RunText(str(self), piece, kind, restarted)
