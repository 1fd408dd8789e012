"""What to do about what PyYAML says of a file that it cannot read: its words are those of a parser."""

from __future__ import annotations

import re
from typing import Final

_ADVICE: Final = (
    (r"mapping values are not allowed", "put a text that has a colon in it in quotes"),
    (r"character '\\t'", "indent with spaces, not with tabs"),
    (r"character '.' that cannot start any token", "put a text that begins with this character in quotes"),
    (
        r"expected (<block end>|',' or)",
        "what belongs together begins in the same column, and brackets and quotes close",
    ),
    (r"could not find expected ':'", "after a name come a colon and a space"),
    (r"unexpected end of stream", "a quote or a bracket is not closed"),
    (r"unknown escape character", "in double quotes a \\ is written \\\\; put it in single ones"),
    (r"found undefined alias", "put a text that begins with * in quotes"),
    (r"could not determine a constructor|tag handle", "put a text that begins with ! in quotes"),
)


def what_to_do(problem: str, context: str) -> str:
    """What to write, behind PyYAML's words; empty where nothing is known.

    Args:
        problem: what it has found.
        context: in the middle of what.
    """
    for words, advice in _ADVICE:
        if re.search(words, problem):
            return f": {advice}"
    return ": a quote or a bracket is not closed" if "quoted" in context else ""
