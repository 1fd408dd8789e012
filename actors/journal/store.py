"""What a journal is: named streams of events, each with one owner at a time.

`Journal` and `Stream` are protocols; `memory`, `sqlite` and `postgres` keep them. Where a method returns
``X | Future[X]``, it returns the value itself if it is there at once (in memory), and otherwise a future that is
settled on the event loop on which it was called. Nothing here blocks an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from ..core.mail.future import Future

T = TypeVar("T")


async def at_hand(found: T | Future[T]) -> T:
    """What a journal returns, whether it is there at once or later."""
    return await found if isinstance(found, Future) else found


class Record(NamedTuple):
    """An event as it is kept.

    Args:
        position: where in the order of all events of the journal, counted from 1; later events have higher ones.
        stream: the stream's name.
        version: where in the stream, counted from 1.
        type: the event's type, as in SQL.
        event: the event itself.
        metadata: what was kept beside it.
        at: when, in seconds since 1970 by the store's wall clock.
    """

    position: int
    stream: str
    version: int
    type: str
    event: Any
    metadata: Mapping[str, Any]
    at: float


class Header(NamedTuple):
    """What is known of a stream without reading it.

    Args:
        name: the stream's.
        version: number of events it ever had.
        epoch: how often it has been taken over.
        owner: the worker that holds it, or empty where nobody alive does.
        unfinished: whether there is work left in it, as its owner said.
        labels: what its owner said of it.
        created_at, updated_at: seconds since 1970 by the store's wall clock.
        damaged: why it cannot be read, or empty.
    """

    name: str
    version: int
    epoch: int
    owner: str
    unfinished: bool
    labels: Mapping[str, str]
    created_at: float
    updated_at: float
    damaged: str = ""


class Post(NamedTuple):
    """A message to whoever owns a stream.

    Args:
        id: unique in the journal, in the order posted.
        stream: the stream's name.
        event: what is said.
    """

    id: int
    stream: str
    event: Any


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is finished is kept, in seconds since a stream's last event.

    Streams that are unfinished, or owned by a worker that is alive, are never pruned.

    Args:
        finished: of streams in general; None keeps them for ever.
        ephemeral: of streams whose label ``ephemeral`` is ``"1"``.
    """

    finished: float | None = None
    ephemeral: float | None = 3600.0


class Stream(Protocol):
    """An owner's handle on a stream. Used on one event loop's thread.

    Attributes:
        name: the stream's.
        epoch: under which it was opened.
        version: of the last event appended, committed or not.
        snapshot: what stood for the events before ``events`` when it was opened, or None.
        events: what had been kept when it was opened; may be set to ``()`` once it has been read.
    """

    name: str
    epoch: int
    version: int
    snapshot: Any
    events: Sequence[Any]

    def append(
        self,
        events: Sequence[Any],
        *,
        unfinished: bool | None = None,
        labels: Mapping[str, str] | None = None,
        keys: Sequence[str] = (),
        drop: Sequence[str] = (),
        taken: Sequence[int] = (),
    ) -> Future[None] | None:
        """Add events to the end, and what belongs to it, all or none.

        Args:
            events: in order; may be empty.
            unfinished: whether there is work left, from here on; None leaves it as it is.
            labels: added to the stream's.
            keys: claimed for this stream; a key belongs to one stream.
            drop: other streams that are deleted with it.
            taken: ids of posts that need not be delivered any more.

        Returns:
            None if it is as safe as it gets already; otherwise a future that is done once it is. It fails with
            `StreamConflict`, `StreamFenced` or `KeyTaken` (after the first two every further append of this handle
            fails, too), or with `JournalClosed`. A fault of the store as a whole is waited out.

        Raises:
            EventNotWritable: an event cannot be encoded; nothing was queued.
            JournalClosed: the journal is closed, or this is a forked process.
        """
        ...

    def keep_snapshot(self, event: Any) -> None:
        """Keep an event that stands for everything up to the present version, in place of an earlier one.

        Raises:
            EventNotWritable, JournalClosed: as `append`.
        """
        ...

    def release(self) -> Future[None] | None:
        """Give the stream back once what was appended is committed. The handle cannot be used any more."""
        ...


