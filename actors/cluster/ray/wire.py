"""What a program and its gateway say to each other over a Unix socket.

Each has a length (4 bytes), a kind (1), a number (4) and a body. ``SEND`` has a node's id in front of its frame.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from typing import Final, cast

HELLO: Final = 0
"""The first thing a gateway says: the word that it was given. Later the program's question whether it is there, and the
answer to that."""

SEND: Final = 1
"""Bring a frame to another node (to the gateway), or one that came (to the program)."""

TAKEN: Final = 2
"""The acknowledgement of a frame."""

FAILED: Final = 3
"""It did not get through, and why."""

_HEAD: Final = struct.Struct("!IBI")
_NAME: Final = struct.Struct("!H")
LARGEST: Final = 80 * 1024 * 1024


def said(kind: int, number: int, body: bytes) -> bytes:
    """It, as bytes."""
    return _HEAD.pack(5 + len(body), kind, number) + body


def addressed(node: str, frame: bytes) -> bytes:
    """A frame with the id of the node that it goes to, or comes from."""
    name = node.encode()
    return _NAME.pack(len(name)) + name + frame


def address(body: bytes) -> tuple[str, bytes]:
    """The node, and the frame."""
    (length,) = _NAME.unpack_from(body)
    return body[2 : 2 + length].decode(), body[2 + length :]


class Ear:
    """Makes of bytes, as they come, what was said."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def hear(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The kind, the number and the body of each thing that was said to its end.

        Raises:
            ConnectionError: nobody of ours says this.
        """
        rest = self._rest
        rest += data
        while len(rest) >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(rest)
            if not 5 <= length <= LARGEST:
                raise ConnectionError(f"{length} bytes were announced")
            if len(rest) < 4 + length:
                return
            body = bytes(memoryview(rest)[_HEAD.size : 4 + length])
            del rest[: 4 + length]
            yield kind, number, body


class Line(asyncio.Protocol):
    """The program's end of the socket.

    Args:
        heard: told of each thing that the other side says.
        gone: called once, when nothing more will be said.

    Attributes:
        heard_of: whether anything came since somebody set it to False.
    """

    heard_of = True

    def __init__(self, heard: Callable[[int, int, bytes], object], gone: Callable[[], object]) -> None:
        self._heard = heard
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._ear = Ear()

    def say(self, kind: int, number: int, body: bytes) -> None:
        """Say something; where nobody hears it any more, nothing is done."""
        if self._transport is not None:
            self._transport.write(said(kind, number, body))

    def close(self) -> None:
        """Say, and hear, no more; what the other side has not taken yet is dropped, for it may never do so."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self.heard_of = True
        try:
            for kind, number, body in self._ear.hear(data):
                self._heard(kind, number, body)
        except ConnectionError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._gone()
