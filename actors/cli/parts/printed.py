"""What commands print for people and for programs."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import Final, TextIO

_OBEYED: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""The categories of characters that terminals do not show: they obey them, or turn the direction of what follows."""

_KEPT: Final = frozenset("\n\t\u200c\u200d")
"""Of these, those that texts and emoji are made with."""


def say(text: str, file: TextIO | None = None, *, flush: bool = False) -> None:
    """Print a line, to stdout where nothing else is said; nowhere, where that was closed before the command began."""
    print(text, file=file, flush=flush)


def progress(text: str) -> None:
    """Print to stderr how far a command is. What it does goes on where that cannot be read."""
    try:
        say(text, sys.stderr, flush=True)
    except OSError:
        no_more_to(2)


def verdict(status: int, text: str) -> int:
    """Print the last that a command has to say; returns its exit status, also where nobody reads on."""
    try:
        say(text, flush=True)
    except BrokenPipeError:
        no_more_to(1)
    return status


def no_more_to(stream: int) -> None:
    """Drop what is still printed to stdout (1) or stderr (2), so that the rest of it fails no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    say(json.dumps(value, indent=2))


def plain(text: str) -> str:
    """A text as it may be shown in a terminal, in one line: others have written it, models among them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(text: str) -> str:
    """A text of several lines as it may be shown in a terminal: what it would obey stands there as what it is."""
    if text.isprintable():
        return text
    return "".join(_visible(char) for char in text.replace("\r\n", "\n"))


def shown_json(text: str) -> str:
    """A JSON text as it may be shown in a terminal and edited there: still the same value."""
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in _OBEYED else char for char in text)


def _visible(char: str) -> str:
    if char in _KEPT or unicodedata.category(char) not in _OBEYED:
        return char
    return char.encode("unicode_escape").decode()
