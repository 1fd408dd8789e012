"""What a program and its gateway say to each other over a Unix socket.

Each has a length (4 bytes), a kind (1), a number (4) and a body. ``SEND`` has a node's id in front of its frame.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final, NamedTuple

HELLO: Final = 0
"""The first thing a gateway says: the word that it was given."""

SEND: Final = 1
"""Bring a frame to another node (to the gateway), or one that came (to the program)."""

TAKEN: Final = 2
"""The acknowledgement of a frame."""

FAILED: Final = 3
"""It did not get through, and why."""

_HEAD: Final = struct.Struct("!IBI")
_NAME: Final = struct.Struct("!H")
LARGEST: Final = 80 * 1024 * 1024


class Said(NamedTuple):
    """Something that was said."""

    kind: int
    number: int
    body: bytes


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


async def hear(reader: asyncio.StreamReader) -> Said:
    """What is said next.

    Raises:
        ConnectionError: nothing more will be.
    """
    try:
        length, kind, number = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if not 5 <= length <= LARGEST:
            raise ConnectionError(f"{length} bytes were announced")
        return Said(kind, number, await reader.readexactly(length - 5))
    except asyncio.IncompleteReadError:
        raise ConnectionError("the other side is gone") from None
