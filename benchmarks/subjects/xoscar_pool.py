"""xoscar: actors of one pool in one process (``n_process=0``), whose calls are local. It does not restart actors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import xoscar

from .loop import BRANCHES, scenarios

SCALE = 0.03


class Echo(xoscar.Actor):
    def on_receive(self, message: Any) -> Any:
        return message


class Sink(xoscar.Actor):
    def __init__(self, target: int, reached: asyncio.Event) -> None:
        self.target, self.reached, self.count = target, reached, 0

    def on_receive(self, message: Any) -> None:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Link(xoscar.Actor):
    def __init__(self, members: list[Any], following: int, finished: asyncio.Event) -> None:
        self.members, self.following, self.finished = members, following, finished

    async def on_receive(self, message: int) -> None:
        if message:
            await self.members[self.following].on_receive.tell(message - 1)
        else:
            self.finished.set()


class Node(xoscar.Actor):
    def __init__(self, parent: Any, depth: int, finished: asyncio.Event) -> None:
        self.parent, self.depth, self.finished = parent, depth, finished
        self.total, self.missing = 0, BRANCHES

    async def on_receive(self, message: Any) -> None:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    child = await xoscar.create_actor(
                        Node, self.ref(), self.depth - 1, self.finished, address=self.address
                    )
                    await child.on_receive.tell("go")
            else:
                await self.parent.on_receive.tell(1)
        else:
            self.total += message
            self.missing -= 1
            if not self.missing:
                if self.parent is None:
                    self.finished.set()
                else:
                    await self.parent.on_receive.tell(self.total)


class Pool:
    spawns_are_awaited = tells_are_awaited = asks_need_tasks = True

    def __init__(self, handlers_are_async: bool) -> None:
        self.address = ""

    async def open(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.pool = await xoscar.create_actor_pool(self.address, n_process=0)

    async def close(self) -> None:
        await self.pool.stop()

    def make(self, kind: type, *arguments: Any) -> Any:
        return xoscar.create_actor(kind, *arguments, address=self.address)

    def echoes(self) -> Callable[[], Any]:
        return lambda: xoscar.create_actor(Echo, address=self.address)

    async def sink(self, target: int, reached: asyncio.Event) -> Any:
        return await self.make(Sink, target, reached)

    async def ring(self, size: int, finished: asyncio.Event) -> Any:
        members: list[Any] = []
        for index in range(size):
            members.append(await self.make(Link, members, (index + 1) % size, finished))
        return await self.make(Link, members, 0, finished)

    async def tree(self, depth: int, finished: asyncio.Event) -> Any:
        return await self.make(Node, None, depth, finished)

    def teller(self, ref: Any) -> Callable[[Any], Any]:
        tell: Callable[[Any], Any] = ref.on_receive.tell
        return tell

    def asker(self, ref: Any) -> Callable[[Any], Any]:
        ask: Callable[[Any], Any] = ref.on_receive
        return ask


SCENARIOS = scenarios(Pool, leave_out=["crash", "ask_thread"], asynchronous=False)
