"""What a memory raises.

MemoryFailed(CallboardError)
├── MemoryUnavailable    the store cannot be opened: no such server, another program's file, made by a newer version
├── MemoryClosed         the memory was closed, or belongs to the process that this one was forked from
├── EmbedderMismatch     the vectors in the store are another embedder's
├── EmbeddingFailed      the embedder failed, or gave what are no vectors
├── UnknownFact          the owner has no fact of that id
├── FactEnded            the fact has been corrected or forgotten already; nothing was written
└── WrongFact            (also ValueError)  a fact, an owner or a query is described wrongly
"""

from __future__ import annotations

from ...core.base.errors import CallboardError


class MemoryFailed(CallboardError):
    """Facts cannot be kept or found."""


class MemoryUnavailable(MemoryFailed):
    """The store cannot be opened."""


class MemoryClosed(MemoryFailed):
    """The memory was closed before this was done."""


class EmbedderMismatch(MemoryFailed):
    """The vectors in the store are another embedder's, with which this one's cannot be compared.

    Attributes:
        kept: the embedder whose vectors are there.
        given: the one that was to be used.
    """

    def __init__(self, message: str, kept: str = "", given: str = "") -> None:
        super().__init__(message)
        self.kept = kept
        self.given = given


class EmbeddingFailed(MemoryFailed):
    """The embedder failed, or gave what are no vectors."""


class UnknownFact(MemoryFailed):
    """The owner has no fact of that id.

    Attributes:
        id: the id.
    """

    def __init__(self, message: str, id: str = "") -> None:
        super().__init__(message)
        self.id = id


class FactEnded(MemoryFailed):
    """The fact has been corrected or forgotten already.

    Attributes:
        id: the fact's.
        by: the id of the fact that corrects it; empty if it was forgotten.
    """

    def __init__(self, message: str, id: str = "", by: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.by = by


class WrongFact(MemoryFailed, ValueError):
    """A fact, an owner or a query is described wrongly."""
