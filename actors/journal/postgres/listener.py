"""Hearing of what other processes have written, as soon as it is committed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from .connect import connect
from .schema import JournalTables

if TYPE_CHECKING:
    from psycopg import Connection

_PAUSE: Final = 1.0  # seconds before another connection is tried
_PATIENCE: Final = 1.0


class Listener:
    """A thread with a connection of its own that waits for notifications, and begins anew when it is lost.

    Args:
        given: what libpq is told.
        tables: whose notifications.
        changed: called on the thread with the server's process that has written; with 0 after a time without hearing.
    """

    def __init__(self, given: dict[str, Any], tables: JournalTables, changed: Callable[[int], None]) -> None:
        self._given = given
        self._channel = tables.channel
        self._changed = changed
        self._over = Event()
        self._lock = Lock()
        self._connection: Connection[Any] | None = None
        self._thread = Thread(target=self._run, name=f"callboard-journal-listener {tables.schema}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and wait for it; not for long if it is about to connect."""
        self._over.set()
        with self._lock:
            if self._connection is not None:
                line = socket.socket(fileno=self._connection.fileno())
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)  # closing would not wake the thread that waits on it
                line.detach()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        import psycopg

        while not self._over.is_set():
            with suppress(psycopg.Error, OSError):  # whoever writes or reads says so in the log
                self._listen()
            self._over.wait(_PAUSE)

    def _listen(self) -> None:
        with connect(self._given) as connection:
            connection.execute(f"LISTEN {self._channel}".encode())
            with self._lock:
                self._connection = connection
            try:
                self._changed(0)
                if not self._over.is_set():
                    for notification in connection.notifies():
                        self._changed(notification.pid)
            finally:
                with self._lock:
                    self._connection = None
