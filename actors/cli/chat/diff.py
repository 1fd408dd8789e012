"""What a call would change, as lines to be shown. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ....tools.preview import Change
from ..parts.printed import plain

MOST: Final = 200
"""Lines that are shown of a call's changes."""

LONGEST: Final = 400
"""Characters that are shown of a line."""

COMPARED: Final = 20_000
"""Lines of a text; longer ones are not compared."""


class DiffLine(NamedTuple):
    """One line, and in which style rich shows it."""

    text: str
    style: str = ""


def diff_lines(changes: Iterable[Change]) -> list[DiffLine]:
    """The changes as unified diffs, one behind the other, cut after `MOST` lines."""
    lines = [line for change in changes for line in _of(change)]
    if len(lines) > MOST:
        lines[MOST:] = [DiffLine(f"… and {len(lines) - MOST:,} lines more", "dim")]
    return lines


def _of(change: Change) -> Iterator[DiffLine]:
    before, after = ([] if text is None else text.splitlines() for text in (change.before, change.after))
    what = "new" if change.before is None else "deleted" if change.after is None else "changed"
    yield DiffLine(f"{plain(change.path)} ({what})", "bold")
    if change.note:
        yield DiffLine(plain(change.note), "dim")
    if max(len(before), len(after)) > COMPARED:
        yield DiffLine(f"{len(before):,} lines become {len(after):,}", "dim")
        return
    for line in list(difflib.unified_diff(before, after, lineterm=""))[2:]:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[0], "")
        cut = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
        yield DiffLine(plain(cut), style)
    if change.before == change.after:
        yield DiffLine("nothing is different", "dim")
