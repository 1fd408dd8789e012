"""What a call would change, shown to whoever decides whether it may be made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias


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
        TypeError: it returned something else.
    """
    if given is None:
        return ()
    changes = (given,) if isinstance(given, Change) else tuple(given) if isinstance(given, Iterable) else (given,)
    for one in changes:
        texts = (one.before, one.after) if isinstance(one, Change) else (0,)
        if not all(text is None or isinstance(text, str) for text in texts):
            raise TypeError(f"preview returned {type(one).__name__}, not a Change of texts, several, or None")
    return changes
