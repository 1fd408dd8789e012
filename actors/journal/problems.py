"""What is found when a journal is looked over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

Fold: TypeAlias = Callable[[str, Sequence[Any]], object]
"""Is given a stream's name and all its events; raises if they do not fit together."""


class Problem(NamedTuple):
    """Something that is not as it should be.

    Args:
        stream: whose; empty where none is concerned.
        text: what it is.
        remedy: what ``repair`` does about it.
    """

    stream: str
    text: str
    remedy: str = ""


SET_ASIDE: Final = "it is set aside: no start takes it up, and nothing of it is deleted"
HEADER: Final = "its header is made again out of its events"
LABELS: Final = "it has no labels from now on"
SNAPSHOT: Final = "the snapshot is dropped: the events are all there"
KEY: Final = "the key is free again"
INDEXES: Final = "the indexes are made again"
LEFT: Final = "it is left as it is"


def misfit(error: Exception) -> str:
    """The text for events that a `Fold` does not take."""
    return f"its events do not fit together: {type(error).__name__}: {error}"
