"""What a call would change, shown to whoever decides whether it may be made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import islice
from typing import Any, Final, TypeAlias

MOST_CHANGES: Final = 1_000
"""Of one call."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a call would change in one place.

    Args:
        path: which: a file's path, a record's name …
        before: what is there now; None for nothing.
        after: what would be there; None for nothing.
        note: what the texts do not say: ``a binary file of 1,200 bytes is there``.
    """

    path: str
    before: str | None = field(default=None, repr=False)
    after: str | None = field(default=None, repr=False)
    note: str = ""


Changes: TypeAlias = Change | Iterable[Change] | None

Preview: TypeAlias = Callable[[dict[str, Any]], Changes | Awaitable[Changes]]
"""Says what a call with these arguments would change, and changes nothing. A plain function is called in a thread."""


def as_changes(given: object) -> tuple[Change, ...]:
    """Changes, however many a preview returned.

    Raises:
        TypeError: it returned something else, or too many.
    """
    if given is None:
        return ()
    several = given if isinstance(given, Iterable) else (given,)
    changes = tuple(islice(several, MOST_CHANGES + 1))
    for one in changes:
        if not isinstance(one, Change) or not _fits(one):
            raise TypeError(f"preview returned {type(one).__name__}, not a Change of texts, several, or None")
    if len(changes) > MOST_CHANGES:
        raise TypeError(f"preview returned more than {MOST_CHANGES:,} changes")
    return changes


def _fits(change: Change) -> bool:
    texts = (text for text in (change.before, change.after) if text is not None)
    return all(isinstance(text, str) for text in (change.path, change.note, *texts))


def asked(preview: Preview, arguments: dict[str, Any]) -> object:
    """What a preview returns; what is to be gone through is gone through here and now."""
    given = preview(arguments)
    return given if isawaitable(given) else as_changes(given)
