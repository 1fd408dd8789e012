"""Our own actors: supervised, with bounded mailboxes, as a user writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Literal

from benchmarks.harness.model import Unsupported
from callboard import actors
from callboard.actors import Actor, ActorRef, ChildSpec, Supervisor, System

from .loop import BRANCHES, TIMEOUT, scenarios

SCALE = 1.0


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


class AsyncEcho(Actor):
    async def on_receive(self, message: Any) -> Any:
        return message


class Sink(Actor):
    def __init__(self, target: int, reached: asyncio.Event) -> None:
        super().__init__()
        self.target, self.reached, self.count = target, reached, 0

    def on_receive(self, message: Any) -> Any:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class AsyncSink(Sink):
    async def on_receive(self, message: Any) -> None:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Link(Actor):
    def __init__(self, members: list[Any], following: int, finished: asyncio.Event) -> None:
        super().__init__()
        self.members, self.following, self.finished = members, following, finished

    def on_receive(self, message: int) -> Any:
        if message:
            self.members[self.following].tell(message - 1)
        else:
            self.finished.set()


class AsyncLink(Link):
    async def on_receive(self, message: int) -> None:
        if message:
            self.members[self.following].tell(message - 1)
        else:
            self.finished.set()


class Node(Actor):
    def __init__(self, parent: Any, depth: int, finished: asyncio.Event) -> None:
        super().__init__()
        self.parent, self.depth, self.finished = parent, depth, finished
        self.total, self.missing = 0, BRANCHES

    def on_receive(self, message: Any) -> Any:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    self.spawn(Node, self.ref, self.depth - 1, self.finished).tell("go")
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


class AsyncNode(Node):
    async def on_receive(self, message: Any) -> None:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    self.spawn(AsyncNode, self.ref, self.depth - 1, self.finished).tell("go")
            else:
                self.answer(1)
        else:
            self.total += message
            self.missing -= 1
            if not self.missing:
                self.answer(self.total)


class Fragile(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {}

    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


class AsyncFragile(Fragile):
    async def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


class Callboard:
    def __init__(self, handlers_are_async: bool) -> None:
        self.asynchronous = handlers_are_async
        self.system = System("benchmark")

    async def open(self) -> None:
        await self.system.__aenter__()

    async def close(self) -> None:
        await self.system.__aexit__(None, None, None)

    def echoes(self) -> Callable[[], ActorRef[Any]]:
        return partial(self.system.spawn, AsyncEcho if self.asynchronous else Echo)

    async def sink(self, target: int, reached: asyncio.Event) -> ActorRef[Any]:
        return self.system.spawn(AsyncSink if self.asynchronous else Sink, target, reached)

    async def ring(self, size: int, finished: asyncio.Event) -> ActorRef[Any]:
        link = AsyncLink if self.asynchronous else Link
        members: list[Any] = []
        members += [self.system.spawn(link, members, (index + 1) % size, finished) for index in range(size)]
        return self.system.spawn(link, members, 0, finished)

    async def tree(self, depth: int, finished: asyncio.Event) -> ActorRef[Any]:
        return self.system.spawn(AsyncNode if self.asynchronous else Node, None, depth, finished)

    async def fragile(self) -> ActorRef[Any]:
        return (await self.fragiles(1))[0]

    async def fragiles(
        self, n: int, strategy: Literal["one_for_one", "rest_for_one"] = "one_for_one"
    ) -> Sequence[ActorRef[Any]]:
        kind = AsyncFragile if self.asynchronous else Fragile
        specs = [ChildSpec(kind, name=f"fragile-{index}") for index in range(n)]
        supervisor = Supervisor.spec(specs, strategy=strategy, intensity=10**9, period=1.0, name="limits")
        await self.system.supervise(supervisor).started()
        refs = [ref for spec in specs if (ref := self.system.find(f"limits/{spec.name}")) is not None]
        assert len(refs) == n
        return refs

    def teller(self, ref: ActorRef[Any]) -> Callable[[Any], None]:
        return ref.tell

    def asker(self, ref: ActorRef[Any]) -> Callable[[Any], Awaitable[Any]]:
        return ref.ask

    def blocking_asker(self, ref: ActorRef[Any]) -> Callable[[Any], Any]:
        return lambda message: ref.ask(message).get()

    def putter(self, ref: ActorRef[Any]) -> Callable[[Any], Awaitable[None]]:
        return ref.put

    async def loud_fragiles(self, n: int) -> Sequence[ActorRef[Any]]:
        return await self.fragiles(n)

    async def group(self, n: int) -> ActorRef[Any]:
        return (await self.fragiles(n, "rest_for_one"))[-1]

    def timed_asker(self, ref: ActorRef[Any]) -> Callable[[Any], Awaitable[Any]]:
        return lambda message: ref.ask(message, timeout=TIMEOUT)

    def scope(self, timeout: float | None) -> AbstractContextManager[Any]:
        carried = {"trace": "benchmark"}
        if hasattr(actors, "send_context"):
            return actors.send_context(timeout=timeout, baggage=carried)
        former: Any = actors.scope  # type: ignore[attr-defined]  # what an earlier commit calls it (`--before`)
        return former(timeout=timeout, values=carried)  # type: ignore[no-any-return]

    async def scoped_echo(self) -> ActorRef[Any]:
        return self.echoes()()

    async def scoped_sink(self, target: int, reached: asyncio.Event) -> ActorRef[Any]:
        return await self.sink(target, reached)

    def measured(self) -> AbstractContextManager[Any]:
        if not hasattr(self.system, "measure"):
            raise Unsupported("an earlier commit has no metrics")
        return self.system.measure()

    @contextmanager
    def intercepted(self) -> Iterator[None]:
        if not hasattr(self.system, "intercept"):
            raise Unsupported("an earlier commit has no interceptors")
        end = self.system.intercept(lambda delivery: _ended)
        try:
            yield
        finally:
            end()


def _ended(handled: Any) -> None:
    """What the interceptor does as a handler ends."""


SCENARIOS = scenarios(Callboard, further=True)
