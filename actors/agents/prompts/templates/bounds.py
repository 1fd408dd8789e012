"""What one render may use up: counted, not timed, so that a template behaves alike on every machine.

jinja2's sandbox closes attributes, but not time and memory: nested loops, ``'x' * 10**9``, ``|center(10**9)`` or a list
that holds itself twice, thirty times over, would take the process with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextvars import ContextVar
from types import BuiltinFunctionType, BuiltinMethodType
from typing import Any

from jinja2.runtime import LoopContext, Undefined

ROUNDS = 100_000
"""How often loops may go round and macros be called in one render. That takes about a second."""
CHARACTERS = 2_000_000
"""How much one render may write, and how long a single text in it may be: about half a million tokens."""
ITEMS = 100_000
"""How many items a list that a template makes may have."""
SIZE = 10_000
"""The largest number for a width, an indent, a number of digits or of columns."""

FORMAT = 2_000
"""How long a format for ``%`` may be."""

_ROUND = 10
_WIDE = re.compile(r"%(\([^)]*\))?[^a-zA-Z%]*?(\*|\d{4,})")


class TooMuch(Exception):
    """A render went beyond a bound; the text says which."""


class Spent:
    """What a render has used so far."""

    __slots__ = ("characters", "units")

    def __init__(self) -> None:
        self.units = ROUNDS * _ROUND
        self.characters = CHARACTERS

    def work(self, units: int) -> None:
        """Ten units are one round of a loop; looking at one value is one."""
        self.units -= units
        if self.units < 0:
            raise TooMuch(f"it does more than {ROUNDS:,} rounds of loops and macros, or as much work in filters")

    def write(self, characters: int) -> None:
        self.characters -= characters
        if self.characters < 0:
            raise TooMuch(f"it writes more than {CHARACTERS:,} characters")
        self.work(1 + characters // 1000)


spent: ContextVar[Spent] = ContextVar("callboard.template")
"""The render that is under way in this thread or task."""


def tick(characters: int) -> bool:
    """One round of a loop, or one call of a macro, which writes so many characters of the template's own."""
    now = spent.get()
    now.work(_ROUND)
    now.write(characters)
    return True


def fits(size: int, most: int = CHARACTERS, what: str = "characters") -> None:
    if size > most:
        raise TooMuch(f"it makes a value of more than {most:,} {what}")


def weigh(value: Any, most: int | None = CHARACTERS) -> None:
    """Look at all of a value, before something does that cannot be stopped: writing it, comparing it.

    Args:
        value: any value; into objects of unknown classes it does not look.
        most: how many characters it may have when it is written; None where it is not written.

    Raises:
        TooMuch: it is larger.
        UndefinedError: it is to be written, and something in it is not there.
    """
    now, characters, todo = spent.get(), 0, [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str | bytes):
            characters += len(item)
            now.work(1 + len(item) // 1000)
        elif isinstance(item, dict):
            now.work(2 * len(item))
            todo += item.keys()
            todo += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            now.work(len(item))
            todo += item
        else:
            now.work(1)
            if most is not None and isinstance(item, Undefined):
                str(item)  # raises: within a list it would be written as "Undefined"
        characters += 4
        if most is not None:
            fits(characters, most)


def measure(made: Any) -> Any:
    """Count what a filter or a function has made; a generator is counted as it goes on."""
    if isinstance(made, Iterator):
        return _counted(made)
    if isinstance(made, str):
        fits(len(made))
        spent.get().work(1 + len(made) // 1000)
    elif isinstance(made, list | tuple | dict | range):
        fits(len(made), ITEMS, "items")
        spent.get().work(1 + len(made))
    return made


def ranged(*given: int) -> range:
    """Python's `range`. One that is too long is refused by name, however long: ``len`` cannot tell of all."""
    made = range(*given)
    if made[ITEMS:]:
        raise TooMuch(f"range makes more than {ITEMS:,} items")
    return made


def _counted(made: Iterator[Any]) -> Iterator[Any]:
    for item in made:
        spent.get().work(2)
        yield item


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Refuse what would be too large, before it is made."""
    if operator == "%":
        if isinstance(left, str | bytes):
            check_format(left if isinstance(left, str) else left.decode("latin-1"), right)
    elif isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 0) if operator == "**" else left.bit_length() + right.bit_length()
        fits(bits, SIZE, "binary digits")
    elif operator == "*":
        times, sized = (left, right) if isinstance(left, int) else (right, left)
        if isinstance(times, int) and isinstance(sized, _SEQUENCES):
            _check_sequence(sized, len(sized) * times)
    elif operator == "+" and isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        _check_sequence(left, len(left) + len(right))


def _check_sequence(sized: Any, size: int) -> None:
    if isinstance(sized, str | bytes):
        fits(size)
        spent.get().work(1 + max(size, 0) // 1000)
    else:
        fits(size, ITEMS, "items")
        spent.get().work(1 + max(size, 0))


def check_format(text: str, given: Any) -> None:
    """Refuse ``'%1000000d' % 1``."""
    weigh(given)
    fits(len(text), FORMAT, "characters that is a format")
    spent.get().work(len(text) ** 2 // 500)  # what the search takes at worst
    if _WIDE.search(text):
        raise TooMuch(f"it formats a value wider than {SIZE - 1:,} characters")


def check_filter(name: str, value: Any, more: tuple[Any, ...]) -> None:
    """Refuse a filter, or a text's method of the same name, that would make too much.

    Args:
        name: the filter's.
        value: what it is used on.
        more: what else it is given.
    """
    if name in _SIZED and any(isinstance(item, int) and item > SIZE for item in more):
        raise TooMuch(f"{name} is given a number above {SIZE:,}")
    if name == "format":
        check_format(str(value), more)
    elif name == "join" and more:
        fits(len(value) * len(str(more[0])))
    elif name == "replace" and len(more) > 1:
        text = str(value)
        fits(len(text) + text.count(str(more[0])) * len(str(more[1])))
    elif name == "indent":
        for item in more:
            fits((str(value).count("\n") + 1) * (len(item) if isinstance(item, str) else int(item)))
    elif name == "wordwrap":
        length, widths = len(str(value)), [item for item in more if isinstance(item, int)]
        fits(length * max((len(item) for item in more if isinstance(item, str)), default=1))
        spent.get().work(length * length // (10_000 * max(1, *widths) if widths else 790_000))  # a long word
    elif name in ("int", "float") and isinstance(value, str):
        fits(len(value), SIZE)
    elif name == "sum" and any(isinstance(item, list | tuple) for item in more):
        raise TooMuch("sum adds numbers, not lists")


def check_call(called: Any, given: tuple[Any, ...]) -> None:
    """Refuse a call of a builtin's function or method that would make too much."""
    whose = getattr(called, "__self__", None)
    if not isinstance(called, BuiltinFunctionType | BuiltinMethodType | type) and not isinstance(whose, LoopContext):
        return  # a macro's rounds are counted, and a function of the caller's own is not the template's work
    for item in given:
        weigh(item)
    if isinstance(whose, str | bytes | int | float):
        name = called.__name__
        if name in _NOT_CALLED:
            raise TooMuch(f"the method {name} cannot be called in a template" + "; use the filter" * (name == "join"))
        check_filter(name, whose, given)


_SEQUENCES = (str, bytes, list, tuple)
_SIZED = frozenset(
    {"batch", "center", "indent", "ljust", "rjust", "round", "slice", "truncate", "tojson", "wordwrap", "zfill"}
)
_NOT_CALLED = frozenset({"decode", "encode", "expandtabs", "join", "to_bytes", "translate"})
