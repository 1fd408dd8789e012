"""What carries frames from node to node, as links see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

Receive: TypeAlias = Callable[[str, bytes], Awaitable[bytes]]
"""Takes a frame of a node, by its id, and returns the acknowledgement."""

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a frame at most."""


class Transport(Protocol):
    """Carries frames. A frame arrives once or not at all, whole, late perhaps, and in no order with others."""

    async def open(self, node: str, receive: Receive, lost: Callable[[], object]) -> None:
        """Take part as a node.

        Args:
            node: its id.
            receive: takes what comes.
            lost: called when this node cannot send or receive any more; `open` may be called again then.

        Raises:
            CutOff: there is no way in.
        """
        ...

    async def send(self, node: str, frame: bytes) -> bytes:
        """Send a frame; return the acknowledgement.

        Raises:
            NodeUnreachable: it did not get through, or nothing was heard of it.
        """
        ...

    async def close(self) -> None:
        """Take part no more."""
        ...
