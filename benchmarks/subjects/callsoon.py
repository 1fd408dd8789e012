"""The baseline: the least that bare asyncio needs to behave like an actor.

An object with one deque; the first message in an empty mailbox costs one ``loop.call_soon``, whose callback empties the
mailbox. An answer is an ``asyncio.Future``. No bounds, no names, no stop, no watch. A crash is told to a supervisor,
an actor too, which counts it and sets the state up again in place. Handlers are plain functions (a coroutine would
need a task), so ``…_async`` rows compare with these.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from .loop import BRANCHES, scenarios

SCALE = 1.0


class Actor:
    __slots__ = ("loop", "mailbox", "scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.mailbox: deque[tuple[Any, Any]] = deque()
        self.scheduled = False

    def on_receive(self, message: Any) -> Any:
        raise NotImplementedError

    def failed(self, error: Exception) -> bool:
        """Say whether the mailbox may go on."""
        return True

    def tell(self, message: Any) -> None:
        self.mailbox.append((message, None))
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.run)

    def ask(self, message: Any) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = self.loop.create_future()
        self.mailbox.append((message, reply))
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.run)
        return reply

    def run(self) -> None:
        self.scheduled = False
        mailbox = self.mailbox
        while mailbox:
            message, reply = mailbox.popleft()
            try:
                result = self.on_receive(message)
            except Exception as error:
                if reply is None:
                    if not self.failed(error):
                        return
                elif not reply.done():
                    reply.set_exception(error)
            else:
                if reply is not None and not reply.done():
                    reply.set_result(result)

    def ask_from_thread(self, message: Any) -> Any:
        reply: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.loop.call_soon_threadsafe(self.put, message, reply)
        return reply.result()

    def put(self, message: Any, reply: concurrent.futures.Future[Any]) -> None:
        self.mailbox.append((message, reply))
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.run)


class Echo(Actor):
    __slots__ = ()

    def on_receive(self, message: Any) -> Any:
        return message


class Sink(Actor):
    __slots__ = ("count", "reached", "target")

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int, reached: asyncio.Event) -> None:
        super().__init__(loop)
        self.target, self.reached, self.count = target, reached, 0

    def on_receive(self, message: Any) -> None:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Link(Actor):
    __slots__ = ("finished", "following", "members")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, members: list[Any], following: int, finished: asyncio.Event
    ) -> None:
        super().__init__(loop)
        self.members, self.following, self.finished = members, following, finished

    def on_receive(self, message: int) -> None:
        if message:
            self.members[self.following].tell(message - 1)
        else:
            self.finished.set()


class Node(Actor):
    __slots__ = ("depth", "finished", "missing", "parent", "total")

    def __init__(self, loop: asyncio.AbstractEventLoop, parent: Node | None, depth: int, finished: asyncio.Event):
        super().__init__(loop)
        self.parent, self.depth, self.finished = parent, depth, finished
        self.total, self.missing = 0, BRANCHES

    def on_receive(self, message: Any) -> None:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    Node(self.loop, self, self.depth - 1, self.finished).tell("go")
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


class Supervisor(Actor):
    """Restarts the sender, unless it failed ``intensity`` times in ``period`` seconds."""

    __slots__ = ("failures", "intensity", "period")

    def __init__(self, loop: asyncio.AbstractEventLoop, intensity: int, period: float) -> None:
        super().__init__(loop)
        self.intensity, self.period = intensity, period
        self.failures: deque[float] = deque()

    def on_receive(self, message: Any) -> None:
        now = self.loop.time()
        failures = self.failures
        failures.append(now)
        while now - failures[0] > self.period:
            failures.popleft()
        if len(failures) <= self.intensity:
            child, _error = message
            child.restart()
            child.run()


class Fragile(Actor):
    __slots__ = ("state", "supervisor")

    def __init__(self, loop: asyncio.AbstractEventLoop, supervisor: Supervisor) -> None:
        super().__init__(loop)
        self.supervisor = supervisor
        self.restart()

    def restart(self) -> None:
        self.state: dict[str, Any] = {}

    def failed(self, error: Exception) -> bool:
        self.scheduled = True  # nothing runs until the supervisor has decided
        self.supervisor.tell((self, error))
        return False

    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


class CallSoon:
    def __init__(self, handlers_are_async: bool) -> None:
        self.loop = asyncio.get_running_loop()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def echoes(self) -> Callable[[], Actor]:
        return partial(Echo, self.loop)

    async def sink(self, target: int, reached: asyncio.Event) -> Actor:
        return Sink(self.loop, target, reached)

    async def ring(self, size: int, finished: asyncio.Event) -> Actor:
        members: list[Any] = []
        members += [Link(self.loop, members, (index + 1) % size, finished) for index in range(size)]
        return Link(self.loop, members, 0, finished)

    async def tree(self, depth: int, finished: asyncio.Event) -> Actor:
        return Node(self.loop, None, depth, finished)

    async def fragile(self) -> Actor:
        return Fragile(self.loop, Supervisor(self.loop, 10**9, 1.0))

    def teller(self, ref: Actor) -> Callable[[Any], None]:
        return ref.tell

    def asker(self, ref: Actor) -> Callable[[Any], Awaitable[Any]]:
        return ref.ask

    def blocking_asker(self, ref: Actor) -> Callable[[Any], Any]:
        return ref.ask_from_thread


SCENARIOS = scenarios(CallSoon)
