"""Amazon's event stream, in which Bedrock streams: binary frames with checksums, pure both ways.

The format: https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html. A frame is two 32-bit lengths (of
the frame and of its headers) and their CRC-32, the headers, the payload, and the CRC-32 of all before it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .failures import malformed

_PRELUDE = 12
_TRAILER = 4
_LARGEST = 24 * 1024 * 1024
"""Bytes of the largest frame that Amazon's own clients take."""
# Bytes of a header's value by its type; 6 and 7 tell their own length. Only texts (7) are used here.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Frame(NamedTuple):
    """One frame: its headers that are texts, and its payload."""

    headers: Mapping[str, str]
    payload: bytes


class Parser:
    """Turns chunks of bytes, cut anywhere, into frames.

    Args:
        provider: the provider's name, for errors.
    """

    def __init__(self, provider: str = "") -> None:
        self._provider = provider
        self._buffer = b""

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that `chunk` completes. Raises `MalformedResponse` if a checksum is wrong."""
        self._buffer += chunk
        while len(self._buffer) >= _PRELUDE:
            length, headers, checksum = struct.unpack_from("!III", self._buffer)
            if zlib.crc32(self._buffer[: _PRELUDE - 4]) != checksum or not _fits(length, headers):
                raise malformed("a frame whose checksum or length is wrong", provider=self._provider)
            if len(self._buffer) < length:
                return
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if zlib.crc32(frame[:-_TRAILER]) != struct.unpack("!I", frame[-_TRAILER:])[0]:
                raise malformed("a frame whose checksum is wrong", provider=self._provider)
            start = _PRELUDE + headers
            yield Frame(self._headers(frame[_PRELUDE:start]), frame[start:-_TRAILER])

    def _headers(self, data: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            while data:
                size = data[0]
                name, kind, data = data[1 : 1 + size].decode(), data[1 + size], data[2 + size :]
                if kind in (6, 7):
                    (length,) = struct.unpack_from("!H", data)
                    data = data[2:]
                else:
                    length = _SIZES[kind]
                if kind == 7:
                    found[name] = data[:length].decode()
                data = data[length:]
        except (IndexError, KeyError, ValueError, struct.error):
            raise malformed("a frame whose headers are not the protocol", provider=self._provider) from None
        return found


def frame(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """One frame as bytes; names and values of the headers are texts."""
    head = b"".join(
        bytes([len(name.encode())]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", _PRELUDE + len(head) + len(payload) + _TRAILER, len(head))
    start = prelude + struct.pack("!I", zlib.crc32(prelude))
    return start + head + payload + struct.pack("!I", zlib.crc32(start + head + payload))


def _fits(length: int, headers: int) -> bool:
    return _PRELUDE + headers + _TRAILER <= length <= _LARGEST
