"""Journals: where conversations, and actors of one's own, keep what has happened to them."""

from .codec import Codec, Encoded, JsonCodec
from .errors import (
    CheckpointConflict,
    EventNotReadable,
    EventNotWritable,
    JournalClosed,
    JournalError,
    JournalUnavailable,
    KeyTaken,
    StreamConflict,
    StreamError,
    StreamFenced,
    StreamOwned,
)
from .memory import MemoryJournal
from .sourced import EventSourcedActor
from .store import Header, Journal, Post, Record, Retention, Stream

__all__ = [
    "CheckpointConflict",
    "Codec",
    "Encoded",
    "EventNotReadable",
    "EventNotWritable",
    "EventSourcedActor",
    "Header",
    "Journal",
    "JournalClosed",
    "JournalError",
    "JournalUnavailable",
    "JsonCodec",
    "KeyTaken",
    "MemoryJournal",
    "Post",
    "Record",
    "Retention",
    "Stream",
    "StreamConflict",
    "StreamError",
    "StreamFenced",
    "StreamOwned",
]
