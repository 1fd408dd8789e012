"""The gateway: an actor of Ray's that brings a program's frames to the gateways of other nodes, and theirs to it.

It runs in a process of Ray's, which knows of Callboard no more than this room.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from .wire import FAILED, HELLO, SEND, TAKEN, Said, address, addressed, hear, said

PATIENCE: Final = 2.0
"""Seconds for which another gateway is waited for."""

NAME: Final = "callboard.node."
"""How the names of gateways begin, in Ray."""


class Gateway:
    """See the module.

    Args:
        node: the id of the program's node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._writer: asyncio.StreamWriter | None = None
        self._peers: dict[str, Any] = {}
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self, path: str, word: str) -> None:
        """Be at the service of the program that listens at a socket.

        Args:
            path: of the socket.
            word: by which the program knows its gateway.
        """
        reader, self._writer = await asyncio.open_unix_connection(path)
        self._writer.write(said(HELLO, 0, word.encode()))
        self._do(self._serve(reader))

    async def ended(self) -> None:
        """Returns once the program is gone."""
        await self._ended.wait()

    async def receive(self, node: str, frame: bytes) -> bytes:
        """A frame of another node came; return what the program says of it.

        Raises:
            ConnectionError: the program is gone.
        """
        if self._writer is None or self._ended.is_set():
            raise ConnectionError("the program is gone")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(said(SEND, number, addressed(node, frame)))
        try:
            answer: bytes = await waiting
            return answer
        finally:
            self._waiting.pop(number, None)

    async def _serve(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                heard = await hear(reader)
                if heard.kind == SEND:
                    self._do(self._send(heard))
                elif (waiting := self._waiting.get(heard.number)) is not None and not waiting.done():
                    if heard.kind == TAKEN:
                        waiting.set_result(heard.body)
                    else:
                        waiting.set_exception(ConnectionError(heard.body.decode()))
        except ConnectionError:
            self._ended.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the program is gone"))

    async def _send(self, heard: Said) -> None:
        node, frame = address(heard.body)
        try:
            async with asyncio.timeout(PATIENCE):
                answer = said(TAKEN, heard.number, await (await self._peer(node)).receive.remote(self._node, frame))
        except TimeoutError:
            answer = said(FAILED, heard.number, f"nothing was heard of it for {PATIENCE:g} s".encode())
        except Exception as error:  # of Ray's there are many, and each means that it did not get through
            self._peers.pop(node, None)
            answer = said(FAILED, heard.number, f"{type(error).__name__}: {error}".encode()[:2_000])
        if self._writer is not None:
            self._writer.write(answer)

    async def _peer(self, node: str) -> Any:
        peer = self._peers.get(node)
        if peer is None:
            import ray

            # Beside the loop: it asks Ray's head, which may not answer for a while.
            peer = self._peers[node] = await asyncio.to_thread(ray.get_actor, NAME + node)
        return peer

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
