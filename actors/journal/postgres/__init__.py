"""A journal in PostgreSQL: many processes, on many machines, share it."""

from .check import check, repair, require, vacuum
from .journal import PostgresJournal

__all__ = ["PostgresJournal", "check", "repair", "require", "vacuum"]
