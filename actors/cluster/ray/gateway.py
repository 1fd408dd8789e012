"""The gateway: an actor of Ray's that brings a program's frames to the gateways of other nodes, and theirs to it.

It runs in a process of Ray's, which knows of Callboard no more than this room.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from .wire import FAILED, HELLO, SEND, TAKEN, Line, address, addressed

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
        self._line = Line(self._heard, self._gone)
        self._peers: dict[str, Any] = {}
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._sending: dict[int, asyncio.TimerHandle] = {}
        self._number = 0
        self._ended = asyncio.Event()
        self._looking: set[asyncio.Task[None]] = set()

    async def connect(self, path: str, word: str) -> None:
        """Be at the service of the program that listens at a socket.

        Args:
            path: of the socket.
            word: by which the program knows its gateway.
        """
        self._loop = asyncio.get_running_loop()
        await self._loop.create_unix_connection(lambda: self._line, path)
        self._line.say(HELLO, 0, word.encode())

    async def ended(self) -> None:
        """Returns once the program is gone."""
        await self._ended.wait()

    async def receive(self, addressed_frame: bytes) -> bytes:
        """A frame of another node came; return what the program says of it. (One argument, of bytes: Ray carries that
        as it is.)

        Raises:
            ConnectionError: the program is gone.
        """
        if self._ended.is_set():
            raise ConnectionError("the program is gone")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        waiting = self._waiting[number] = self._loop.create_future()
        self._line.say(SEND, number, addressed_frame)
        try:
            answer: bytes = await waiting
            return answer
        finally:
            self._waiting.pop(number, None)

    def _heard(self, kind: int, number: int, body: bytes) -> None:
        if kind == SEND:
            node, frame = address(body)
            self._sending[number] = self._loop.call_later(PATIENCE, self._not_heard, number)
            if node in self._peers:
                self._send(number, node, frame)
            else:
                task = self._loop.create_task(self._find_and_send(number, node, frame))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
        elif (waiting := self._waiting.get(number)) is not None and not waiting.done():
            if kind == TAKEN:
                waiting.set_result(body)
            else:
                waiting.set_exception(ConnectionError(body.decode()))

    def _gone(self) -> None:
        self._ended.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the program is gone"))

    async def _find_and_send(self, number: int, node: str, frame: bytes) -> None:
        import ray

        try:
            # Beside the loop: it asks Ray's head, which may not answer for a while.
            self._peers[node] = await asyncio.to_thread(ray.get_actor, NAME + node)
        except Exception as error:
            self._failed(number, node, error)
        else:
            self._send(number, node, frame)

    def _send(self, number: int, node: str, frame: bytes) -> None:
        try:
            future = self._peers[node].receive.remote(addressed(self._node, frame)).future()
        except Exception as error:
            self._failed(number, node, error)
        else:
            tell = self._loop.call_soon_threadsafe
            future.add_done_callback(lambda future: tell(self._answered, number, node, future))

    def _answered(self, number: int, node: str, future: Any) -> None:
        error = future.exception()
        if error is not None:
            self._failed(number, node, error)
        elif (timer := self._sending.pop(number, None)) is not None:
            timer.cancel()
            self._line.say(TAKEN, number, future.result())

    def _failed(self, number: int, node: str, error: BaseException) -> None:
        """It did not get through: of Ray's errors there are many, and each means that."""
        self._peers.pop(node, None)
        if (timer := self._sending.pop(number, None)) is not None:
            timer.cancel()
            self._line.say(FAILED, number, f"{type(error).__name__}: {error}".encode()[:2_000])

    def _not_heard(self, number: int) -> None:
        if self._sending.pop(number, None) is not None:
            self._line.say(FAILED, number, f"nothing was heard of it for {PATIENCE:g} s".encode())
