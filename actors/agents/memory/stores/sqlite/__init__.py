"""Facts in a file: SQLite's full-text search, and a product of vectors."""

from .store import SqliteMemoryStore

__all__ = ["SqliteMemoryStore"]
