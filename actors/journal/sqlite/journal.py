"""`SqliteJournal`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from ...core.mail.future import Future
from ..codec import Codec
from ..threaded import ThreadedJournal
from .backend import SqliteBackend

LEVELS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")


class SqliteJournal(ThreadedJournal):
    """Keeps streams in an SQLite file, in WAL mode. Processes on one machine may share it.

    Args:
        path: the file; made where it does not exist. Beside it SQLite keeps ``-wal`` and ``-shm``, and we
            ``-workers``, by which the end of a process is seen at once.
        codec: how events become text.
        lease: seconds after which the streams of a process that is paused may be taken over.
        synchronous: what SQLite waits for at each commit. ``FULL``: for the disk. ``NORMAL``: the end of the process
            loses nothing, a power cut the last commits.

    Raises:
        JournalUnavailable: the file cannot be opened or written, is no journal, or is a newer version's.
    """

    def __init__(self, path: str | Path, codec: Codec, *, lease: float = 10.0, synchronous: str = "FULL") -> None:
        if synchronous not in LEVELS:
            raise ValueError(f"synchronous is {synchronous!r}: it must be one of {', '.join(LEVELS)}")
        super().__init__(SqliteBackend(path, synchronous), codec, lease, str(path))
        self._ends: Any = self._backend

    def show(self, name: str) -> Future[None]:
        """See `SeesEnds.show`."""
        return self._read(partial(self._ends.show, name))

    def hide(self, name: str) -> Future[None]:
        """See `SeesEnds.hide`."""
        return self._read(partial(self._ends.hide, name))

    def ended(self, names: Sequence[str]) -> Future[Sequence[str]]:
        """See `SeesEnds.ended`."""
        return self._read(partial(self._ends.ended, names))
