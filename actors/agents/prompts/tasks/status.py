"""The states of a task, in a list and in a graph alike, and what is said of them.

    from         to             when
    pending      in_progress    it is started; in a graph, once all that it depends on is completed
    in_progress  completed      its work is done
    in_progress  failed         it could not be done
    in_progress  pending        it is given back
    failed       in_progress    it is tried again
    failed       pending        it is to be tried again, by anybody

What is completed stays so: others may have gone on from its result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from .....tools.errors import TaskError

Status: TypeAlias = Literal["pending", "in_progress", "completed", "failed"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
MARKS: Final[Mapping[Status, str]] = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]", "failed": "[!]"}

_TRANSITIONS: Final[Mapping[Status, tuple[Status, ...]]] = {
    "pending": ("in_progress",),
    "in_progress": ("completed", "failed", "pending"),
    "completed": (),
    "failed": ("in_progress", "pending"),
}
_ID: Final = re.compile(r"[\w.:/-]{1,64}")
_LONGEST: Final = 200
"""Characters of a title, a reason or a result in one line of an overview."""
_NAMED: Final = 20
"""How many ids an error names: enough to find the right one, few enough to be read."""


def check_move(task_id: str, old: Status, new: Status, *, given_back: bool = True) -> None:
    """Look whether a task may go from one state to another.

    Args:
        task_id: whose.
        old: where it is.
        new: where it is to go.
        given_back: whether tasks can become pending again; in a list they do not.

    Raises:
        TaskError: it may not; the text says what it can become.
    """
    if new not in STATUSES:
        raise TaskError(f"task {task_id!r}: there is no status {new!r:.80}; there are: {', '.join(STATUSES)}")
    if new not in _TRANSITIONS[old]:
        there = [way for way in _TRANSITIONS[old] if given_back or way != "pending"]
        ways = f"can only become {' or '.join(there)}" if there else "stays so"
        raise TaskError(f"task {task_id!r} is {old} and {ways}")


def check_named(task_id: Any, title: Any) -> None:
    """Look at what a task is called.

    Raises:
        TaskError: the id or the title is none.
    """
    if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        raise TaskError(f"task id {task_id!r:.80}: use letters, digits, _ . : / and -, at least one and at most 64")
    if not isinstance(title, str) or not title.strip():
        raise TaskError(f"task {task_id!r}: a task needs a title")


def listed(ids: Iterable[str]) -> str:
    """Some ids for an error: the first few of many."""
    known = list(ids)
    more = len(known) - _NAMED
    return ", ".join(known[:_NAMED]) + (f", and {more} more" if more > 0 else "") or "none"


def unknown(task_id: Any, known: Iterable[str]) -> TaskError:
    """What to raise where a task is named that is not there."""
    return TaskError(f"there is no task {task_id!r:.80}; there are: {listed(known)}")


def capabilities_of(given: object) -> frozenset[str]:
    """What somebody is capable of.

    Raises:
        TaskError: it is not several texts.
    """
    if isinstance(given, Collection) and not isinstance(given, str):
        several = tuple(given)
        if all(isinstance(one, str) for one in several):
            return frozenset(several)
    raise TaskError(f"capabilities are several texts, not {given!r:.80}")


def check_agent(given: object) -> None:
    """Look at the name of an agent that works on tasks.

    Raises:
        TaskError: it is no text.
    """
    if not isinstance(given, str):
        raise TaskError(f"agent is the name of who works on tasks, not {given!r:.80}")


def plain(value: Any, what: str) -> Any:
    """A copy of a value as JSON would give it back, so that it is the same after a restart.

    Args:
        value: objects, lists, texts, numbers, truth values and None.
        what: by what an error calls it.

    Raises:
        TaskError: it is no plain data.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise TaskError(
            f"{what} is not plain data ({kind}): give objects, lists, texts, numbers, true, false or null"
        ) from error


def in_a_line(value: Any) -> str:
    """A text or plain data in one line that is not too long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def overview(rows: Iterable[tuple[int, str]], limit: int) -> list[str]:
    """The lines that matter most, in the order in which they were given, and how many were left out.

    Args:
        rows: lines with their rank; the lowest matters most.
        limit: how many lines at most.
    """
    given = list(rows)
    if len(given) <= limit:
        return [line for _, line in given]
    kept = sorted(sorted(range(len(given)), key=lambda at: given[at][0])[:limit])
    return [*(given[at][1] for at in kept), f"… and {len(given) - limit} more"]
