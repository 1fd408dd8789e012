"""Search patterns whose matching time is linear, whatever a model writes.

Python's `re` can take exponential time, and holds the interpreter while it does, so that one bad pattern would stop
every actor. pydantic-core ships Rust's regex engine, which is linear and whose syntax is that of ripgrep.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import ToolError


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a text contains a match.

    Raises:
        ToolError: the pattern is not a regular expression of that engine (which has no look-around, no
            back-references).
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("error: ").strip()
        raise ToolError(f"{pattern!r} is not a regular expression that can be searched for: {reason}") from None
    return validator.isinstance_python


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a relative path fits a glob.

    ``*`` and ``?`` stay within a name, ``**`` spans folders, ``[…]`` and ``{a,b}`` are alternatives. A pattern
    without a slash is looked for in every folder. Names that start with a dot match like others.

    Raises:
        ToolError: a bracket or a brace is not closed.
    """
    anchored = pattern.removeprefix("./")
    if "/" not in anchored.rstrip("/"):
        anchored = "**/" + anchored
    return matcher(f"^(?s:{_translate(anchored.strip('/'), pattern)})$")


def _translate(pattern: str, asked: str) -> str:
    result: list[str] = []
    depth = 0
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if pattern.startswith("*", position):
                position += 1
                if pattern.startswith("/", position):
                    position += 1
                    result.append("(?:[^/]+/)*")
                else:
                    result.append(".*")
            else:
                result.append("[^/]*")
        elif character == "?":
            result.append("[^/]")
        elif character == "[":
            end = pattern.find("]", position + (2 if pattern[position : position + 1] in ("!", "^") else 1))
            if end < 0:
                raise ToolError(f"{asked!r}: a '[' is not closed")
            body = pattern[position:end]
            negated = body[0] in "!^"
            body = re.sub(r"([\\\[\]&~^])", r"\\\1", body[1:] if negated else body)
            result.append(f"[{'^/' if negated else ''}{body}]")
            position = end + 1
        elif character == "{":
            depth += 1
            result.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            result.append(")")
        elif character == "," and depth:
            result.append("|")
        else:
            result.append(re.escape(character))
    if depth:
        raise ToolError(f"{asked!r}: a '{{' is not closed")
    return "".join(result)
