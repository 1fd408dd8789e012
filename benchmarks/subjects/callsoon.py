"""The baseline: the least that bare asyncio needs to behave like an actor.

An object with one deque; the first message in an empty mailbox costs one ``loop.call_soon``, whose callback empties the
mailbox. An answer is an ``asyncio.Future``. No bounds, no names, no stop, no watch. A crash is told to a supervisor,
an actor too, which counts it and sets the state up again in place. Handlers are plain functions (a coroutine would
need a task), so ``…_async`` rows compare with these. What sends with a timeout or a scope, with a bound, or with a log
record costs is in classes of its own, so that the plain actor does not pay for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from benchmarks.harness.model import Unsupported

from .loop import BRANCHES, TIMEOUT, scenarios

SCALE = 1.0
CAPACITY = 100_000
logger = logging.getLogger("callsoon")


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


class LoudFragile(Fragile):
    __slots__ = ()

    def failed(self, error: Exception) -> bool:
        logger.error("Unhandled exception in %s:", self, exc_info=error)
        return super().failed(error)


class RestForOne(Supervisor):
    """Restarts the sender and those that were added after it."""

    __slots__ = ("children",)

    def __init__(self, loop: asyncio.AbstractEventLoop, intensity: int, period: float) -> None:
        super().__init__(loop, intensity, period)
        self.children: list[Member] = []

    def on_receive(self, message: Any) -> None:
        child, _error = message
        for later in self.children[child.position + 1 :]:
            later.restart()
        super().on_receive(message)


class Member(Fragile):
    __slots__ = ("position",)

    def __init__(self, loop: asyncio.AbstractEventLoop, supervisor: RestForOne) -> None:
        super().__init__(loop, supervisor)
        self.position = len(supervisor.children)
        supervisor.children.append(self)


class BoundedSink(Sink):
    __slots__ = ()

    async def put_in(self, message: Any) -> None:
        if len(self.mailbox) >= CAPACITY:
            raise NotImplementedError("there is always room in these scenarios")
        self.tell(message)


class Carried(NamedTuple):
    deadline: float | None
    baggage: dict[str, Any]


carried: ContextVar[Carried | None] = ContextVar("carried", default=None)


class Scoped(Actor):
    """Its messages travel with what was in force where they were sent; one that comes too late is not processed."""

    __slots__ = ()

    def tell(self, message: Any) -> None:
        super().tell((carried.get(), message))

    def ask(self, message: Any) -> Any:
        scope = carried.get()
        reply = super().ask((scope, message))
        return reply if scope is None or scope.deadline is None else answer_by(scope.deadline, reply)

    def on_receive(self, message: Any) -> Any:
        scope, inner = message
        if scope is None:
            return self.receive(inner)
        if scope.deadline is not None and scope.deadline <= self.loop.time():
            return None
        token = carried.set(scope)
        try:
            return self.receive(inner)
        finally:
            carried.reset(token)

    def receive(self, message: Any) -> Any:
        raise NotImplementedError


class ScopedEcho(Scoped):
    __slots__ = ()

    def receive(self, message: Any) -> Any:
        return message


class ScopedSink(Scoped):
    __slots__ = ("count", "reached", "target")

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int, reached: asyncio.Event) -> None:
        super().__init__(loop)
        self.target, self.reached, self.count = target, reached, 0

    def receive(self, message: Any) -> None:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


async def answer_by(deadline: float, reply: Awaitable[Any]) -> Any:
    async with asyncio.timeout_at(deadline):
        return await reply


class CallSoon:
    def __init__(self, handlers_are_async: bool) -> None:
        self.loop = asyncio.get_running_loop()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def echoes(self) -> Callable[[], Actor]:
        return partial(Echo, self.loop)

    async def sink(self, target: int, reached: asyncio.Event) -> Actor:
        return BoundedSink(self.loop, target, reached)

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

    def putter(self, ref: BoundedSink) -> Callable[[Any], Awaitable[None]]:
        return ref.put_in

    async def loud_fragiles(self, n: int) -> list[LoudFragile]:
        supervisor = Supervisor(self.loop, 10**9, 1.0)
        return [LoudFragile(self.loop, supervisor) for _ in range(n)]

    async def group(self, n: int) -> Actor:
        supervisor = RestForOne(self.loop, 10**9, 1.0)
        return [Member(self.loop, supervisor) for _ in range(n)][-1]

    def timed_asker(self, ref: Actor) -> Callable[[Any], Awaitable[Any]]:
        return lambda message: answer_by(self.loop.time() + TIMEOUT, ref.ask(message))

    @contextmanager
    def scope(self, timeout: float | None) -> Iterator[None]:
        deadline = None if timeout is None else self.loop.time() + timeout
        token = carried.set(Carried(deadline, {"trace": "benchmark"}))
        try:
            yield
        finally:
            carried.reset(token)

    async def scoped_echo(self) -> Actor:
        return ScopedEcho(self.loop)

    async def scoped_sink(self, target: int, reached: asyncio.Event) -> Actor:
        return ScopedSink(self.loop, target, reached)

    def measured(self) -> AbstractContextManager[Any]:
        raise Unsupported("nothing is measured")

    def intercepted(self) -> AbstractContextManager[Any]:
        raise Unsupported("nothing is intercepted")


SCENARIOS = scenarios(CallSoon, further=True)
