"""What journals raise.

JournalError(CallboardError)
├── JournalUnavailable   the store cannot be opened: no such server, no journal, written by a newer version
├── JournalClosed        the journal was closed; what waited is not kept, or not known to be
├── StreamError          one stream is concerned, and no other
│   ├── StreamConflict   its version is not the expected one; nothing was written
│   ├── CheckpointConflict  somebody else has gone on from LangGraph's checkpoint; nothing was written
│   ├── StreamFenced     somebody else has taken it over; nothing was written
│   ├── StreamOwned      a worker that is alive holds it
│   └── EventNotReadable what is kept there cannot be decoded
├── KeyTaken             another stream has claimed the key
└── EventNotWritable     (also ValueError)  an event cannot be encoded; nothing was queued
"""

from __future__ import annotations

from ..core.base.errors import CallboardError


class JournalError(CallboardError):
    """Events cannot be written or read."""


class JournalUnavailable(JournalError):
    """The store cannot be opened."""


class JournalClosed(JournalError):
    """The journal was closed before this was done."""


class StreamError(JournalError):
    """One stream is concerned, and no other.

    Attributes:
        stream: its name.
    """

    def __init__(self, message: str, stream: str = "") -> None:
        super().__init__(message)
        self.stream = stream


class StreamConflict(StreamError):
    """The stream's version is not the expected one; nothing was written.

    Attributes:
        expected, actual: the versions.
    """

    def __init__(self, message: str, stream: str = "", expected: int = 0, actual: int = 0) -> None:
        super().__init__(message, stream)
        self.expected = expected
        self.actual = actual


class CheckpointConflict(StreamError):
    """A checkpoint of LangGraph's was built on one that is not its thread's latest any more; it was not written.

    Attributes:
        parent: the id of the checkpoint it was built on; None where it was to be the first.
        latest: the id of the one that is the latest.
    """

    def __init__(self, message: str, stream: str = "", parent: str | None = None, latest: str = "") -> None:
        super().__init__(message, stream)
        self.parent = parent
        self.latest = latest


class StreamFenced(StreamError):
    """Somebody else has taken the stream over since; nothing was written.

    Attributes:
        epoch: the one under which it was tried.
    """

    def __init__(self, message: str, stream: str = "", epoch: int = 0) -> None:
        super().__init__(message, stream)
        self.epoch = epoch


class StreamOwned(StreamError):
    """A worker that is alive holds the stream.

    Attributes:
        owner: the worker.
        seconds: until its lease ends, if it does not renew it.
    """

    def __init__(self, message: str, stream: str = "", owner: str = "", seconds: float = 0.0) -> None:
        super().__init__(message, stream)
        self.owner = owner
        self.seconds = seconds


class EventNotReadable(StreamError):
    """What is kept in the stream cannot be decoded.

    Attributes:
        position: of the event, where a subscription came upon it; otherwise 0.
    """

    position = 0


class KeyTaken(JournalError):
    """Another stream has claimed the key.

    Attributes:
        key, stream: what, and whose it is.
    """

    def __init__(self, message: str, key: str = "", stream: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.stream = stream


class EventNotWritable(JournalError, ValueError):
    """An event cannot be encoded; nothing was queued."""


def wrong_header(stream: str, version: int, last: int) -> EventNotReadable:
    """The named error of a stream whose header does not fit its events: it was lost, or is wrong."""
    text = f"the header of {stream} says version {version}, its last event is {last}: repair the journal"
    return EventNotReadable(text, stream)
