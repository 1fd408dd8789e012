"""Citations: what an answer names a passage by, and finding them in an answer."""

from __future__ import annotations

import re
from typing import Final

_CITED: Final = re.compile(r"\[([^\[\]]+), (page \d+|line \d+|lines \d+-\d+)\]")
_UNUSABLE: Final = str.maketrans("[]", "()")


def cite(document: str, place: str) -> str:
    """What a passage is cited as: ``[handbook.pdf, page 3]``."""
    return f"[{_shown(document)}, {place}]"


def citations(text: str) -> list[tuple[str, str]]:
    """The citations in a text, each once, in order: document (as `cite` shows it) and place."""
    return list(dict.fromkeys((found[1], found[2]) for found in _CITED.finditer(text)))


def is_cited(document: str, shown: str) -> bool:
    """Whether a document's name is shown so in a citation."""
    return _shown(document) == shown


def _shown(document: str) -> str:
    return " ".join(document.translate(_UNUSABLE).split())
