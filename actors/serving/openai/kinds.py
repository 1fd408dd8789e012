"""What the fields of a request may be, and the refusal of what they may not. Null is as if a field was not given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ..problems import Refused, refuse

Kind: TypeAlias = Callable[[Any, str], None]
"""Looks at a value that stands at a place, and refuses it where it is none of the kind."""


def wrong(where: str, what: str) -> Refused:
    """The refusal of a field: says what was expected."""
    return refuse(400, "invalid_request", f"{where}: {what}", where)


def _of(words: str, fits: Callable[[Any], bool]) -> Kind:
    def check(value: Any, where: str) -> None:
        if not fits(value):
            raise wrong(where, f"expected {words}")

    return check


def _type(words: str, wanted: type) -> Kind:
    """A type of JSON's. Every request has some: with `_of` one takes twice as long."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, wanted):
            raise wrong(where, f"expected {words}")

    return check


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_metadata(value: Any) -> bool:
    return len(value) <= 16 and all(len(name) <= 64 and len(text) <= 512 for name, text in value.items())


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

FLAG = _type("true or false", bool)
TEXT = _type("a text", str)
NAME = _of(
    "1 to 64 letters, digits, _ and -", lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None
)
NUMBER = _of("a number", _is_number)
WHOLE = _of("a whole number", _is_whole)
COUNT = _of("a whole number that is not negative", lambda value: _is_whole(value) and value >= 0)
OBJECT = _type("an object", dict)
LIST = _type("a list", list)
CHOICE = _of("auto, none, required or an object", lambda value: value in ("auto", "none", "required"))
"""Which tools are to be called, in a word."""

_LABELS = _of("16 texts at most, of 512 characters, under names of 64", _is_metadata)


def each(kind: Kind) -> Kind:
    """A list of a kind, in which nothing is null."""

    def check(value: Any, where: str) -> None:
        LIST(value, where)
        for number, item in enumerate(value):
            kind(item, f"{where}[{number}]")

    return check


def values(kind: Kind) -> Kind:
    """An object whose values are of a kind, whatever their names."""

    def check(value: Any, where: str) -> None:
        OBJECT(value, where)
        for name, item in value.items():
            kind(item, f"{where}.{name:.80}")

    return check


_TEXTS = values(TEXT)


def metadata(value: Any, where: str) -> None:
    """Texts under names, as many and as long as the protocol takes."""
    _TEXTS(value, where)
    _LABELS(value, where)


def fields(kinds: Mapping[str, Kind], required: Iterable[str] = ()) -> Kind:
    """An object of which some fields are known.

    Args:
        kinds: what each of them is.
        required: those that must be there, and not null.
    """
    required = tuple(required)

    def check(value: Any, where: str) -> None:
        OBJECT(value, where)
        at = f"{where}." if where else ""
        for name, item in value.items():
            if item is not None and (kind := kinds.get(name)) is not None:
                kind(item, at + name)
        for name in required:
            if value.get(name) is None:
                kinds[name](None, at + name)

    return check


def either(text: Kind, other: Kind) -> Kind:
    """A text of a kind, or an object or a list of another; the first says what was expected of what is neither."""

    def check(value: Any, where: str) -> None:
        (other if isinstance(value, dict | list) else text)(value, where)

    return check
