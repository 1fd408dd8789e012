"""Looks at what users give where a value is made, field by field, so that nothing impossible is found out at work."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple


class Wish(NamedTuple):
    """What a field must be.

    Args:
        text: what was expected, in words.
        fits: whether a value is that.
        optional: whether None will do, too.
    """

    text: str
    fits: Callable[[Any], bool]
    optional: bool = False

    def or_none(self, meaning: str = "") -> Wish:
        """The same, or None.

        Args:
            meaning: what None stands for.
        """
        return Wish(f"{self.text}, or None{meaning and f' {meaning}'}", self.fits, True)

    def takes(self, value: Any) -> bool:
        """Whether a value is that, or None where that will do."""
        return (value is None and self.optional) or self.fits(value)


_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LOGIN = re.compile(r"//[^/]*@")  # a user and a password in an address
_SECRETS = ("api_key", "headers", "url")  # names of what no error shows

LARGEST = 10**15
"""No limit, time, price or count of anybody's is larger; beyond it, sums of floats would no longer be exact."""

MOST_TOKENS = 10**12
"""More than any answer takes; a count beyond it is no count."""


def is_number(value: Any) -> bool:
    """Whether a value is a number one can reckon with; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number one can reckon with; True and False are none."""
    return type(value) is int and -LARGEST <= value <= LARGEST


COUNT = Wish("a whole number, at least 1", lambda value: is_whole(value) and value >= 1)
WHOLE = Wish("a whole number", is_whole)
NUMBER = Wish("a number", is_number)
FACTOR = Wish("a number, at least 1", lambda value: is_number(value) and value >= 1)
SHARE = Wish("a share, 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
SECONDS = Wish("seconds, at least 0", lambda value: is_number(value) and value >= 0)
SOME_SECONDS = Wish("seconds, more than 0", lambda value: is_number(value) and value > 0)
AMOUNT = Wish("a number, at least 0", lambda value: is_number(value) and value >= 0)
NAME = Wish("a name", lambda value: isinstance(value, str) and bool(value.strip()))
TEXT = Wish("a text", lambda value: isinstance(value, str))
FLAG = Wish("True or False", lambda value: isinstance(value, bool))
FUNCTION = Wish("a function", callable)
MAYBE_FUNCTION = FUNCTION.or_none()
LIST = Wish(
    "several, in a list",
    lambda value: (
        type(value) in (tuple, list) or (isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping))
    ),
)
MAPPING = Wish("a mapping by name", lambda value: isinstance(value, Mapping) and all(map(TEXT.fits, value)))
TOOL_NAME = Wish(
    "1 to 64 letters, digits, '_' and '-'", lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value))
)
"""What OpenAI and Anthropic both accept as a tool's name."""
SAYABLE = Wish("a mapping that JSON can say", lambda value: isinstance(value, Mapping) and _can_be_said(value))
HEADERS = Wish(
    "a mapping of names to texts on one line",
    lambda value: isinstance(value, Mapping) and all(_fit_a_header(*each) for each in value.items()),
)
"""Headers that go out with a request."""


def _can_be_said(value: Mapping[Any, Any]) -> bool:
    try:
        json.dumps(dict(value))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _fit_a_header(name: Any, value: Any) -> bool:
    if not isinstance(name, str) or not isinstance(value, str):
        return False
    named = bool(name) and name.isascii() and name.isprintable() and not set(name) & set(' ":;,()<>@[]{}/?=\\')
    return named and not any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in value)


def is_key(secret: str) -> bool:
    """Whether a header can carry a key as it is, and no blank or line's end came along from where it was read."""
    return secret.isascii() and secret.isprintable() and " " not in secret


SENDABLE_KEY = "a key of printable characters, all ASCII, without spaces; what stands there cannot be sent"
"""What `is_key` looks for, in words that do not show it."""


def one_of(*values: str) -> Wish:
    """One of some words."""
    return Wish(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def made_as(kind: type) -> Wish:
    """A value of a class."""
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return Wish(f"{article} {kind.__name__}", lambda value: isinstance(value, kind))


def several(what: Wish, kinds: tuple[type, ...] = (tuple, list, set, frozenset)) -> Wish:
    """Several of something, not a single text."""

    def fits(value: Any) -> bool:
        return type(value) in kinds and all(map(what.fits, value))

    return Wish(f"several, each {what.text}", fits)


def by_name(what: Wish) -> Wish:
    """Something for each of some names."""

    def fits(value: Any) -> bool:
        return isinstance(value, Mapping) and all(map(TEXT.fits, value)) and all(map(what.fits, value.values()))

    return Wish(f"a mapping of names to {what.text}", fits)


def hold(made: object, **wishes: Wish) -> None:
    """Look at fields of a value that is being made.

    Raises:
        ValueError: the first that is not as wished for; says which, what it is, and what was expected.
    """
    for name, wish in wishes.items():
        look(name, getattr(made, name), wish)


def look(name: str, given: object, wish: Wish) -> None:
    """Look at one value.

    Raises:
        ValueError: it is not as wished for; says which it is, what was given (its type only, where it may be a secret),
            and what was expected.
    """
    if not wish.takes(given):
        raise ValueError(_problem(name, given, wish))


def require(error: type[ValueError], whose: str, /, **given: tuple[object, Wish]) -> None:
    """Look at what is given for something that is about to be made.

    Args:
        error: what is raised about the first that is not as wished for; says whose it is, what was given (its type
            only, where it may be a secret), and what was expected.
        whose: what is made, and its name.
        given: by the fields' names, each with what it must be.
    """
    for name, (value, wish) in given.items():
        if not wish.takes(value):
            raise error(f"{whose}: {_problem(name, value, wish)}")


def _problem(name: str, given: object, wish: Wish) -> str:
    shown = f"of type {type(given).__name__}" if name in _SECRETS else f"{_LOGIN.sub('//…@', _repr(given)):.80}"
    return f"{name} is {shown}; expected {wish.text}"


def _repr(given: object) -> str:
    try:
        return repr(given)
    except Exception:  # it is somebody's own
        return f"of type {type(given).__name__}, which cannot be shown"
