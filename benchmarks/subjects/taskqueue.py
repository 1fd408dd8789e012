"""The usual asyncio actor: one task and one ``asyncio.Queue`` each, answers in ``asyncio.Future`` objects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from .loop import BRANCHES, scenarios

SCALE = 0.3


class Actor:
    def __init__(self, running: set[asyncio.Task[None]]) -> None:
        self.mailbox: asyncio.Queue[tuple[Any, asyncio.Future[Any] | None]] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.running = running
        running.add(self.loop.create_task(self.run()))

    def restart(self) -> None:
        """Set the state up again after a failure."""

    def on_receive(self, message: Any) -> Any:
        raise NotImplementedError

    def tell(self, message: Any) -> None:
        self.mailbox.put_nowait((message, None))

    def ask(self, message: Any) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = self.loop.create_future()
        self.mailbox.put_nowait((message, reply))
        return reply

    async def handle(self, message: Any) -> Any:
        return self.on_receive(message)

    async def run(self) -> None:
        while True:
            message, reply = await self.mailbox.get()
            try:
                result = await self.handle(message)
            except Exception as error:
                if reply is None:
                    self.restart()
                elif not reply.done():
                    reply.set_exception(error)
            else:
                if reply is not None and not reply.done():
                    reply.set_result(result)

    def ask_from_thread(self, message: Any) -> Any:
        async def ask() -> Any:
            return await self.ask(message)

        return asyncio.run_coroutine_threadsafe(ask(), self.loop).result()


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


class Sink(Actor):
    def __init__(self, running: set[asyncio.Task[None]], target: int, reached: asyncio.Event) -> None:
        super().__init__(running)
        self.target, self.reached, self.count = target, reached, 0

    def on_receive(self, message: Any) -> None:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Link(Actor):
    def __init__(
        self, running: set[asyncio.Task[None]], members: list[Any], following: int, finished: asyncio.Event
    ) -> None:
        super().__init__(running)
        self.members, self.following, self.finished = members, following, finished

    def on_receive(self, message: int) -> None:
        if message:
            self.members[self.following].tell(message - 1)
        else:
            self.finished.set()


class Node(Actor):
    def __init__(self, running: set[asyncio.Task[None]], parent: Node | None, depth: int, finished: asyncio.Event):
        super().__init__(running)
        self.parent, self.depth, self.finished = parent, depth, finished
        self.total, self.missing = 0, BRANCHES

    def on_receive(self, message: Any) -> None:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    Node(self.running, self, self.depth - 1, self.finished).tell("go")
            else:
                self.answer(1)
        else:
            self.total += message
            self.missing -= 1
            if not self.missing:
                self.answer(self.total)

    def answer(self, total: int) -> None:
        if self.parent is None:
            self.finished.set()
        else:
            self.parent.tell(total)


class Fragile(Actor):
    def __init__(self, running: set[asyncio.Task[None]]) -> None:
        super().__init__(running)
        self.restart()

    def restart(self) -> None:
        self.state: dict[str, Any] = {}

    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


class TaskQueue:
    def __init__(self, handlers_are_async: bool) -> None:
        self.running: set[asyncio.Task[None]] = set()

    async def open(self) -> None: ...

    async def close(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def echoes(self) -> Callable[[], Actor]:
        return partial(Echo, self.running)

    async def sink(self, target: int, reached: asyncio.Event) -> Actor:
        return Sink(self.running, target, reached)

    async def ring(self, size: int, finished: asyncio.Event) -> Actor:
        members: list[Any] = []
        members += [Link(self.running, members, (index + 1) % size, finished) for index in range(size)]
        return Link(self.running, members, 0, finished)

    async def tree(self, depth: int, finished: asyncio.Event) -> Actor:
        return Node(self.running, None, depth, finished)

    async def fragile(self) -> Actor:
        return Fragile(self.running)

    def teller(self, ref: Actor) -> Callable[[Any], None]:
        return ref.tell

    def asker(self, ref: Actor) -> Callable[[Any], Awaitable[Any]]:
        return ref.ask

    def blocking_asker(self, ref: Actor) -> Callable[[Any], Any]:
        return ref.ask_from_thread


SCENARIOS = scenarios(TaskQueue)
