"""Which reasoning efforts models of OpenAI and Google take; the rest of a vendor's names is asked for as it stands.

Sources: https://platform.openai.com/docs/guides/reasoning and the models' own pages,
https://ai.google.dev/gemini-api/docs/thinking and https://ai.google.dev/gemini-api/docs/openai#thinking
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .models import bare_name

_ORDER = ("none", "minimal", "low", "medium", "high", "xhigh")
_NOTHING: tuple[str, ...] = ()
_LEVELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The first that matches counts.
    (r"gpt-5[\d.]*-chat|gpt-3|gpt-4|chatgpt-|o1-(mini|preview)", _NOTHING),
    (r"o\d|gpt-oss|gpt-5-codex|gpt-5\.1-codex(?!-max)", ("low", "medium", "high")),
    (r"gpt-5-pro", ("high",)),
    (r"gpt-5\.\d+-pro", ("medium", "high", "xhigh")),
    (r"gpt-5\.\d+-codex", ("low", "medium", "high", "xhigh")),
    (r"gpt-5\.1", ("none", "low", "medium", "high")),
    (r"gpt-5\.\d", ("none", "low", "medium", "high", "xhigh")),
    (r"gpt-5", ("minimal", "low", "medium", "high")),
    (r"gemini-(1|2\.0)|gemini-2\.5-flash-(image|preview-tts)|gemma", _NOTHING),
    (r"gemini-3-pro", ("low", "high")),
    (r"gemini-([3-9]|\d\d)[\d.]*-pro", ("low", "medium", "high")),
    (r"gemini-([3-9]|\d\d)", ("minimal", "low", "medium", "high")),
    (r"gemini-2\.5-pro", ("minimal", "low", "medium", "high")),
    (r"gemini-2\.5", ("none", "minimal", "low", "medium", "high")),
)


class Budget(NamedTuple):
    """How many tokens a model may be told to think for, where it takes a number.

    Args:
        least, most: tokens.
        off: whether thinking can be turned off, by 0.
    """

    least: int
    most: int
    off: bool


_BUDGETS = (
    (r"gemini-2\.5-pro", Budget(128, 32_768, False)),
    (r"gemini-2\.5-flash-lite", Budget(512, 24_576, True)),
)
_USUAL = Budget(1, 24_576, True)


@lru_cache(maxsize=256)
def levels(model: str) -> tuple[str, ...] | None:
    """The efforts that a model takes, from little to much; none if it does not reason, None if it is not known."""
    name = bare_name(model)
    return next((taken for pattern, taken in _LEVELS if re.match(pattern, name)), None)


def budget(model: str) -> Budget:
    """How many tokens one of Google's models may think for."""
    name = bare_name(model)
    return next((found for pattern, found in _BUDGETS if re.match(pattern, name)), _USUAL)


def fitted(effort: str, model: str, notes: list[str]) -> str | None:
    """The effort to ask `model` for: the nearest that it takes.

    Args:
        effort: what is wanted.
        model: the vendor's name of it.
        notes: takes what had to be changed.

    Returns:
        The effort; None if none may be sent.
    """
    taken = levels(model)
    if taken is None or effort in taken:
        return effort
    if not taken:
        if effort != "none":
            notes.append("the model takes no reasoning effort: left out")
        return None
    if effort not in _ORDER:
        return effort
    place = _ORDER.index(effort)
    nearest = min(taken, key=lambda one: abs(_ORDER.index(one) - place))
    notes.append(f"the model takes no reasoning effort {effort}: {nearest} was sent")
    return nearest
