"""SQLite files that are marked as whose they are: opening them, and what holds for each of their connections."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BUSY: Final = 1.0
"""Seconds that a statement waits for another process's lock; the threads that use the file then try again."""

OPENING: Final = 5.0
"""Seconds that opening a file waits for whoever writes it."""

PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Faults of the disk, of the machine, and of those who share the file."""

_inherited: set[tuple[int, int]] = set()  # files that the parent of this forked process had open


@dataclass(frozen=True)
class FileKind:
    """What a file is.

    Args:
        name: for errors, such as journal.
        application: marks it, in the file's header.
        schema: the version of its tables.
        refused: made of a text where one cannot be opened.
    """

    name: str
    application: int
    schema: int
    refused: Callable[[str], Exception]

    def absolute(self, path: str | Path) -> str:
        """The file's path, wherever the process goes. Raises what `refused` makes."""
        found = os.path.abspath(path)
        if "\0" in found:
            raise self.refused(f"cannot open the {self.name} {found!r}: a path has no null byte")
        return found

    @contextmanager
    def opening(self, path: str) -> Iterator[None]:
        """What SQLite raises within is raised as what `refused` makes of it; so is it where the process that this one
        was forked from had the file open."""
        with suppress(OSError):
            if identity(path) in _inherited:
                raise self.refused(
                    f"the process that this one was forked from had {path} open, and SQLite cannot open it here "
                    "again: open it after the fork only, or start processes by spawn"
                )
        try:
            yield
        except sqlite3.Error as error:
            raise self.refused(f"cannot open the {self.name} {path}: {_why(error, path)}") from error

    def mark(self, connection: sqlite3.Connection) -> None:
        """Mark the file as one whose tables are of this version."""
        connection.execute(f"PRAGMA application_id={self.application}")
        connection.execute(f"PRAGMA user_version={self.schema}")

    def is_marked(self, connection: sqlite3.Connection) -> bool:
        """Whether it is one, of whatever version."""
        return _marks(connection)[0] == self.application

    def refuse_newer(self, connection: sqlite3.Connection, path: str) -> None:
        """Raise what `refused` makes of it where a marked file's tables are of a version that is not known here."""
        _, schema = _marks(connection)
        if schema > self.schema:
            raise self.refused(
                f"{path} was written by a newer version of this library: its schema is {schema}, this one knows"
                f" {self.schema}"
            )


def _why(error: sqlite3.Error, path: str) -> str:
    """What is wrong where a file cannot be opened: SQLite says only that it cannot."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
        folder = os.path.dirname(path)
        if os.path.isdir(path):
            return "it is a folder; name a file in it"
        if not os.path.exists(folder):
            return f"there is no folder {folder}: make it"
        if not os.path.isdir(folder):
            return f"{folder} is a file, where a folder is needed"
        if not os.path.exists(path) and not os.access(folder, os.W_OK):
            return f"nothing may be written into the folder {folder}"
    return str(error)


def connect(path: str, busy: float) -> sqlite3.Connection:
    """A connection to a file, which may be closed on another thread than the one that uses it.

    Args:
        path: absolute, or ``:memory:``.
        busy: seconds to wait for locks.
    """
    return sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written within, or nothing; nobody else writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nobody has made anything of the file yet."""
    return _marks(connection) == (0, 0) and connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def is_passing(error: Exception) -> bool:
    """Whether SQLite may succeed with the same later."""
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in PASSING


def identity(path: str) -> tuple[int, int]:
    """What tells a file from every other one, by whatever path. Raises `OSError` where there is none."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def inherit(file: tuple[int, int] | None) -> None:
    """In a forked process: it cannot be opened here any more. SQLite's locks are the parent's, but SQLite here believes
    that it has them.

    Args:
        file: what the parent had open, by `identity`; None where that was no file.
    """
    if file is not None:
        _inherited.add(file)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return application, schema
