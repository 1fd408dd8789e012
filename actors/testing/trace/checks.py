"""Refuses arguments that make no sense where they are given, by name: not in the middle of a run."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

MOST_SECONDS: Final = 1e9
"""About thirty years: beyond, clocks lose their parts of a second, and dates come to their end."""


def is_number(value: object) -> bool:
    """Whether it is a number, which True is not, of a size that seconds have; NaN is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_SECONDS


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, which True is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_function(value: object, name: str, of: str, *, optional: bool = False) -> None:
    """Refuse what cannot be called.

    Args:
        value: what is given.
        name: of the argument.
        of: what the function is given.
        optional: whether None is allowed.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(value) and not (optional and value is None):
        raise TypeError(f"{name}={value!r:.80}: it is a function of {of}{', or None' if optional else ''}")


def check_text(value: object, name: str, what: str, *, empty: bool = False) -> None:
    """Refuse what is no text.

    Args:
        value: what is given.
        name: of the argument.
        what: what the text is.
        empty: whether it may be empty.

    Raises:
        TypeError: it is none, or empty.
    """
    if not isinstance(value, str) or not (value or empty):
        raise TypeError(f"{name}={value!r:.80}: it is {what}")


def check_seconds(value: Any, name: str) -> None:
    """Refuse what is no number of seconds.

    Raises:
        ValueError: it is none, or below 0.
    """
    if not is_number(value) or value < 0:
        raise ValueError(f"{name}={value!r:.80}: it is a number of virtual seconds, from 0")
