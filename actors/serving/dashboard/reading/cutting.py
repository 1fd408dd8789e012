"""Answers that stay small, however long what they are about is. Pure."""

from __future__ import annotations

from typing import Any, Final

LONGEST: Final = 65_536
"""Characters of a text, at most."""

ROOM: Final = 4_000_000
"""Characters of all texts of an answer together; what comes behind them is cut to `LEAST`."""

LEAST: Final = 500

MOST_ITEMS: Final = 1_000
"""Items of one list or object."""

MOST_PARTS: Final = 5_000
"""Texts, numbers, lists and objects of one value."""

DEEPEST: Final = 24
"""Levels of one value."""


class Room:
    """What is left of the room of an answer.

    Args:
        characters: of all its texts.
    """

    def __init__(self, characters: int = ROOM) -> None:
        self._left = characters
        self._cut = 0
        self._parts = 0

    @property
    def spent(self) -> bool:
        """Whether there is no more."""
        return self._left <= 0

    def text(self, text: str, longest: int = LONGEST) -> str:
        """As much of a text as there is room for.

        Args:
            text: it.
            longest: characters of it, at most.
        """
        most = min(longest, max(LEAST, self._left))
        shown = text
        if len(text) > most:
            # Half of a character in UTF-16 is one here: they are not torn apart.
            end = most - 1 if "\ud800" <= text[most - 1] <= "\udbff" else most
            shown = text[:end]
            self._cut += len(text) - end
        self._left -= len(shown)
        return shown

    def told(self, told: dict[str, Any]) -> dict[str, Any]:
        """An object that was made since the last one, which says where so many characters of it are left out."""
        cut, self._cut = self._cut, 0
        return {**told, "cut": cut} if cut else told

    def plain(self, value: Any) -> Any:
        """As much of a value of JSON as there is room for; what is left out is marked in its place."""
        self._parts = 0
        return self._plain(value, 0)

    def _plain(self, value: Any, depth: int) -> Any:
        self._parts += 1
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, dict | list):
            return value
        if not value:
            return value
        if depth == DEEPEST:
            return "[… nested deeper]"
        made: Any
        if isinstance(value, list):
            made = []
            for item in value:
                if self._full(len(made)):
                    made.append(f"[… {len(value) - len(made):,} more]")
                    break
                made.append(self._plain(item, depth + 1))
            return made
        made = {}
        for name, item in value.items():
            if self._full(len(made)):
                made["…"] = f"[… {len(value) - len(made):,} more]"
                break
            made[self.text(name, LEAST)] = self._plain(item, depth + 1)
        return made

    def _full(self, items: int) -> bool:
        return items >= MOST_ITEMS or self._parts >= MOST_PARTS
