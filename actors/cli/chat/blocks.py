"""Where a text that is still being written can be cut, so that what came before may be shown for good. Pure."""

from __future__ import annotations

import re
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")


def whole_lines(text: str) -> int:
    """How many characters of a text are lines that have ended."""
    return text.rfind("\n") + 1


def whole_blocks(text: str) -> int:
    """How many characters of a Markdown text are blocks that have ended: up to the last empty line that is outside of
    code, and behind which a block begins at the margin. What is indented belongs to the list before it.
    """
    end = place = 0
    fence = ""
    empty = False
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n") and not line.strip():
            break  # who knows what comes there
        if empty and not fence and not line[0].isspace():
            end = place
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        empty = not fence and not line.strip()
        place += len(line)
    return end
