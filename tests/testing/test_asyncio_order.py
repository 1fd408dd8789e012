"""``order="asyncio"`` is the order of a stock loop: random programs leave the same log on both.

The stock loop is asyncio's own, scheduler and timers untouched; only its selector and clock are virtual, so that
nothing is waited for. Its tasks and futures are numbered as the simulator numbers its own, because `asyncio.wait` and
`TaskGroup` go through sets. No two timers are due within the clock's resolution of each other, save those set for
"now": a stock loop's heap keeps no order among equals. ``CALLBOARD_PROGRAMS=1000`` runs that many programs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import selectors
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from callboard.actors.testing.loop.loop import SimulationLoop
from callboard.actors.testing.loop.virtual import RESOLUTION

PROGRAMS = int(os.environ.get("CALLBOARD_PROGRAMS", "60"))
Node = tuple[Any, ...]
Log = Callable[[str], None]


# -- a stock loop on a virtual clock -----------------------------------------------------------------------------------


class _Selector(selectors.SelectSelector):
    """Nothing ever happens but that time passes."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "the program waits for ever"
        self.now += timeout
        return []


class _Numbered(asyncio.Task[Any]):
    def __init__(self, coro: Any, *, loop: Stock, **options: Any) -> None:
        self.number = next(loop.numbers)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    def __init__(self, *, loop: Stock) -> None:
        self.number = next(loop.numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class Stock(asyncio.SelectorEventLoop):
    """asyncio's loop; each look at the clock finds it a little later, as on a real machine."""

    def __init__(self) -> None:
        self.selector = _Selector()
        self.looks = itertools.count()
        self.numbers: Iterator[int] = itertools.count(1)
        super().__init__(self.selector)
        self._clock_resolution = RESOLUTION
        self.set_task_factory(lambda loop, coro, **options: _Numbered(coro, loop=self, **options))

    def time(self) -> float:
        return self.selector.now + next(self.looks) * 1e-14

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(loop=self)


def run(loop: asyncio.AbstractEventLoop, program: Node) -> list[str]:
    log: list[str] = []
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda _, context: log.append(f"unhandled {context.get('exception')!r}"))
    try:
        loop.run_until_complete(Interpreter(log.append).main(program))
        return log.copy()  # not what a coroutine says as it is thrown away
    finally:
        asyncio.set_event_loop(None)
        if isinstance(loop, SimulationLoop):
            loop.abandon()
        else:
            loop.close()


# -- programs ----------------------------------------------------------------------------------------------------------

LEAVES = (
    "yield",
    "sleep",
    "soon",
    "later0",
    "later",
    "at",
    "set_future",
    "await_future",
    "set_event",
    "wait_event",
    "clear_event",
    "put",
    "get",
    "cancel",
    "done",
    "fail",
)
BRANCHES = (
    "spawn",
    "gather",
    "wait",
    "wait_for",
    "timeout",
    "group",
    "shield",
    "lock",
    "semaphore",
    "condition",
    "notify",
    "finally",
)


class Generator:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.count = itertools.count()
        self.left = 40

    def delay(self) -> float:
        return self.rng.choice((0.01, 0.1, 1.0)) * (1 + self.rng.random())

    def block(self, depth: int) -> Node:
        return tuple(self.node(depth) for _ in range(self.rng.randint(1, 4)))

    def node(self, depth: int) -> Node:
        self.left -= 1
        kind = self.rng.choice(LEAVES if depth == 0 or self.left < 0 else (*LEAVES, *BRANCHES, *BRANCHES))
        blocks: tuple[Any, ...] = ()
        if kind in BRANCHES:
            blocks = tuple(self.block(depth - 1) for _ in range(self.rng.randint(1, 3)))
        return kind, next(self.count), self.delay(), self.rng.randrange(3), blocks


