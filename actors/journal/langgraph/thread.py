"""What a thread's stream says: its checkpoints, the values of their channels, and the writes that are pending.

Two kinds of events, both plain JSON. What LangGraph's serializer made is kept as the name of its form and base64:

    {"langgraph": "checkpoint", "ns", "id", "parent", "run", "checkpoint": [form, base64], "metadata": [form, base64],
     "values": [[channel, version, form, base64], ...]}
    {"langgraph": "writes", "ns", "id", "task", "path", "writes": [[index, channel, form, base64], ...]}

A checkpoint brings the values of those channels only that have a new version; the others are where they changed last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, Final, NamedTuple, TypeAlias

from ...core.mail.future import Future
from ..errors import EventNotReadable
from ..store import Record

Event: TypeAlias = dict[str, Any]
Address: TypeAlias = tuple[str, str]
"""A checkpoint's namespace and id."""

EMPTY: Final = "empty"
"""The form of a channel that has a version and no value."""


class Saved(NamedTuple):
    """A checkpoint.

    Args:
        number: where in the thread's stream.
        event: as it is kept.
    """

    number: int
    event: Event

    @property
    def address(self) -> Address:
        return self.event["ns"], self.event["id"]

    @property
    def parent(self) -> str | None:
        parent: str | None = self.event["parent"]
        return parent


class Write(NamedTuple):
    """A write that is pending.

    Args:
        path: of the task.
        channel, form, text: where to, and what, serialized.
    """

    path: str
    channel: str
    form: str
    text: str


class Thread:
    """A thread, as far as its stream has been read.

    What this process appends is taken in at once, as what will be there; where the journal then says otherwise, the
    thread is ``stale``, and is read anew.

    Args:
        name: the thread's id.
        stream: where it is kept.
    """

    __slots__ = (
        "blobs",
        "counted",
        "last",
        "lock",
        "name",
        "saved",
        "size",
        "stale",
        "stream",
        "under_way",
        "version",
        "writes",
    )

    def __init__(self, name: str, stream: str) -> None:
        self.name = name
        self.stream = stream
        self.lock = RLock()  # a future that has failed already says so while it is held
        self.stale = False
        self.version = 0
        self.last: Event | None = None
        self.size = 0
        self.counted = 0  # of `size`, by the cache
        self.under_way: set[Future[Any]] = set()
        self.saved: dict[str, dict[str, Saved]] = {}  # by namespace and id, in the order they were put
        self.blobs: dict[tuple[str, str, Any], tuple[str, str]] = {}  # by namespace, channel and version
        self.writes: dict[Address, dict[tuple[str, int], Write]] = {}  # by task and index

    # -- taking in ---------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Take in the next event."""
        try:
            kind = event["langgraph"]
            if kind == "checkpoint":
                self._take_checkpoint(event)
            elif kind == "writes":
                self._take_writes(event)
            else:
                raise ValueError(f"a newer version has written {kind!r}")
        except Exception as error:
            what = f"event {self.version + 1} of {self.stream} is not one of LangGraph's checkpoints"
            raise EventNotReadable(f"{what}: {type(error).__name__}: {error}", self.stream) from error
        self.version += 1
        self.last = event

    def catch_up(self, version: int, last: Event | None, records: Sequence[Record]) -> bool:
        """Take in what has been read.

        Args:
            version, last: the last event known when it was asked for, which then must come again.
            records: from that one on.

        Returns:
            False if it is not the same stream any more: it has been deleted since.
        """
        if version and (not records or records[0].version != version or records[0].event != last):
            return False
        for record in records:
            if record.version > self.version + 1:
                return False
            if record.version == self.version + 1:
                self.take(record.event)
        return True

    def _take_checkpoint(self, event: Event) -> None:
        ns = event["ns"]
        there = self.saved.setdefault(ns, {})
        old = there.get(event["id"])  # put again, it stays where it was
        there[event["id"]] = Saved(old.number if old is not None else self.version + 1, event)
        self.size += len(event["checkpoint"][1]) + len(event["metadata"][1]) + 500
        for channel, version, form, text in event["values"]:
            self.blobs[ns, channel, version] = (form, text)
            self.size += len(text) + 200

    def _take_writes(self, event: Event) -> None:
        there = self.writes.setdefault((event["ns"], event["id"]), {})
        task, path = event["task"], event["path"]
        for index, channel, form, text in event["writes"]:
            # Those with a number of their own (errors, interrupts) replace an earlier one, the others do not.
            if index < 0 or (task, index) not in there:
                there[task, index] = Write(path, channel, form, text)
                self.size += len(text) + 300

    # -- asking ------------------------------------------------------------------------------------------------------

    def latest(self, ns: str) -> Saved | None:
        """The checkpoint of a namespace that was put last."""
        there = self.saved.get(ns)
        return there[next(reversed(there))] if there else None

    def find(self, ns: str, checkpoint: str) -> Saved | None:
        """A checkpoint by its id."""
        return self.saved.get(ns, {}).get(checkpoint)

    def all(self) -> list[Saved]:
        """Every checkpoint, in the order they were put."""
        return sorted(saved for there in self.saved.values() for saved in there.values())

    def pending(self, saved: Saved) -> list[tuple[str, int, Write]]:
        """The writes at a checkpoint: task, index and write."""
        return [(task, index, write) for (task, index), write in self.writes.get(saved.address, {}).items()]

    def values(self, ns: str, versions: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, str]]:
        """Channel, version, form and base64 of the values that these versions have."""
        for channel, version in versions.items():
            blob = self.blobs.get((ns, channel, version))
            if blob is not None:
                yield channel, version, *blob

    def events_of(self, kept: Collection[Address], versions: Callable[[Saved], Mapping[str, Any]]) -> list[Event]:
        """What a stream must hold for nothing but these checkpoints, their values and their writes.

        Args:
            kept: which.
            versions: a checkpoint's versions of its channels.
        """
        events: list[Event] = []
        stored: set[tuple[str, str, Any]] = set()
        for saved in self.all():
            if saved.address in kept:
                ns = saved.event["ns"]
                values = [list(value) for value in self.values(ns, versions(saved)) if (ns, *value[:2]) not in stored]
                stored.update((ns, channel, version) for channel, version, _, _ in values)
                events.append({**saved.event, "values": values})
        for (ns, checkpoint), there in self.writes.items():
            if (ns, checkpoint) in kept:
                groups: dict[tuple[str, str], list[list[Any]]] = {}
                for (task, index), (path, *write) in there.items():
                    groups.setdefault((task, path), []).append([index, *write])
                for (task, path), writes in groups.items():
                    events.append(writes_event(ns, checkpoint, task, path, writes))
        return events


def writes_event(ns: str, checkpoint: str, task: str, path: str, writes: list[list[Any]]) -> Event:
    """What a task has written at a checkpoint."""
    return {"langgraph": "writes", "ns": ns, "id": checkpoint, "task": task, "path": path, "writes": writes}
