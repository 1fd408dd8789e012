"""What a memory raises.

MemoryFailed(CallboardError)
├── MemoryUnavailable    the store cannot be opened: no such server, another program's file, made by a newer version
├── MemoryClosed         the memory was closed, or belongs to the process that this one was forked from
├── EmbedderMismatch     the vectors in the store are another embedder's
├── EmbeddingFailed      the embedder failed, or gave what are no vectors
├── UnknownFact          the owner has no fact of that id
├── FactEnded            the fact has been corrected or forgotten already; nothing was written
├── WrongFact            (also ValueError)  a fact, an owner or a query is described wrongly
└── DocumentFailed       a document cannot be read or kept; what was kept of it before stays
    ├── DocumentNotFound     there is no such file
    ├── UnreadableDocument   it is damaged, encrypted, of a kind that is not read, or no text
    ├── EmptyDocument        there is no text in it
    ├── DocumentTooLarge     it, or the text in it, has too many bytes
    └── WrongDocument        (also ValueError)  a document is described wrongly
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


class DocumentFailed(MemoryFailed):
    """A document cannot be read or kept. What was kept of it before stays as it is.

    Attributes:
        document: its name.
    """

    def __init__(self, message: str, document: str = "") -> None:
        super().__init__(message)
        self.document = document


class DocumentNotFound(DocumentFailed):
    """There is no such file, or it may not be read."""


class UnreadableDocument(DocumentFailed):
    """It is damaged, encrypted, of a kind that is not read, or no text."""


class EmptyDocument(DocumentFailed):
    """There is no text in it."""


class DocumentTooLarge(DocumentFailed):
    """It, or the text in it, has too many bytes."""


class WrongDocument(DocumentFailed, ValueError):
    """A document is described wrongly."""
