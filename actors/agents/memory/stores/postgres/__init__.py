"""Facts in PostgreSQL: its full-text search, and pgvector."""

from .store import PostgresMemoryStore

__all__ = ["PostgresMemoryStore"]
