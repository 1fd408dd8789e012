"""Server-sent events, as far as the vendors use them: an incremental parser and a writer.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .failures import malformed

LARGEST = 64 * 1024 * 1024
"""Bytes that one event may have; pictures travel in one."""
_SIGNS_OF_LIFE = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"
_BLANK = _BOM + b" \t\r\n"


class Event(NamedTuple):
    """One event: its name (empty when it has none) and its data."""

    name: str
    data: str


def is_stream(head: bytes) -> bool | None:
    """Whether a body that begins with `head` is an event stream, whatever its content type says; None while that is
    open."""
    head = head.lstrip(_BLANK)
    if not head:
        return None
    if head.startswith(_FIELDS):
        return True
    return None if any(field.startswith(head) for field in _FIELDS) else False


def is_sign_of_life(name: str, payload: Any) -> bool:
    """Whether an event says only that the connection stands."""
    if name in _SIGNS_OF_LIFE:
        return True
    kind = payload.get("type") if isinstance(payload, Mapping) else None
    return type(kind) is str and kind in _SIGNS_OF_LIFE


class Parser:
    """Turns chunks of bytes, cut anywhere, into events. What follows the last blank line is not an event: the stream
    was cut there, and `pending` is true.

    Args:
        largest: bytes that one event may have.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._line = bytearray()
        """The line that is not complete."""
        self._size = 0
        """Bytes of the complete lines of the event that is not."""
        self._name = ""
        self._data: list[str] = []
        self._skip_newline = False
        self._begun = False

    @property
    def pending(self) -> bool:
        """Whether an unfinished event is waiting for the rest of its bytes."""
        return bool(self._line or self._data)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that `chunk` completes. Iterate it to the end before the next call.

        Raises:
            MalformedResponse: an event is too large; nothing of it is kept.
        """
        if self._skip_newline and chunk:  # a CR ended the last chunk: an LF that follows belongs to it
            self._skip_newline = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._skip_newline = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._line += chunk
            self._check()
            return
        *lines, rest = (bytes(self._line) + chunk if self._line else chunk).split(b"\n")
        large = self._size + len(self._line) + len(chunk) > self._largest  # otherwise no event in it can be
        self._line = bytearray(rest)
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if not line:
                self._size = 0
                if self._data:
                    event = Event(self._name, "\n".join(self._data))
                    self._name, self._data = "", []
                    yield event
                else:
                    self._name = ""
            elif line.startswith(b"data:"):
                self._size += len(line)
                if large:
                    self._check()
                self._data.append(line[6 if line[5:6] == b" " else 5 :].decode("utf-8", "replace"))
            elif line.startswith(b"event:"):
                self._name = line[6:].strip().decode("utf-8", "replace")

    def _check(self) -> None:
        if self._size + len(self._line) > self._largest:
            self._line, self._data, self._size = bytearray(), [], 0
            raise malformed(f"an event of more than {self._largest} bytes")


def event(payload: Mapping[str, Any] | str, name: str = "") -> bytes:
    """One event as bytes; a mapping becomes JSON on one line, text must have no line break."""
    data = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + b"data: " + data.encode("utf-8", "replace") + b"\n\n"
