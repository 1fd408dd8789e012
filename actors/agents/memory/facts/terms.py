"""What of a text full-text search looks for: the same in every store."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import groupby, pairwise
from typing import Final

_SIGNS: Final = "".join(
    chr(code)
    for start, end in ((0x0900, 0x0E00), (0x0F00, 0x10A0), (0x1700, 0x1780), (0x1800, 0x1D00), (0xA800, 0xAC00))
    for code in range(start, end)
    if unicodedata.category(chr(code)) in ("Mn", "Mc")
)
"""Vowel signs within words, as in Hindi or Tamil, which are no letters to ``re``."""
_WORD: Final = re.compile(rf"[\w{_SIGNS}]+")
_POINTS: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
)
"""What accents are in Latin, Greek, Cyrillic, Hebrew and Arabic script."""
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
MOST_LETTERS: Final = 100
"""Of a term. What is longer (a hash, encoded data) is cut there."""

COMMON: Final = 20
FEW: Final = 10
"""What is in more than a twentieth of an owner's facts, and in more than ten, is not looked for beside rarer words:
what has only such words (of, the) in common with a question would take places from what is near to it."""


def terms(text: str) -> list[str]:
    """The words of a text, in their order, as they are indexed and looked for.

    Case, compatibility forms (NFKC), accents and points do not count. Of scripts that put no spaces between words
    (Chinese, Japanese, Korean, Thai, Lao, Khmer) each character is a term, and each two that stand side by side.
    """
    found: list[str] = []
    for word in _WORD.findall(_folded(text)):
        if word.isascii():
            found.append(word[:MOST_LETTERS])
            continue
        for unspaced, run in groupby(word, lambda letter: bool(_UNSPACED.match(letter))):
            letters = "".join(run)
            if unspaced:
                found += [*letters, *map("".join, pairwise(letters))]
            else:
                found.append(letters[:MOST_LETTERS])
    return found


def most_of(facts: int) -> int:
    """How many of an owner's facts, or of everybody's, may have a word that is not common."""
    return max(FEW, facts // COMMON)


def looked_for(found: Mapping[str, int], most: int) -> list[str]:
    """Those of a query's words that are looked for: all, where none is there that is not common.

    Args:
        found: how many of an owner's facts have each of them; of common ones any number above ``most``.
        most: see `most_of`.
    """
    rare = [term for term, count in found.items() if count <= most]
    return rare if any(found[term] for term in rare) else list(found)


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    # NFKD takes Hangul syllables apart, too: NFC puts together what is left.
    return unicodedata.normalize("NFC", _POINTS.sub("", apart))
