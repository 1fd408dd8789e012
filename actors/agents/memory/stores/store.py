"""What a store of facts does: plain values in, plain values out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from ..embedding.embedder import Vectors
from ..facts.fact import Fact, Owner

if TYPE_CHECKING:
    from ..embedding.embedder import Matrix

Place: TypeAlias = Hashable
"""What a store knows a fact by."""


class Add(NamedTuple):
    """Keep facts, all or none. Its result are the facts that are kept: a list of `Fact`.

    Args:
        facts: of one owner, at least one.
        key: empty, or what makes it once: where the same user and tenant have facts under it already, nothing is
            written, and those are the result.
        vectors: one for each fact; None: they are made later (`Embed`).
        replaces: what is deleted in the same transaction, if anything is written.
        in_place: whether what is replaced has to be there: otherwise nothing is written, and the result is an
            `UnknownFact`. With a key that is known it is deleted, too.
    """

    facts: tuple[Fact, ...]
    key: str
    vectors: Vectors | None
    replaces: Erase | None
    in_place: bool


class Correct(NamedTuple):
    """Keep a fact that supersedes another one, which ends where the new one begins. Its result is the new `Fact`.

    Args:
        id: of the fact that is corrected; it must not have ended before ``at``.
        owner: must see it. The new fact has the owner of the old one.
        by: the id of the new one.
        text, source: the new one's.
        at: since when the new one is true.
        labels, metadata: the new one's; None: those of the old one.
        key: as of `Add`.
        vectors: None, or the new one's.
    """

    id: str
    owner: Owner
    by: str
    text: str
    source: str
    at: float
    labels: tuple[str, ...] | None
    metadata: Mapping[str, Any] | None
    key: str
    vectors: Vectors | None


class End(NamedTuple):
    """Have a fact be true no more from a moment on; one that has ended before stays as it is. Its result is the
    `Fact`."""

    id: str
    owner: Owner
    at: float


class Erase(NamedTuple):
    """Delete facts so that nothing of them is left in the store. Its result is their number.

    Args:
        owner: whose: all of a user's of a tenant, or those of one agent's only, where one is named.
        source: only those of this source; None for all.
        kinds: only those of these kinds; none for all.
        id: only the one of this id; empty for all.
    """

    owner: Owner
    source: str | None = None
    kinds: tuple[str, ...] = ()
    id: str = ""


class Embed(NamedTuple):
    """Keep vectors that were missing. Its result is None.

    Args:
        places: of the facts, one for each vector; what has been erased meanwhile is passed over.
        vectors: theirs.
    """

    places: tuple[Place, ...]
    vectors: Vectors


class Reindex(NamedTuple):
    """Have every vector be made anew by this embedder, unless it is its vectors that are there. Its result is None.

    Args:
        embedder: its name.
        dimensions: of its vectors: if they have changed, it is another one.
    """

    embedder: str
    dimensions: int


Change: TypeAlias = Add | Correct | End | Erase | Embed | Reindex


@dataclass(frozen=True, slots=True)
class Selection:
    """Which facts are looked at.

    Args:
        owner: those that this owner sees; None: everybody's.
        at: those that are true at this moment; None: whenever.
        kind: of this kind; None: of every kind.
        source: of this source; None: of every one.
    """

    owner: Owner | None
    at: float | None = None
    kind: str | None = None
    source: str | None = None


class Query(NamedTuple):
    """What is looked for.

    Args:
        selection: where.
        terms: words, as `facts.terms` makes them; none: nothing is looked for by words.
        vector: shape (dimensions,), of length 1; None: nothing is looked for by nearness.
        embedder: whose vector that is.
        depth: how many of each ranking are wanted.
    """

    selection: Selection
    terms: tuple[str, ...]
    vector: Matrix | None
    embedder: str
    depth: int


class Ranked(NamedTuple):
    """What fits a query.

    Args:
        by_text, by_vector: places, best first.
        unembedded: whether there are facts in the selection's owner's memory that have no vector.
        outstanding: how many of ``by_vector`` are nearer than most; see `facts.fusion`. None: all of them.
    """

    by_text: Sequence[Place]
    by_vector: Sequence[Place]
    unembedded: bool
    outstanding: int | None = None


class MemoryStore(Protocol):
    """One database of facts. Used on the memory's threads only; it may raise whatever its library raises.

    Attributes:
        reads_beside_writes: whether what reads is called on another thread than what writes, at the same time.
    """

    reads_beside_writes: bool

    def prepare(self) -> None:
        """Make or migrate what is needed. Called once, as the memory is made, on that thread.

        Raises:
            MemoryUnavailable: it cannot be opened, is no memory of ours, or a newer one.
        """
        ...

    def write(self, batch: Sequence[Change]) -> list[object]:
        """Carry out a batch in one transaction, in order.

        After a transient fault the very same batch comes again, for which it may be that it was committed; ids and
        keys tell. After any other its items come again one by one.

        Returns:
            for each its result, or the `MemoryFailed` that harms it alone: `UnknownFact`, `FactEnded`,
            `EmbedderMismatch`. Where it is an error nothing of the item was written.
        """
        ...

    def clean_up(self) -> bool:
        """Get rid of what erasing had to leave behind, if anything. Called where writes are, when none waits.

        Returns:
            whether nothing is left; otherwise it is called again after a while.
        """
        ...

    def search(self, query: Query) -> Ranked:
        """What fits best by words, and by nearness.

        Raises:
            EmbedderMismatch: the vectors that are there are another embedder's.
        """
        ...

    def take(self, places: Sequence[Place]) -> dict[Place, Fact]:
        """The facts at these places, as far as they are still there."""
        ...

    def get(self, id: str, owner: Owner) -> Fact | None:
        """A fact that the owner sees."""
        ...

    def select(self, selection: Selection) -> list[Fact]:
        """Facts in the order in which they were added, owner by owner: all as they are at one moment."""
        ...

    def unembedded(self, owner: Owner | None, limit: int) -> list[tuple[Place, str]]:
        """Places and texts of facts without a vector: of those that the owner sees at least, or of everybody's."""
        ...

    def is_transient(self, error: Exception) -> bool:
        """Whether the same may succeed later."""
        ...

    def reconnect(self) -> None:
        """Called after a transient fault."""
        ...

    def close(self) -> None:
        """Let go of every resource."""
        ...

    def forked(self) -> None:
        """Called in a forked process: what belongs to the parent is left alone."""
        ...
