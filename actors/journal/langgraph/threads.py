"""The threads of LangGraph's graphs as streams of a journal. Knows nothing of LangGraph's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ...core.mail.future import Future
from ..errors import CheckpointConflict, StreamConflict, StreamFenced, StreamOwned
from ..store import Journal
from .cache import Cache
from .steps import Steps, end_of, value_of
from .thread import Address, Event, Saved, Thread

THREADS: Final = "langgraph/"
ASIDE: Final = "langgraph-aside/"
"""Where a thread is while its stream is being replaced by a shorter one."""

PAGE: Final = 1_000
PAUSE: Final = 0.02
TRIES: Final = 500
"""Seconds between two looks at a stream that is being shortened, and how often to look."""

Keep: TypeAlias = Callable[[Thread], set[Address]]


class Threads:
    """See `JournalSaver`. Any thread, any number of event loops.

    Args:
        journal: where they are kept.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._cache = Cache()

    def names(self) -> Steps[Sequence[str]]:
        """Of all threads."""
        for header in (yield from value_of(self._journal.headers(prefix=ASIDE))):
            yield from self._put_back(header.name.removeprefix(ASIDE))
        names: list[str] = []
        after = ""
        while True:
            found = yield from value_of(self._journal.headers(prefix=THREADS, after=after, limit=PAGE))
            names.extend(header.name.removeprefix(THREADS) for header in found)
            if len(found) < PAGE:
                return names
            after = found[-1].name

    def load(self, name: str) -> Steps[Thread]:
        """A thread with all that has been committed up to now."""
        while True:
            there = self._cache.get(name) or Thread(name, THREADS + name)
            while True:
                with there.lock:
                    under_way = next(iter(there.under_way), None)
                    version, last = there.version, there.last
                if under_way is None:
                    break
                yield from end_of(under_way)
            records = yield from value_of(self._journal.read(there.stream, after=max(version - 1, 0)))
            with there.lock:
                if not there.stale and not there.catch_up(version, last, records):
                    there.stale = True
                if there.stale:
                    continue
                empty = not there.saved
            if empty and (yield from self._put_back(name)):
                continue
            self._cache.keep(there)
            return there

    def put(self, name: str, make: Callable[[Thread], Event]) -> Steps[None]:
        """Append an event that says something of what is there.

        Args:
            name: the thread's.
            make: the event, of the thread as it will be before it. What it raises is raised, `CheckpointConflict` only
                if the thread has just been read.
        """
        anew = False
        for tries in range(TRIES):
            there = None if anew else self._cache.get(name)
            fresh = there is None
            if there is None:
                there = yield from self.load(name)
            with there.lock:
                if there.stale:
                    continue
                try:
                    event = make(there)
                except CheckpointConflict:
                    if fresh:
                        raise
                    anew = True  # what is known here may be old
                    continue
                outcome = self._append(there, event, there.version)
            anew = False
            try:
                yield from _end_of_append(outcome)
            except StreamConflict:
                if tries == TRIES - 1:
                    raise
            except StreamOwned:
                if tries == TRIES - 1:
                    raise
                yield PAUSE
            else:
                self._cache.keep(there)
                return

    def write(self, name: str, event: Event) -> Steps[None]:
        """Append an event that is true whatever is there."""
        for tries in range(TRIES):
            there = self._cache.get(name)
            try:
                if there is None:
                    yield from value_of(self._journal.append(THREADS + name, [event]))
                    return
                with there.lock:
                    if there.stale:
                        continue
                    outcome = self._append(there, event, None)
                yield from _end_of_append(outcome)
                return
            except StreamOwned:
                if tries == TRIES - 1:
                    raise
            yield PAUSE

    def _append(self, there: Thread, event: Event, expected: int | None) -> Future[int] | int:
        """Append to a thread that is locked, and take it in."""
        outcome = self._journal.append(there.stream, [event], expected=expected)
        there.take(event)
        number = there.version
        if isinstance(outcome, Future):

            def ended(future: Future[int]) -> None:
                with there.lock:
                    there.under_way.discard(future)
                    if future.cancelled() or future.exception() is not None or future.result() != number:
                        there.stale = True

            there.under_way.add(outcome)
            outcome.when_done(ended)
        elif outcome != number:
            there.stale = True
        return outcome

    def delete(self, name: str) -> Steps[None]:
        """Delete a thread."""
        yield from value_of(self._journal.delete(THREADS + name, ASIDE + name))
        self._cache.forget(name)

    def copy(self, source: str, target: str) -> Steps[None]:
        """Copy a thread, if there is one.

        Raises:
            StreamConflict: there is something in the target.
        """
        there = yield from self.load(source)
        records = yield from value_of(self._journal.read(there.stream))
        if records:
            yield from self._put_back(target)
            events = [record.event for record in records]
            yield from value_of(self._journal.append(THREADS + target, events, expected=0))

    # -- deleting a part -----------------------------------------------------------------------------------------------

    def shorten(self, name: str, keep: Keep, versions: Callable[[Saved], Mapping[str, Any]]) -> Steps[None]:
        """Have a thread hold nothing but some of its checkpoints.

        Two transactions: the first one puts the rest aside and deletes the stream, the second one puts it back. Where
        the second one has not been made, whoever reads the thread makes it (`load`).

        Args:
            name: the thread's.
            keep: which of a thread's checkpoints.
            versions: a checkpoint's versions of its channels.
        """
        there = yield from self.load(name)
        with there.lock:
            if len(keep(there)) == len(there.all()):
                return
        for tries in range(TRIES):
            try:
                yield from self._put_aside(name, keep, versions)
                yield from self._put_back(name)
                break
            except (StreamOwned, StreamFenced):
                if tries == TRIES - 1:
                    raise
            yield PAUSE
        self._cache.forget(name)

    def _put_aside(self, name: str, keep: Keep, versions: Callable[[Saved], Mapping[str, Any]]) -> Steps[None]:
        yield from self._put_back(name)
        handle = yield from value_of(self._journal.open(THREADS + name))  # nobody appends from here on
        try:
            there = Thread(name, handle.name)
            for event in handle.events:
                there.take(event)
            kept = keep(there)
            if not kept:
                yield from value_of(self._journal.delete(handle.name))
            elif len(kept) < len(there.all()):
                aside = yield from value_of(self._journal.open(ASIDE + name))
                try:
                    yield from value_of(aside.append(there.events_of(kept, versions), drop=[handle.name]))
                finally:
                    aside.release()
        finally:
            handle.release()

    def _put_back(self, name: str) -> Steps[bool]:
        """Put back what has been put aside, whoever did. False if there is nothing."""
        if not (yield from value_of(self._journal.read(ASIDE + name, limit=1))):
            return False
        for tries in range(TRIES):
            try:
                aside = yield from value_of(self._journal.open(ASIDE + name))
                try:
                    handle = yield from value_of(self._journal.open(THREADS + name))
                    try:
                        # Somebody else may have done it between the two.
                        there = {event["id"] for event in handle.events if event["langgraph"] == "checkpoint"}
                        events = [] if any(event["id"] in there for event in aside.events) else aside.events
                        yield from value_of(handle.append(events, drop=[ASIDE + name]))
                    finally:
                        handle.release()
                finally:
                    aside.release()
                return True
            except (StreamOwned, StreamFenced):
                if tries == TRIES - 1:
                    raise
            yield PAUSE
        return True


def _end_of_append(outcome: Future[int] | int) -> Steps[None]:
    """Wait for an append. Where this wait is given up, it goes on, and whoever loads the thread waits for it."""
    if isinstance(outcome, Future):
        yield from end_of(outcome)
        outcome.result()
