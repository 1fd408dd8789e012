"""What a call would change, line by line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import count, takewhile
from typing import Any, Final

from .....tools.preview import Change
from .cutting import Room

CONTEXT: Final = 3
"""Lines that are shown around what is changed."""

MOST_COMPARED: Final = 2_000
"""Lines, on each side, between the first and the last that differ, that are compared; more than that are shown as
replaced: comparing takes a time that grows with their product."""

MOST_CHANGES: Final = 100


def changes_of(room: Room, changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Changes, each with its texts before and after and a unified diff of them.

    Args:
        room: for their texts.
        changes: those behind the first `MOST_CHANGES` are left out.
    """
    return [room.told(_change(room, one)) for one in changes[:MOST_CHANGES]]


def _change(room: Room, change: Change) -> dict[str, Any]:
    diff = unified(change)
    return {
        "path": change.path,
        "diff": room.text(diff),
        "before": None if change.before is None else room.text(change.before),
        "after": None if change.after is None else room.text(change.after),
        "note": change.note,
    }


def unified(change: Change) -> str:
    """A change as ``diff -u`` and ``patch`` have it; empty where nothing is changed."""
    old, new = _lines(change.before), _lines(change.after)
    if old == new and (change.before is None) == (change.after is None):
        return ""
    path = "".join(one if one.isprintable() else "\ufffd" for one in change.path)
    told = [f"--- {path if change.before is not None else '/dev/null'}\n"]
    told.append(f"+++ {path if change.after is not None else '/dev/null'}\n")
    for group in _groups(_codes(old, new)):
        first, last = group[0], group[-1]
        told.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n")
        for kind, a, b, c, d in group:
            if kind == "equal":
                told += [_line(" ", line) for line in old[a:b]]
                continue
            told += [_line("-", line) for line in old[a:b]]
            told += [_line("+", line) for line in new[c:d]]
    return "".join(told)


def _lines(text: str | None) -> list[str]:
    """The lines of a text with their ends: as files have them, not as Python splits a text."""
    if not text:
        return []
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _range(start: int, end: int) -> str:
    """Lines as a diff counts them."""
    length = end - start
    if length == 1:
        return f"{start + 1}"
    return f"{start + 1 if length else start},{length}"


_Code = tuple[str, int, int, int, int]


def _codes(old: list[str], new: list[str]) -> list[_Code]:
    """What becomes of which lines: see `SequenceMatcher.get_opcodes`."""
    least = min(len(old), len(new))
    head = sum(1 for _ in takewhile(lambda at: at < least and old[at] == new[at], count()))
    rest = least - head
    tail = sum(1 for _ in takewhile(lambda at: at < rest and old[-1 - at] == new[-1 - at], count()))
    a, b, c, d = head, len(old) - tail, head, len(new) - tail
    codes: list[_Code] = [("equal", 0, head, 0, head)] if head else []
    if b - a <= MOST_COMPARED and d - c <= MOST_COMPARED:
        matcher = SequenceMatcher(None, old[a:b], new[c:d])
        codes += [(kind, a + i, a + j, c + k, c + m) for kind, i, j, k, m in matcher.get_opcodes()]
    else:
        codes.append(("replace", a, b, c, d))
    if tail:
        codes.append(("equal", b, len(old), d, len(new)))
    return codes


def _groups(codes: list[_Code]) -> Iterator[list[_Code]]:
    """What is changed, with some lines around it, in pieces; see `SequenceMatcher.get_grouped_opcodes`."""
    group: list[_Code] = []
    for index, (kind, a, b, c, d) in enumerate(codes):
        if kind != "equal":
            group.append((kind, a, b, c, d))
            continue
        if index == 0:
            a, c = max(a, b - CONTEXT), max(c, d - CONTEXT)
        if index == len(codes) - 1:
            b, d = min(b, a + CONTEXT), min(d, c + CONTEXT)
        elif index and b - a > 2 * CONTEXT:
            yield [*group, (kind, a, a + CONTEXT, c, c + CONTEXT)]
            group = []
            a, c = b - CONTEXT, d - CONTEXT
        group.append((kind, a, b, c, d))
    if any(kind != "equal" for kind, *_ in group):
        yield group
