"""Journals: where conversations keep the steps they have completed."""

from .memory import MemoryJournal
from .store import Journal

__all__ = ["Journal", "MemoryJournal"]
