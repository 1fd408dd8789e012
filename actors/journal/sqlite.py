"""A journal in an SQLite file: survives the process's end, ``kill -9`` included.

One thread writes. It takes all that has been appended since its last transaction into the next (group commit), which
is what makes it fast: many conversations share one commit. WAL with ``synchronous=NORMAL``: what was committed
survives the end of the process at any moment; after a power cut the last commits may be missing, but never half of
one. Streams in use are also held in memory, so that reading them never waits for the writer.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ..core.mail.future import Future
from .errors import JournalError

logger = logging.getLogger("callboard")

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (stream, version)
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""

COMPACT_AFTER: Final = 64
"""Events a stream may have before an offered snapshot is taken in their place."""


class SqliteJournal:
    """Keeps streams in an SQLite file. Use it on one event loop; one process at a time.

    Args:
        path: the file; made where it does not exist.
        encode, decode: turn an event into bytes and back. Encoding runs on the writer's thread.

    Raises:
        JournalError: the file cannot be opened, or is no journal.
    """

    def __init__(self, path: str | Path, encode: Encode, decode: Decode) -> None:
        self._path = str(path)
        self._encode = encode
        self._decode = decode
        self._live: dict[str, list[Any]] = {}
        self._versions: dict[str, int] = {}
        self._work: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._broken: JournalError | None = None
        try:
            self._reader = sqlite3.connect(self._path, isolation_level=None)
            self._reader.execute("PRAGMA journal_mode=WAL")
            self._reader.executescript(_SCHEMA)
            self._reader.execute(
                "INSERT INTO meta VALUES ('session', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
            )
            self.session: int = self._reader.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0]
            rows = self._reader.execute("SELECT stream, max(version) FROM events GROUP BY stream ORDER BY min(id)")
            self._stored: dict[str, int] = dict(rows)
        except sqlite3.Error as error:
            raise JournalError(f"cannot open the journal {self._path}: {error}") from error
        self._thread = threading.Thread(target=self._write, name="callboard-journal", daemon=True)
        self._thread.start()

    def append(self, stream: str, events: Sequence[Any]) -> Future[None]:
        """Add events to the end of a stream.

        Returns:
            a future that is done once they are committed; it fails with `JournalError`.
        """
        kept = self._opened(stream)
        version = self._versions[stream] + 1
        self._versions[stream] += len(events)
        kept.extend(events)
        done: Future[None] = Future()
        self._work.put(("append", stream, version, tuple(events), done, asyncio.get_running_loop()))
        return done

    def load(self, stream: str) -> Sequence[Any]:
        """The stream's events; empty if there is no such stream.

        Raises:
            JournalError: an event cannot be read.
        """
        if stream not in self._live and stream not in self._stored:
            return ()
        return self._opened(stream)

    def compact(self, stream: str, events: Sequence[Any]) -> None:
        """Put these events in place of all that are there, where those are many."""
        kept = self._live.get(stream)
        if kept is None or len(kept) <= COMPACT_AFTER:
            return
        self._live[stream] = list(events)
        version = self._versions[stream] + 1
        self._versions[stream] += len(events)
        self._work.put(("compact", stream, version, tuple(events), None, None))

    def drop(self, stream: str) -> None:
        """Forget a stream."""
        known = self._live.pop(stream, None) is not None
        self._versions.pop(stream, None)
        if self._stored.pop(stream, None) is not None or known:
            self._work.put(("drop", stream, 0, (), None, None))

    def streams(self, prefix: str = "") -> list[str]:
        """The names of the streams that begin with ``prefix``."""
        return [name for name in {**self._stored, **self._live} if name.startswith(prefix)]

    def close(self) -> None:
        """Commit what was appended, end the thread, close the file."""
        if self._thread.is_alive():
            self._work.put(None)
            self._thread.join()
        self._reader.close()

    def _opened(self, stream: str) -> list[Any]:
        kept = self._live.get(stream)
        if kept is None:
            kept = []
            if stream in self._stored:
                try:
                    rows = self._reader.execute("SELECT data FROM events WHERE stream = ? ORDER BY version", (stream,))
                    kept = [self._decode(data) for (data,) in rows]
                except (sqlite3.Error, ValueError, TypeError, LookupError) as error:
                    raise JournalError(f"cannot read {stream} in the journal {self._path}: {error}") from error
            self._live[stream] = kept
            self._versions[stream] = self._stored.get(stream, 0)
        return kept

    # -- the writer's thread -------------------------------------------------------------------------------------------

    def _write(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=5000")
        over = False
        while not over:
            batch = [self._work.get()]
            while True:
                try:
                    batch.append(self._work.get_nowait())
                except queue.Empty:
                    break
            over = None in batch
            self._commit(connection, [item for item in batch if item is not None])
        connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[tuple[Any, ...]]) -> None:
        error = self._broken
        try:
            if error is None and batch:
                connection.execute("BEGIN IMMEDIATE")
                for kind, stream, version, events, _, _ in batch:
                    self._apply(connection, kind, stream, version, events)
                connection.execute("COMMIT")
        except Exception as raised:
            logger.error("the journal %s cannot be written", self._path, exc_info=raised)
            error = JournalError(f"cannot write the journal {self._path}: {raised}")
            error.__cause__ = raised
            self._broken = error  # what follows could only be a journal with a hole in it
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        waiting: dict[asyncio.AbstractEventLoop, list[Future[None]]] = {}
        for *_, done, loop in batch:
            if done is not None:
                waiting.setdefault(loop, []).append(done)
        for loop, futures in waiting.items():
            try:
                loop.call_soon_threadsafe(_settle, futures, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue

    def _apply(
        self, connection: sqlite3.Connection, kind: str, stream: str, version: int, events: tuple[Any, ...]
    ) -> None:
        if kind == "drop":
            connection.execute("DELETE FROM events WHERE stream = ?", (stream,))
            return
        rows = [(stream, version + offset, self._encode(event)) for offset, event in enumerate(events)]
        connection.executemany("INSERT INTO events (stream, version, data) VALUES (?, ?, ?)", rows)
        if kind == "compact":
            connection.execute("DELETE FROM events WHERE stream = ? AND version < ?", (stream, version))


def _settle(futures: list[Future[None]], error: JournalError | None) -> None:
    for done in futures:
        if error is None:
            done.set(None)
        else:
            done.set_exception(error)