class Journal(Protocol):
    """Streams of events.

    Attributes:
        worker: the owner of what is opened here; unique for ever.
    """

    worker: str

    def open(self, stream: str) -> Stream | Future[Stream]:
        """Become the owner of a stream, and read it. One that does not exist is at version 0.

        A handle that this worker had on it before is fenced.

        Raises (or the future does):
            StreamOwned: another worker that is alive holds it.
            EventNotReadable: it is damaged.
            JournalClosed: the journal is closed.
        """
        ...

    def create(self, stream: str) -> Stream:
        """Become the owner of a stream whose name nobody has used before, without waiting to hear that it is so.

        If somebody has, what is appended is refused, as if the stream had been taken over.

        Raises:
            JournalClosed: the journal is closed.
        """
        ...

    def append(self, stream: str, events: Sequence[Any], *, expected: int | None = None) -> Future[int] | int:
        """Add events to a stream that nobody alive owns.

        Args:
            stream: its name.
            events: in order.
            expected: the version it must have; None for any.

        Returns:
            its version now. The future fails as `Stream.append`'s does, and with `StreamOwned`.

        Raises:
            EventNotWritable: an event cannot be encoded.
        """
        ...

    def read(
        self, stream: str, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Record] | Future[Sequence[Record]]:
        """The committed events of a stream from version ``after + 1`` on, at most ``limit``. Nobody need own it."""
        ...

    def headers(
        self,
        *,
        prefix: str = "",
        unfinished: bool | None = None,
        abandoned: bool = False,
        labels: Mapping[str, str] | None = None,
        after: str = "",
        limit: int | None = None,
    ) -> Sequence[Header] | Future[Sequence[Header]]:
        """What is known of the streams that fit, by name.

        Args:
            prefix: of their names.
            unfinished: whether there is work left in them; None for both.
            abandoned: only those that nobody alive owns.
            labels: what their labels must say.
            after: only names behind this one.
            limit: how many at most.
        """
        ...

    def find(self, key: str) -> str | Future[str | None] | None:
        """The stream that has claimed a key."""
        ...

    def delete(self, *streams: str) -> Future[None] | None:
        """Delete streams with all that belongs to them, whoever owns them."""
        ...

    def forget(self, *streams: str) -> None:
        """Delete streams soon; nobody waits to hear of it."""
        ...

    def post(self, stream: str, event: Any) -> Future[None] | None:
        """Leave a message for whoever owns a stream, now or later, in any process.

        Raises:
            EventNotWritable: it cannot be encoded.
        """
        ...

    def posts(self, stream: str) -> Sequence[Post] | Future[Sequence[Post]]:
        """What has been left for a stream's owner, whoever that is, and was neither taken nor discarded; by id.

        One that cannot be read is passed over, and named in the log.
        """
        ...

    def on_post(self, deliver: Callable[[Post], object] | None) -> None:
        """Have posts delivered on this event loop: those for streams that this worker owns or nobody alive owns.

        Each is delivered once to this worker; it stays in the journal until it is taken (`Stream.append`) or
        discarded. None ends it.
        """
        ...

    def discard(self, *posts: int) -> None:
        """These posts need not be delivered any more."""
        ...

    def subscribe(self, *, after: int = 0, prefix: str = "") -> AsyncIterator[Record]:
        """Every committed event of streams that begin with ``prefix``, from position ``after + 1`` on, in order and
        without a gap; then, as they are committed by whichever process, those to come."""
        ...

    def position(self) -> int | Future[int]:
        """The position of the last committed event; 0 where there is none."""
        ...

    def prune(self, retention: Retention) -> int | Future[int]:
        """Delete what need not be kept any longer. Returns how many streams went."""
        ...

    def close(self) -> None:
        """Commit what was appended, give back what is owned, let go of every resource. Any thread; twice is fine."""
        ...


@runtime_checkable
class SeesEnds(Protocol):
    """A journal by which it is seen at once that another process has ended, whatever its lease says."""

    def show(self, name: str) -> Future[None]:
        """Have the end of this process be seen under a name, unique for ever, also once the journal is closed."""
        ...

    def hide(self, name: str) -> Future[None]:
        """Nobody need see that any more."""
        ...

    def ended(self, names: Sequence[str]) -> Future[Sequence[str]]:
        """Of names that were shown, those whose processes have ended; one that is only paused has not."""
        ...
