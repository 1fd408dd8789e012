"""Where in the stream of a run whoever reads it is, as a text that can be sent along and given back.

The records of a run are in the journal. Of the text between two of them a place has its length and a checksum: so
whoever reads on, in whichever process, is given what is missing of the same text, or is told that it begins anew where
the completion was asked for again meanwhile and says something else.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

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


class _Given:
    """What of a text was given: how many characters, and their checksum (CRC-32 of their UTF-8)."""

    __slots__ = ("characters", "checksum")

    def __init__(self, characters: int = 0, checksum: int = 0) -> None:
        self.characters = characters
        self.checksum = checksum

    def __str__(self) -> str:
        return f"{self.characters}.{self.checksum:08x}"

    def begins(self, text: str) -> bool:
        """Whether a text begins with it."""
        return len(text) >= self.characters and _checksum(text[: self.characters]) == self.checksum

    def grow(self, piece: str) -> None:
        """A piece was given."""
        self.characters += len(piece)
        self.checksum = _checksum(piece, self.checksum)


def _checksum(text: str, before: int = 0) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), before)


class Cursor:
    """A place in the stream of a run.

    Args:
        position: of the last record that was given; 0 for none.
    """

    __slots__ = ("_given", "position")

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self._given = {kind: _Given() for kind in KINDS}

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
        cursor = cls(int(found[1]))
        if found[2] is not None:
            cursor._given = {"text": _Given(int(found[2]), int(found[3], 16))}
            cursor._given["reasoning"] = _Given(int(found[4]), int(found[5], 16))
        return cursor

    def __str__(self) -> str:
        text, reasoning = self._given["text"], self._given["reasoning"]
        if not text.characters and not reasoning.characters:
            return str(self.position)
        return f"{self.position}-{text}-{reasoning}"

    def given(self, kind: Kind) -> int:
        """How many characters were given of the completion to come."""
        return self._given[kind].characters

    def passed(self, record: RunRecord) -> RunRecord:
        """The next record, with the place behind it."""
        self.position = record.position
        if record.type in _CLOSING:
            self._given = {kind: _Given() for kind in KINDS}
        return replace(record, cursor=str(self))

    def rest(self, kind: Kind, text: str) -> RunText | None:
        """What of a text is to be given still; None where nothing is.

        Args:
            kind: what it is.
            text: all of it, or its beginning, at least as much as was given.
        """
        given = self._given[kind]
        restarted = not given.begins(text)
        if restarted:
            given = self._given[kind] = _Given()
        piece = text[given.characters :]
        if not piece and not restarted:
            return None
        return self.grown(kind, piece, restarted=restarted)

    def grown(self, kind: Kind, piece: str, *, restarted: bool = False) -> RunText:
        """The piece that follows on what was given."""
        self._given[kind].grow(piece)
        return RunText(str(self), piece, kind, restarted)
