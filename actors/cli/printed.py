"""What commands print for people and for programs."""

from __future__ import annotations

import json
from typing import TextIO


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line, to stdout where nothing else is said; nowhere, where that was closed before the command began."""
    print(text, file=file)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    say(json.dumps(value, indent=2))


def plain(text: str) -> str:
    """A text as it may be shown in a terminal, in one line: others have written it, models among them."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
