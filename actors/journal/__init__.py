"""Journals: where conversations keep the steps they have completed."""

from .errors import JournalError
from .memory import MemoryJournal
from .store import Journal

__all__ = ["Journal", "JournalError", "MemoryJournal"]
