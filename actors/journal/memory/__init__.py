"""A journal in memory."""

from .journal import MemoryJournal

__all__ = ["MemoryJournal"]
