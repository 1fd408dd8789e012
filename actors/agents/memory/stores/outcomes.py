"""What comes of changes, in the same words in every store."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import EmbedderMismatch, FactEnded, UnknownFact
from ..facts.fact import Fact
from .store import Change, Correct, Erase


def corrected(old: Fact, change: Correct) -> Fact:
    """The fact that supersedes another one."""
    return Fact(
        change.by,
        change.text,
        change.source,
        old.owner,
        change.at,
        old.valid_to,
        old.labels if change.labels is None else change.labels,
        old.metadata if change.metadata is None else change.metadata,
        old.kind,
        old.id,
    )


def erases(batch: Iterable[Change]) -> bool:
    """Whether changes delete something."""
    return any(item.__class__ is Erase or getattr(item, "replaces", None) is not None for item in batch)


def unknown(id: str) -> UnknownFact:
    """The named error of an id that the owner has no fact of: there is none, or it is somebody else's."""
    return UnknownFact(f"the owner has no fact {id!r:.80}", id)


def ended(id: str, by: str) -> FactEnded:
    """The named error of a fact that cannot be corrected any more."""
    how = f"been corrected by {by!r}: correct that one" if by else "ended: add a new one"
    return FactEnded(f"the fact {id!r:.80} has {how}", id, by)


def mismatch(kept: tuple[str, int], given: tuple[str, int]) -> EmbedderMismatch | None:
    """The named error of vectors that are another embedder's; None if they are not.

    Args:
        kept: the name of the embedder whose vectors are there, and their dimensions; empty, and 0, where there are none
            yet.
        given: the same of the other ones.
    """
    if not kept[0] or kept == given or (kept[0] == given[0] and not kept[1]):
        return None
    if kept[0] == given[0]:
        return _mismatch(*(f"{name} of {dimensions} dimensions" for name, dimensions in (kept, given)))
    return _mismatch(kept[0], given[0])


def _mismatch(kept: str, given: str) -> EmbedderMismatch:
    return EmbedderMismatch(
        f"the vectors in this memory are those of the embedder {kept!r}, and cannot be compared with those of"
        f" {given!r}: use that one, or have them made anew with Memory.reindex()",
        kept,
        given,
    )
