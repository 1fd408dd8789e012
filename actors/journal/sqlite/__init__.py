"""A journal in an SQLite file: survives the process's end, and with ``synchronous="FULL"`` a power cut."""

from .check import check, repair, require, vacuum
from .journal import SqliteJournal

__all__ = ["SqliteJournal", "check", "repair", "require", "vacuum"]
