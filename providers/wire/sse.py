"""Server-sent events, as far as the vendors use them: an incremental parser and a writer.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One event: its name (empty when it has none) and its data."""

    name: str
    data: str


class Parser:
    """Turns chunks of bytes, cut anywhere, into events. What follows the last blank line is not an event: the stream
    was cut there, and `pending` is true."""

    def __init__(self) -> None:
        self._buffer = b""
        self._name = ""
        self._data: list[str] = []
        self._skip_newline = False

    @property
    def pending(self) -> bool:
        """Whether an unfinished event is waiting for the rest of its bytes."""
        return bool(self._buffer or self._data)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that `chunk` completes. Iterate it to the end before the next call."""
        if self._skip_newline and chunk:  # a CR ended the last chunk: an LF that follows belongs to it
            self._skip_newline = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._skip_newline = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._buffer += chunk
            return
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if not line:
                if self._data:
                    event = Event(self._name, "\n".join(self._data))
                    self._name, self._data = "", []
                    yield event
                else:
                    self._name = ""
            elif line.startswith(b"data:"):
                self._data.append(line[6 if line[5:6] == b" " else 5 :].decode("utf-8", "replace"))
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")


def event(payload: Mapping[str, Any] | str, name: str = "") -> bytes:
    """One event as bytes; a mapping becomes JSON on one line, text must have no line break."""
    data = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + b"data: " + data.encode("utf-8", "replace") + b"\n\n"
