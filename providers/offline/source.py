"""What a line of a program is: a comment, a statement, or a text within quotes. By form, not by a parser of each
language; a file of Python is read as Python reads it."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

_MARKER = re.compile(r"\s*(?:TODO|FIXME|XXX|HACK)\b")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`")
_C_LIKE = """
c h cc cpp cxx hpp hh cs css dart go gradle groovy java js jsx kt kts less m mjs cjs mm php proto rs scala scss sol
svelte swift ts tsx vue zig
"""
_SLASHES = frozenset(_C_LIKE.split())
_MARKUP = frozenset(("md", "markdown", "rst", "html", "htm", "xml", "svg", "xhtml"))
_DATA = frozenset(
    ("json", "ipynb", "csv", "tsv", "lock", "log", "diff", "patch", "map")
)  # without comments of their own
_AIMLESS = frozenset((tokenize.NL, tokenize.COMMENT))


def ending(path: str) -> str:
    """A file's ending in small letters, without its dot; empty where it has none."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def is_left_to_do(path: str, line: str) -> bool:
    """Whether a comment of the line begins with TODO or the like. One within quotes is none."""
    kind = ending(path)
    if kind in _DATA:
        return False
    openers = ("<!--",) if kind in _MARKUP else ("//", "/*") if kind in _SLASHES else ("#",)
    at = 0
    while at < len(line):
        if any(line.startswith(each, at) and _MARKER.match(line, at + len(each)) for each in openers):
            return True
        # Quotation marks of markup are no strings, and one that has no other is an apostrophe.
        quoted = None if kind in _MARKUP else _QUOTED.match(line, at)
        at = quoted.end() if quoted else at + 1
    return False


@dataclass(frozen=True, slots=True)
class Python:
    """What a file of Python has on which lines.

    Args:
        read: how many lines of it could be read as Python; of those below nothing is known.
        comments: lines with a comment.
        bare: lines with an ``except:`` whose block does not raise.
        stops: lines with a call of the debugger.
    """

    read: int
    comments: frozenset[int]
    bare: frozenset[int]
    stops: frozenset[int]


def python(lines: Sequence[str]) -> Python:
    """Read a file, or its beginning, as Python does."""
    tokens: list[tokenize.TokenInfo] = []
    read = len(lines)
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
            tokens.append(token)
    except (tokenize.TokenError, SyntaxError):  # a text that is open at the end hides what follows its beginning
        read = tokens[-1].end[0] if tokens else 0
    comments = frozenset(token.start[0] for token in tokens if token.type == tokenize.COMMENT)
    bare, stops = set(), set()
    for place, token in enumerate(tokens[:-1]):
        following = tokens[place + 1].string
        if token.string == "except" and following == ":" and not _raises(tokens[place + 2 :]):
            bare.add(token.start[0])
        if (token.string, following) == ("breakpoint", "(") or (
            token.string in ("pdb", "ipdb")
            and [each.string for each in tokens[place + 1 : place + 3]] == [".", "set_trace"]
        ):
            stops.add(token.start[0])
    return Python(read, comments, frozenset(bare), frozenset(stops))


def _raises(tokens: Sequence[tokenize.TokenInfo]) -> bool:
    """Whether the block that begins here has a ``raise``, or a ``noqa``, which says that it is meant so."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.string == "raise" or (token.type == tokenize.COMMENT and "noqa" in token.string):
            return True
        depth += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
        if depth == 0 and token.type in (tokenize.NEWLINE, tokenize.DEDENT):
            following = (each.type for each in tokens[place + 1 :] if each.type not in _AIMLESS)
            if token.type == tokenize.DEDENT or next(following, None) != tokenize.INDENT:
                return False
    return False
