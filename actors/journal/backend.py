"""What a database does for a journal. Plain values in, plain values out; called on the journal's threads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from .codec import Encoded
from .store import Header, Retention


class Append(NamedTuple):
    """Events for a stream.

    Args:
        id: unique for ever; a commit whose outcome was not learned is recognised by it when it is tried again.
        stream: its name.
        owner: the worker that must own the stream; empty: nobody alive may.
        epoch: the owner's; 0 where ``owner`` is empty.
        expected: the version the stream must have; None for any (only without an owner).
        events: what is added.
        unfinished: the stream's flag from here on; None leaves it.
        labels: added to the stream's.
        keys: claimed for the stream.
        drop: other streams, deleted with it.
        taken: posts, deleted with it.
    """

    id: str
    stream: str
    owner: str
    epoch: int
    expected: int | None
    events: tuple[Encoded, ...]
    unfinished: bool | None = None
    labels: Mapping[str, str] | None = None
    keys: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    taken: tuple[int, ...] = ()


class Acquire(NamedTuple):
    """Make ``owner`` the stream's owner under a new epoch. Its result is an `Acquired`.

    Args:
        stream: its name.
        owner: the worker.
        epoch: what a stream begins with that is not there yet; 0: as the store sees fit.
    """

    stream: str
    owner: str
    epoch: int = 0


class Acquired(NamedTuple):
    """A stream taken over: its version, its new epoch, and up to which version a snapshot stands for it (0: none)."""

    version: int
    epoch: int
    snapshot: int


class KeepSnapshot(NamedTuple):
    """Replace a stream's snapshot, if it is still owned under this epoch."""

    stream: str
    owner: str
    epoch: int
    version: int
    event: Encoded


class Release(NamedTuple):
    """Give a stream back, if it is still owned under this epoch."""

    stream: str
    owner: str
    epoch: int


class Delete(NamedTuple):
    """Delete streams with their events, snapshots, keys and posts."""

    streams: tuple[str, ...]


class Leave(NamedTuple):
    """Leave a message for a stream's owner."""

    stream: str
    event: Encoded


class Discard(NamedTuple):
    """Delete posts."""

    posts: tuple[int, ...]


class Prune(NamedTuple):
    """Delete what need not be kept, about ``most`` streams. Its result is their number; fewer than ``most``: that is
    all."""

    retention: Retention
    most: int = 500


Write: TypeAlias = Append | Acquire | KeepSnapshot | Release | Delete | Leave | Discard | Prune


class Kept(NamedTuple):
    """An event as it lies in the store."""

    position: int
    stream: str
    version: int
    event: Encoded
    at: float


class Left(NamedTuple):
    """A post as it lies in the store."""

    id: int
    stream: str
    event: Encoded


class Backend(Protocol):
    """One database. Every method may raise whatever the database's library raises."""

    def prepare(self) -> None:
        """Make or migrate the tables. Called once, by the constructor of the journal, on its thread.

        Raises:
            JournalUnavailable: it cannot be opened, or is no journal of ours, or a newer one.
        """
        ...

    def write(self, batch: Sequence[Write]) -> list[object]:
        """Carry out a batch in one transaction, in order.

        After a transient fault the very same batch comes again, for which it may be that it was committed. After
        any other its items come again one by one.

        Returns:
            for each its result (an int, an `Acquired`, None), or the `JournalError` that harms it alone.
        """
        ...

    def heartbeat(self, worker: str, lease: float) -> None:
        """Register the worker, or renew its lease, for ``lease`` seconds from now."""
        ...

    def read(self, stream: str, after: int, upto: int | None, limit: int | None) -> list[Kept]:
        """Committed events of a stream with ``after < version <= upto``."""
        ...

    def snapshot(self, stream: str) -> tuple[int, Encoded] | None:
        """A stream's snapshot and the version up to which it stands for it."""
        ...

    def headers(
        self,
        prefix: str,
        unfinished: bool | None,
        abandoned: bool,
        labels: Mapping[str, str],
        after: str,
        limit: int | None,
    ) -> list[Header]:
        """As `Journal.headers`."""
        ...

    def find(self, key: str) -> str | None:
        """As `Journal.find`."""
        ...

    def posts(self, worker: str) -> list[Left]:
        """All posts for streams that the worker owns or nobody alive owns, by id."""
        ...

    def left(self, stream: str) -> list[Left]:
        """All posts for a stream, whoever owns it, by id."""
        ...

    def records(self, after: int, prefix: str, limit: int) -> list[Kept]:
        """Committed events of streams that begin with ``prefix``, with a higher position than ``after``, in order."""
        ...

    def position(self) -> int:
        """The position of the last committed event."""
        ...

    def watch(self, changed: Callable[[], None]) -> float:
        """Somebody waits for what is new. Called any number of times with the same function.

        Args:
            changed: to be called, on any thread, when another process may have committed something.

        Returns:
            seconds after which to look all the same.
        """
        ...

    def leave(self, worker: str) -> None:
        """The worker's lease ends, and its streams have no owner."""
        ...

    def is_transient(self, error: Exception) -> bool:
        """Whether it makes sense to try the same again: the fault is the store's, not the batch's."""
        ...

    def reconnect(self) -> None:
        """After a fault, on the thread on which it came: let go of connections that may be broken. Never raises."""
        ...

    def close(self) -> None:
        """Let go of every connection. Never raises. The other methods are not called any more."""
        ...

    def forked(self) -> None:
        """In a process forked from this one: let go of what it must not hold, without a word to the database. The
        object is kept for ever after, and nothing else of it is called."""
        ...
