"""What travels between two nodes, as bytes. Pure.

A frame is ``(PROTOCOL, life, to, connection, number, messages)``; a message is a plain tuple that begins with its kind,
so that a node of a newer version may say more of one than an older one reads.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import NodeUnreachable

PROTOCOL: Final = 1
"""Of the frames. Nodes of different ones do not talk to each other, and say so."""


class OtherProtocol(NodeUnreachable):
    """A frame, or an acknowledgement, is of another protocol, or is none."""


class Kind(IntEnum):
    """What a message is, and what stands in it behind its kind."""

    TELL = 1
    """target, what, carried, priority"""
    ASK = 2
    """id, target, what, carried, priority"""
    CANCEL = 3
    """id: whoever asked, or reads, wants no more of it"""
    REPLY = 4
    """id, what"""
    FAILURE = 5
    """id, what: an exception"""
    STREAM = 6
    """id, target, what, carried, buffer"""
    CREDIT = 7
    """id, items that the reader has room for besides"""
    ITEM = 8
    """id, what"""
    END = 9
    """id, what: an exception, or None"""
    WATCH = 10
    """id, target"""
    GONE = 11
    """id, reason: the watched one is dead"""


Message: TypeAlias = tuple[Any, ...]


class Target(NamedTuple):
    """An actor on the other node.

    Args:
        path: its names from the top.
        urn: of the very one that is meant; empty for whoever is there.
    """

    path: str
    urn: str


class Carried(NamedTuple):
    """What goes with a message.

    Args:
        seconds: left until its deadline; None for none.
        baggage: pickled; empty for none.
    """

    seconds: float | None
    baggage: bytes


class Frame(NamedTuple):
    """Messages that travel together.

    Args:
        life: of the sender: a node that begins anew in its process, under its id, has a higher one.
        to: of the receiver, whom it is meant for; 0 where that is not known yet.
        connection: the number of the connection they belong to.
        number: of the frame in its connection and direction, from 1; 0 asks for a connection.
        messages: in order.
    """

    life: int
    to: int
    connection: int
    number: int
    messages: Sequence[Message]


def write_frame(frame: Frame) -> bytes:
    """A frame as bytes."""
    return pickle.dumps((PROTOCOL, *frame[:-1], list(frame.messages)), 5)


def read_frame(data: bytes) -> Frame:
    """A frame of another node.

    Raises:
        OtherProtocol: it is of another protocol, or no frame.
    """
    protocol, *rest = _loaded(data)
    if protocol != PROTOCOL or len(rest) < 5:
        raise OtherProtocol(f"it speaks protocol {protocol!r:.20} of frames; this node speaks {PROTOCOL}")
    return Frame(*rest[:5])


class Over(NamedTuple):
    """An acknowledgement: the connection has ended here."""


class Opened(NamedTuple):
    """An acknowledgement: there is a connection of this number."""

    connection: int


class Taken(NamedTuple):
    """An acknowledgement: the frame was taken, and these answers are there already."""

    replies: Sequence[Message]


Acknowledgement: TypeAlias = Over | Opened | Taken


def write_acknowledgement(life: int, said: Acknowledgement) -> bytes:
    """An acknowledgement as bytes, and the life of who says it."""
    return pickle.dumps((PROTOCOL, life, type(said).__name__, *said), 5)


def read_acknowledgement(data: bytes) -> tuple[int, Acknowledgement]:
    """An acknowledgement of another node, and that node's life.

    Raises:
        OtherProtocol: it is of another protocol, or none.
    """
    protocol, *rest = _loaded(data)
    kind = _KINDS.get(rest[1]) if len(rest) > 1 else None
    if protocol != PROTOCOL or kind is None:
        raise OtherProtocol(f"it speaks protocol {protocol!r:.20} of frames; this node speaks {PROTOCOL}")
    return rest[0], kind(*rest[2 : 2 + len(kind._fields)])


_KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in (Over, Opened, Taken)}


def _loaded(data: bytes) -> tuple[Any, ...]:
    try:
        found = pickle.loads(data)
    except Exception as error:
        raise OtherProtocol(f"what came is no frame: {type(error).__name__}") from None
    return found if isinstance(found, tuple) and found else (None,)
