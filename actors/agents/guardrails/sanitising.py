"""What nobody sees and a model reads, or a browser carries out: control characters and markup."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from ..errors import DefinitionError
from .extras import needed
from .findings import Check, Finding
from .patterns.pattern import PatternCheck

_NEVER: Final = r"(?!)"
_CHARACTERS: Final = {
    "control character": "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f",
    # Those that turn the direction around (Unicode Annex 9); marks that only belong to a direction stay.
    "bidirectional character": "\\u202a-\\u202e\\u2066-\\u2069",
    # Without those that scripts and emoji need (joiners, variation selectors 1 to 16).
    "invisible character": (
        "\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u2060-\\u2064\\u206a-\\u206f\\u3164\\ufeff\\uffa0"
        "\\ufff9-\\ufffb\\U000e0000-\\U000e0fff"
    ),
}


def hidden_characters() -> tuple[Check, ...]:
    """Characters that nobody sees: control characters but tabs and line ends; those that turn the direction of writing
    around; invisible ones, among them the tags in which whole sentences can be hidden. Redacted, they are taken out.

    Joiners stay, as emoji and several scripts need them. The flags of England, Scotland and Wales are written with
    tags: they become plain ones.
    """
    return tuple(
        PatternCheck(kind, f"[{characters}]", 1, _NEVER, replacement="") for kind, characters in _CHARACTERS.items()
    )


def html_markup(allowed: Collection[str] = ()) -> _Markup:
    """HTML, by nh3 (ammonia): what is not allowed of it is taken out where it is redacted, scripts and styles with what
    stands in them. What is left is HTML: ``&`` and ``<`` are written as it writes them. Text without a tag is left
    alone.

    Args:
        allowed: names of the elements that may stay.

    Raises:
        MissingExtra: the package nh3 is not installed.
        DefinitionError: the names are no texts.
    """
    if isinstance(allowed, str) or not all(isinstance(name, str) for name in allowed):
        raise DefinitionError(f"html_markup: allowed has names of elements, as ['b', 'i'], not {allowed!r:.80}")
    return _Markup(needed("nh3", "html_markup()"), frozenset(allowed))


class _Markup:
    __slots__ = ("_allowed", "_nh3")

    kind = "HTML"

    def __init__(self, nh3: Any, allowed: frozenset[str]) -> None:
        self._nh3 = nh3
        self._allowed = allowed

    def __call__(self, text: str) -> Iterable[Finding]:
        if "<" not in text or not self._nh3.is_html(text):
            return []
        clean = self._nh3.clean(text, tags=set(self._allowed))
        return [] if clean == text else [Finding(0, len(text), self.kind, replacement=clean)]
