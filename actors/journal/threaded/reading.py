"""Events as text and back, with errors that name what they concern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..backend import Kept
from ..codec import Codec, Encoded
from ..errors import EventNotReadable, EventNotWritable
from ..store import Record


def encode(codec: Codec, stream: str, event: Any) -> Encoded:
    """The event as text.

    Raises:
        EventNotWritable: the codec cannot, or what it made is no text that a store can keep.
    """
    try:
        encoded = codec.encode(event)
        for text in (encoded.data, encoded.type, encoded.metadata):
            if not text.isascii():
                text.encode()
        return encoded
    except Exception as error:
        what = f"an event of {stream} ({type(event).__name__}) cannot be written"
        raise EventNotWritable(f"{what}: {type(error).__name__}: {error}") from error


def decode(codec: Codec, stream: str, version: int, encoded: Encoded) -> Any:
    """The event at this version of a stream; at 0 it is a post.

    Raises:
        EventNotReadable: the codec cannot.
    """
    try:
        return codec.decode(encoded.type, encoded.schema, encoded.data)
    except Exception as error:
        what = f"event {version} of {stream}" if version else f"a post for {stream}"
        what = f"{what} ({encoded.type} of schema {encoded.schema}) cannot be read"
        raise EventNotReadable(f"{what}: {type(error).__name__}: {error}", stream) from error


def record(codec: Codec, kept: Kept) -> Record:
    """A row as a record.

    Raises:
        EventNotReadable: the codec cannot read it.
    """
    position, stream, version, encoded, at = kept
    event = decode(codec, stream, version, encoded)
    return Record(position, stream, version, encoded.type, event, metadata(encoded.metadata), at)


def metadata(text: str) -> Mapping[str, Any]:
    """What was kept beside an event; nothing if it cannot be read."""
    if text == "{}":
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def record_or_error(codec: Codec, kept: Kept) -> Record | EventNotReadable:
    """A row as a record, or why it is none."""
    try:
        return record(codec, kept)
    except EventNotReadable as error:
        error.position = kept.position
        return error
