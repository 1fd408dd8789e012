"""What agents, skills and handoffs are made of: each field is looked at where the value is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...providers.checks import FLAG, MAPPING, Wish, require
from ...providers.shapes import FIELDS
from ..core.refs.ref import ActorRef
from .errors import DefinitionError

# URL-safe, and also what every vendor takes in a tool's name, because handoffs are named after their target.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")

AGENT_NAME = Wish(
    "1 to 48 letters, digits, '_' and '-'", lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value))
)
MODEL = Wish(
    "a model's name, or an actor that answers requests",
    lambda value: isinstance(value, (str, ActorRef)),
)

WAIT = Wish(
    "a number of seconds",
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value),
)
"""For how long at most: infinity is for ever, and below 0 there is no time left."""

SETTINGS: Mapping[str, Wish] = {
    **{
        name: FIELDS[name]
        for name in (
            "tool_choice",
            "max_retries",
            "max_tokens",
            "temperature",
            "top_p",
            "top_k",
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "stop",
            "reasoning_effort",
            "thinking_tokens",
            "parallel_tool_calls",
            "user",
            "headers",
            "extra",
        )
    },
    "batch": FLAG,
}
"""The fields of a request that an agent may set, and ``batch``."""


class Misread(DefinitionError):
    """Plain data that says nothing that can be made of it.

    Args:
        text: what is wrong, and what was expected.
        at: the way to it in the data.
    """

    def __init__(self, text: str, *at: str | int) -> None:
        super().__init__(text)
        self.at = at


def define(whose: str, /, **given: tuple[object, Wish]) -> None:
    """Raises `DefinitionError` about the first that is not as wished for; see `require`."""
    require(DefinitionError, whose, **given)


def check_settings(given: Any, whose: str) -> None:
    """Look at the settings of something.

    Raises:
        DefinitionError: they are no mapping, one is not there, or of the wrong type.
    """
    define(whose, settings=(given, MAPPING))
    if not given:
        return
    unknown = set(given) - SETTINGS.keys()
    if unknown:
        raise DefinitionError(
            f"{whose}: no setting is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(SETTINGS))}"
        )
    define(f"{whose}, settings", **{name: (value, SETTINGS[name]) for name, value in given.items()})


def all_are(kind: Any, given: object, whose: str, what: str, wanted: str) -> tuple[Any, ...]:
    """Several of a kind.

    Raises:
        DefinitionError: they are not several, or one of them is something else.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DefinitionError(f"{whose}: {what} are a sequence of {wanted}, not {given!r:.80}")
    items = tuple(given)
    for item in items:
        if not isinstance(item, kind):
            raise DefinitionError(f"{whose}: {what} are {wanted}, not {item!r:.80}")
    return items
