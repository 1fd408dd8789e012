"""Fields of JSON that others wrote, read with the type they must have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..checks import MOST_TOKENS

T = TypeVar("T")


class WrongField(ValueError):
    """A field is not what the protocol says; tells where, and what was expected."""


def _wrong(where: str, expected: str, found: Any) -> WrongField:
    return WrongField(f"{where}: expected {expected}, not {_NAMES.get(type(found), type(found).__name__)}")


_DEEPEST = 100
"""Objects and lists within each other; what vendors say has a few, and what has more could not be written again."""
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a flag",
    type(None): "null",
}


def loads(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Text as JSON; ``parse_constant`` as in `json.loads`, whose NaN and infinities are taken without it.

    Raises:
        ValueError: it is none, or has more objects and lists within each other than the rest of us can go through.
    """
    try:
        value = json.loads(text, parse_constant=parse_constant)
    except RecursionError:
        raise ValueError("JSON of too many levels") from None
    brackets = text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    if brackets > _DEEPEST and _is_deep(value, _DEEPEST):
        raise ValueError("JSON of too many levels")
    return value


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not left or any(_is_deep(item, left - 1) for item in inner)


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """An object; empty for null.

    Raises:
        WrongField: it is something else.
    """
    if type(value) is dict:  # what JSON makes; a look at an abstract class costs four times as much
        return value
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object", value)
    return value


def sequence(value: Any, where: str) -> Sequence[Any]:
    """A list; empty for null.

    Raises:
        WrongField: it is something else.
    """
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _wrong(where, "a list", value)
    return value


def mappings(value: Any, where: str) -> list[Mapping[str, Any]]:
    """A list of objects, none of them null; empty for null.

    Raises:
        WrongField: it is something else.
    """
    if value is None:
        return []
    found = list(value if type(value) is list else sequence(value, where))
    for number, item in enumerate(found):
        if type(item) is not dict and not isinstance(item, Mapping):
            raise _wrong(f"{where}[{number}]", "an object", item)
    return found


def text(value: Any, where: str) -> str:
    """Text; empty for null.

    Raises:
        WrongField: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(where, "text", value)
    return value


def word(value: Any, where: str) -> str:
    """Text that is not empty.

    Raises:
        WrongField: it is something else.
    """
    if not isinstance(value, str) or not value:
        raise _wrong(where, "a word", value)
    return value


def maybe_text(value: Any, where: str) -> str | None:
    """Text or null.

    Raises:
        WrongField: it is something else.
    """
    return None if value is None else text(value, where)


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts; empty for null.

    Raises:
        WrongField: it is something else.
    """
    return tuple(text(item, f"{where}[{number}]") for number, item in enumerate(sequence(value, where)))


def whole(value: Any, where: str) -> int:
    """A whole number, not negative; 0 for null.

    Raises:
        WrongField: it is something else.
    """
    if type(value) is int and value >= 0:
        return value
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
        raise _wrong(where, "a whole number", value)
    return int(value)


def count(value: Any, where: str) -> int:
    """A count of tokens, not more than any vendor's; 0 for null.

    Raises:
        WrongField: it is something else.
    """
    tokens = whole(value, where)
    if tokens > MOST_TOKENS:
        raise WrongField(f"{where}: expected a count of tokens, not one above {MOST_TOKENS}")
    return tokens


def told(before: Any, now: Any, where: str) -> dict[str, Any]:
    """The usage of a stream that told `before` what it tells `now`: it counts up, so what is missing or 0 at the end
    takes nothing back.

    Raises:
        WrongField: it is something else.
    """
    news = {key: item for key, item in mapping(now, where).items() if item != 0 and not blank(item)}
    return {**mapping(before, where), **news}


def maybe_whole(value: Any, where: str) -> int | None:
    """A whole number or null.

    Raises:
        WrongField: it is something else.
    """
    return None if value is None else whole(value, where)


def maybe_number(value: Any, where: str) -> float | None:
    """A number or null.

    Raises:
        WrongField: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise _wrong(where, "a number", value)
    return value


def flag(value: Any, where: str, default: bool) -> bool:
    """A flag; `default` for null.

    Raises:
        WrongField: it is something else.
    """
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(where, "a flag", value)
    return value


def name(value: Any) -> str:
    """An identifier that only tells a reader something; empty for what is none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def rest(value: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """The fields that are not `known` and say something: blank ones some vendors write for all they have not."""
    return {key: item for key, item in value.items() if key not in known and not blank(item)}


def blank(value: Any) -> bool:
    """Whether a value says nothing: null, empty, or made of such. 0 and false say something only outside objects."""
    if type(value) is str:  # most are; a look at an abstract class costs four times as much
        return not value
    if isinstance(value, Mapping):
        return all(blank(item) or (type(item) is int and item == 0) for item in value.values())
    return value is None or value == "" or (isinstance(value, list | tuple) and not value)


def ours_of(rest: dict[str, Any], name: str, read: Callable[[Mapping[str, Any], str], T | None]) -> tuple[T, ...]:
    """What is ours of a list of objects; what is the vendor's own stays in `rest`.

    Args:
        rest: what has the list.
        name: under which.
        read: what is made of one that stands at a place; None where it is the vendor's own.

    Raises:
        WrongField: it is no list of objects, or `read` raises it.
    """
    ours: list[T] = []
    theirs: list[Any] = []
    for number, given in enumerate(mappings(rest.pop(name, None), name)):
        made = read(given, f"{name}[{number}]")
        if made is None:
            theirs.append(given)
        else:
            ours.append(made)
    if theirs:
        rest[name] = theirs
    return tuple(ours)