class Interpreter:
    """Runs a program: blocks of ``(kind, number, seconds, which, blocks)``."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.tasks: list[asyncio.Task[Any]] = []

    async def main(self, program: Node) -> None:
        self.loop = asyncio.get_running_loop()
        self.futures = [self.loop.create_future() for _ in range(3)]
        self.events = [asyncio.Event() for _ in range(3)]
        self.locks = [asyncio.Lock() for _ in range(3)]
        self.conditions = [asyncio.Condition() for _ in range(3)]
        self.semaphores = [asyncio.Semaphore(2) for _ in range(3)]
        self.queues: list[asyncio.Queue[int]] = [asyncio.Queue(2) for _ in range(3)]
        task = self.spawn(program, "main")
        await asyncio.wait([task])
        self.log(f"main {self.outcome(task)}")
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.log("end " + " ".join(self.outcome(task) for task in self.tasks))

    @staticmethod
    def outcome(task: asyncio.Future[Any]) -> str:
        if task.cancelled():
            return "cancelled"
        return type(task.exception()).__name__ if task.exception() else "ok"

    def spawn(self, block: Node, name: str) -> asyncio.Task[Any]:
        task = self.loop.create_task(self.block(block, name), name=name)
        self.tasks.append(task)
        return task

    async def block(self, block: Node, name: str) -> str:
        self.log(f"{name} begins")
        try:
            for node in block:
                kind, number, *_ = node
                try:
                    await self.step(node, f"{name}.{number}")
                except (TimeoutError, asyncio.InvalidStateError, asyncio.QueueFull, LookupError) as error:
                    self.log(f"{name} {kind}{number} {type(error).__name__}")
                else:
                    self.log(f"{name} {kind}{number}")
        except asyncio.CancelledError:
            self.log(f"{name} cancelled")
            raise
        finally:
            self.log(f"{name} ends")
        return name

    async def within(self, seconds: float, awaited: Awaitable[Any]) -> Any:
        async with asyncio.timeout(seconds):
            return await awaited

    async def step(self, node: Node, name: str) -> None:
        kind, number, seconds, which, _ = node
        match kind:
            case "yield":
                await asyncio.sleep(0)
            case "sleep":
                await asyncio.sleep(seconds)
            case "soon":
                self.loop.call_soon(self.log, f"soon{number}")
            case "later0":
                self.loop.call_later(0, self.log, f"later{number}")
                self.loop.call_later(0, self.loop.call_soon, self.log, f"then{number}")
            case "later":
                self.loop.call_later(seconds, self.log, f"later{number}")
            case "at":
                handle = self.loop.call_at(self.loop.time() + seconds, self.log, f"at{number}")
                if which == 0:
                    self.loop.call_later(seconds / 2, handle.cancel)
            case "set_future":
                self.futures[which].set_result(number)
            case "await_future":
                await self.within(seconds, asyncio.shield(self.futures[which]))
            case "set_event":
                self.events[which].set()
            case "wait_event":
                await self.within(seconds, self.events[which].wait())
            case "clear_event":
                self.events[which].clear()
            case "put":
                await self.within(seconds, self.queues[which].put(number))
            case "get":
                self.log(f"{name} got {await self.within(seconds, self.queues[which].get())}")
            case "cancel":
                task = self.tasks[number % len(self.tasks)]
                if task is not asyncio.current_task():
                    task.cancel()
            case "done":
                task = self.tasks[number % len(self.tasks)]
                task.add_done_callback(lambda task: self.log(f"done{number} {self.outcome(task)}"))
            case "fail":
                if which == 0:
                    raise ZeroDivisionError
            case _:
                await self.branch(node, name)

    async def branch(self, node: Node, name: str) -> None:
        kind, _, seconds, which, blocks = node
        match kind:
            case "spawn":
                for index, block in enumerate(blocks):
                    self.spawn(block, f"{name}{index}")
            case "gather":
                await asyncio.gather(
                    *(self.block(block, f"{name}{index}") for index, block in enumerate(blocks)),
                    return_exceptions=which == 0,
                )
            case "wait":
                tasks = [self.spawn(block, f"{name}{index}") for index, block in enumerate(blocks)]
                when = (asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION)[which]
                done, left = await asyncio.wait(tasks, timeout=seconds, return_when=when)
                self.log(f"{name} waited {len(done)} {len(left)}")
            case "wait_for":
                await asyncio.wait_for(self.block(blocks[0], name), seconds)
            case "timeout":
                await self.within(seconds, self.block(blocks[0], name))
            case "group":
                try:
                    async with asyncio.TaskGroup() as group:
                        for index, block in enumerate(blocks):
                            self.tasks.append(group.create_task(self.block(block, f"{name}{index}")))
                except BaseExceptionGroup as errors:
                    self.log(f"{name} group of {len(errors.exceptions)}")
            case "shield":
                await asyncio.shield(self.spawn(blocks[0], name))
            case "lock":
                async with asyncio.timeout(seconds), self.locks[which]:
                    await self.block(blocks[0], name)
            case "semaphore":
                async with asyncio.timeout(seconds), self.semaphores[which]:
                    await self.block(blocks[0], name)
            case "condition":
                async with asyncio.timeout(seconds), self.conditions[which]:
                    await self.conditions[which].wait()
                    self.log(f"{name} notified")
            case "notify":
                async with asyncio.timeout(seconds), self.conditions[which]:
                    self.conditions[which].notify(which)
            case "finally":
                try:
                    await self.block(blocks[0], name)
                finally:
                    await asyncio.sleep(0)
                    self.log(f"{name} tidied up")


# -- the comparison ----------------------------------------------------------------------------------------------------


def program(seed: int) -> Node:
    return Generator(seed).block(3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of coroutines that are thrown away
def test_random_programs_leave_the_log_of_a_stock_loop() -> None:
    steps, kinds = 0, set[str]()
    for seed in range(PROGRAMS):
        expected = run(Stock(), program(seed))
        actual = run(SimulationLoop(None, order="asyncio", max_steps=100_000), program(seed))
        assert actual == expected, f"program {seed}"
        steps += len(expected)
        kinds.update(line.split()[-1].rstrip("0123456789") for line in expected)
    assert steps > 20 * PROGRAMS, "the programs do little"
    assert {"later", "then", "soon", "cancelled"} <= {line.rstrip("0123456789") for line in kinds}
