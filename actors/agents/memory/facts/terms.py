"""What of a text full-text search looks for: the same in every store."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby, pairwise
from typing import Final

_WORD: Final = re.compile(r"\w+")
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)
MOST_LETTERS: Final = 100
"""Of a term. What is longer (a hash, encoded data) is cut there."""


def terms(text: str) -> list[str]:
    """The words of a text, in their order, as they are indexed and looked for.

    Case, compatibility forms (NFKC) and accents do not count. Of scripts that put no spaces between words (Chinese,
    Japanese, Korean, Thai, Lao, Khmer) each character is a term, and each two that stand side by side.
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


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    # NFKD takes Hangul syllables apart, too: NFC puts together what is left.
    return unicodedata.normalize("NFC", "".join(one for one in apart if not "\u0300" <= one <= "\u036f"))
