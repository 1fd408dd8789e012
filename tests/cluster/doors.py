"""What carries frames between the processes of one machine, for tests: each node listens in one folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from callboard.actors.cluster.errors import NodeUnreachable
from callboard.actors.cluster.transport import Receive


class Doors:
    """See `Transport`.

    Args:
        folder: where all nodes have their sockets.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._node = ""
        self._server: asyncio.Server | None = None

    def _door(self, node: str) -> str:
        return str(self._folder / sha256(node.encode()).hexdigest()[:16])  # the path of a socket is short

    async def open(self, node: str, receive: Receive, lost: Callable[[], object]) -> None:
        """See `Transport.open`."""

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sender, frame = (await reader.readline()).decode().strip(), await reader.read()
            writer.write(await receive(sender, frame))
            writer.close()

        self._node = node
        self._server = await asyncio.start_unix_server(take, self._door(node))

    async def send(self, node: str, frame: bytes) -> bytes:
        """See `Transport.send`."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._door(node))
            writer.write(self._node.encode() + b"\n" + frame)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        except OSError as error:
            raise NodeUnreachable(str(error)) from error
        if not answer:
            raise NodeUnreachable(f"{node} said nothing")
        return answer

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._server is not None:
            self._server.close()
            self._server = None
