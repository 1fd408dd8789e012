"""Agents that say something of some words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

_WORDS: Final = re.compile(r"\w{3,}")
_Told = TypeVar("_Told", bound=Mapping[str, Any])


def ranked(found: Iterable[_Told], words: str) -> list[_Told]:
    """Those that have any of the words in what they say of themselves: a name counts for more than a description.

    Args:
        found: what is told of each, see `info.about`.
        words: what is looked for.
    """
    wanted = {word.lower() for word in _WORDS.findall(words)}

    def score(one: _Told) -> int:
        points = 4 * len(wanted & _found_in(one["name"])) + 2 * len(wanted & _found_in(one["description"]))
        points += 2 * len(wanted & _found_in(" ".join(one["intents"])))
        for kind in ("tools", "skills", "routes"):
            for ability in one[kind]:
                points += len(wanted & _found_in(f"{ability['name']} {ability['description']}"))
        return points

    scored = [(score(one), one) for one in found]
    return [one for points, one in sorted(scored, key=lambda pair: -pair[0]) if points]


def _found_in(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)
    return {word.lower() for word in _WORDS.findall(f"{text} {spaced}")}
