"""What a model is told of public skills before it has loaded any: the first tier of their disclosure. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil
from typing import Final

from .....providers.wire.fitting.letters import mended
from .folder import SkillFolder

ROOM: Final = 100
"""Tokens that one skill may cost in the catalogue."""

HEAD: Final = (
    "There are skills for the tasks below. Where a task fits the description of one, load it by load_skill before you "
    "begin, and do as it says."
)

_CJK: Final = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_LETTER: Final = re.compile(_CJK)
_WORD: Final = re.compile(rf"{_CJK}|(?:(?!{_CJK})\w)+|[^\w\s]|\s+")


def catalogue(folders: Iterable[SkillFolder]) -> str:
    """The names and descriptions of skills, each in a line; a description that is too long is cut."""
    return "\n".join([HEAD, *map(entry, folders)])


def entry(folder: SkillFolder) -> str:
    """A skill in the catalogue, of at most `ROOM` tokens."""
    text = " ".join(mended(f"- {folder.name}: {folder.description}").split())
    if at_most(text) <= ROOM:
        return text
    kept, used = 0, at_most(" …")
    for piece in _WORD.finditer(text):
        used += at_most(piece.group())
        if used > ROOM:
            break
        kept = piece.end()
    return f"{text[:kept].rstrip()} …"


def at_most(text: str) -> int:
    """How many tokens a text has at most, for the vocabularies of today's models: more than an estimate would say."""
    return sum(map(_cost, _WORD.findall(text)))


def _cost(piece: str) -> int:
    if piece.isspace():
        return len(piece) - 1  # one belongs to the word behind it
    if piece.isascii():
        plain = piece.isalpha() and (piece[1:].islower() or len(piece) == 1)
        return -(-len(piece) // (4 if plain else 2))
    return ceil(sum(1.5 if _LETTER.match(each) else len(each.encode("utf-8", "replace")) / 1.5 for each in piece))
