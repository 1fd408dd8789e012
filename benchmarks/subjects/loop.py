"""The scenarios for a subject that lives on an event loop.

What a subject gives is :class:`LoopSubject`; what the scenarios do is the same for all of them:

=============  =====================================================================================================
spawn          n actors, until the last one has answered; per actor
memory_N       resident bytes per actor, when N actors have answered one ask each and are idle
tell           bursts of 20 messages to one actor that counts them; the next burst when the last is counted
tell_1000      the same in bursts of 1,000, where the baseline's one ``call_soon`` a burst costs it nothing
ask_seq        one ask after the other, awaited by one task
ask_100        100 asks in flight to one actor, then awaited in order
fan            one ask to each of 100 actors, then awaited in order; per ask
ring           1,000 actors pass a number on, 20 laps; per hop
tree           an actor spawns 10 children, these 10 each, … 10,000 leaves; the sums come back up; per actor
crash          a tell that raises, then an ask that the restarted actor answers; per cycle
ask_thread     one blocking ask after the other from a thread that is not the loop's
=============  =====================================================================================================

``…_async`` is the same with ``async def`` handlers that do not suspend.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from benchmarks.harness.model import Sample

from .clock import Cpu, fill_holes, latencies, resident

BURST, LONG_BURST = 20, 1_000
FLIGHT = 100
RING = 1_000
BRANCHES = 10


class LoopSubject(Protocol):
    """A system under test, made and used inside a running loop. ``Any`` is the subject's own kind of ref.

    Three attributes may be added and set to True: ``spawns_are_awaited``, ``tells_are_awaited``, and
    ``asks_need_tasks`` (an ask is a coroutine, which does nothing until it is awaited).
    """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def echoes(self) -> Callable[[], Any]:
        """What spawns an actor that answers with the message; awaited only when ``spawns_are_awaited``."""

    async def sink(self, target: int, reached: asyncio.Event) -> Any:
        """Spawn an actor that sets ``reached`` after every ``target`` messages."""

    async def ring(self, size: int, finished: asyncio.Event) -> Any:
        """Spawn a ring that passes an int on, one less each time, and sets ``finished`` at 0; return one actor."""

    async def tree(self, depth: int, finished: asyncio.Event) -> Any:
        """Spawn the root of a tree of ``depth`` levels below it. Told "go", it sets ``finished`` after the sums."""

    async def fragile(self) -> Any:
        """Spawn an actor that raises when told "boom", is restarted, and echoes all else."""

    def teller(self, ref: Any) -> Callable[[Any], Any]:
        """What sends one message; its result is awaited only when ``tells_are_awaited``."""

    def asker(self, ref: Any) -> Callable[[Any], Any]:
        """What asks once and returns something to await."""

    def blocking_asker(self, ref: Any) -> Callable[[Any], Any]:
        """What asks from a thread that is not the loop's, and blocks."""


Scenario = Callable[[int], list[Sample]]


async def an_echo(subject: LoopSubject) -> Any:
    made = subject.echoes()()
    return await made if getattr(subject, "spawns_are_awaited", False) else made


async def spawn(subject: LoopSubject, n: int) -> list[Sample]:
    make = subject.echoes()
    if getattr(subject, "spawns_are_awaited", False):
        cpu = Cpu()
        refs = [await make() for _ in range(n)]
    else:
        cpu = Cpu()
        refs = [make() for _ in range(n)]
    await subject.asker(refs[-1])(0)
    return [cpu.per(n, "actor")]


async def memory(subject: LoopSubject, n: int) -> list[Sample]:
    await subject.asker(await an_echo(subject))(0)
    refs: list[Any] = [None] * n
    _holes = fill_holes()
    before = resident()
    for index in range(n):
        refs[index] = ref = await an_echo(subject)
        await subject.asker(ref)(index)
    gc.collect()
    return [Sample((resident() - before) / n, "bytes/actor")]


async def tell(subject: LoopSubject, n: int, burst: int = BURST) -> list[Sample]:
    reached = asyncio.Event()
    send = subject.teller(await subject.sink(burst, reached))
    awaited = getattr(subject, "tells_are_awaited", False)
    bursts = max(1, n // burst)
    cpu = Cpu()
    for _ in range(bursts):
        if awaited:
            for number in range(burst):
                await send(number)
        else:
            for number in range(burst):
                send(number)
        await reached.wait()
        reached.clear()
    return [cpu.per(bursts * burst, "message")]


async def tell_1000(subject: LoopSubject, n: int) -> list[Sample]:
    return await tell(subject, n, LONG_BURST)


async def ask_seq(subject: LoopSubject, n: int) -> list[Sample]:
    ask = subject.asker(await an_echo(subject))
    cpu = Cpu()
    for number in range(n):
        await ask(number)
    samples = [cpu.per(n, "ask")]
    # Latencies are taken in a second pass: two clock readings cost as much as the ask they would measure.
    seconds = []
    for number in range(n):
        start = time.perf_counter()
        await ask(number)
        seconds.append(time.perf_counter() - start)
    return samples + latencies(seconds)


def _started(subject: LoopSubject, ask: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    if getattr(subject, "asks_need_tasks", False):
        return lambda message: asyncio.get_running_loop().create_task(ask(message))
    return ask


async def _flights(asks: Sequence[Callable[[Any], Awaitable[Any]]], rounds: int) -> list[Sample]:
    cpu = Cpu()
    for number in range(rounds):
        for answer in [ask(number) for ask in asks]:
            await answer
    return [cpu.per(rounds * len(asks), "ask")]


async def ask_100(subject: LoopSubject, n: int) -> list[Sample]:
    asks = [_started(subject, subject.asker(await an_echo(subject)))] * FLIGHT
    samples = await _flights(asks, max(1, n // FLIGHT))
    seconds = []
    for number in range(max(1, n // FLIGHT)):
        start = time.perf_counter()
        for answer in [ask(number) for ask in asks]:
            await answer
            seconds.append(time.perf_counter() - start)
    return samples + latencies(seconds)


async def fan(subject: LoopSubject, n: int) -> list[Sample]:
    asks = [_started(subject, subject.asker(await an_echo(subject))) for _ in range(FLIGHT)]
    return await _flights(asks, max(1, n // FLIGHT))


async def ring(subject: LoopSubject, n: int) -> list[Sample]:
    size = RING if n >= 2 * RING else max(10, n // 20)
    laps = max(1, n // size)
    finished = asyncio.Event()
    send = subject.teller(await subject.ring(size, finished))
    cpu = Cpu()
    sent = send(size * laps)
    if sent is not None:
        await sent
    await finished.wait()
    return [cpu.per(size * laps, "hop")]


async def tree(subject: LoopSubject, n: int) -> list[Sample]:
    depth = 1
    while BRANCHES ** (depth + 1) <= n:
        depth += 1
    actors = sum(BRANCHES**level for level in range(depth + 1))
    finished = asyncio.Event()
    cpu = Cpu()
    sent = subject.teller(await subject.tree(depth, finished))("go")
    if sent is not None:
        await sent
    await finished.wait()
    return [cpu.per(actors, "actor")]


async def crash(subject: LoopSubject, n: int) -> list[Sample]:
    ref = await subject.fragile()
    send, ask = subject.teller(ref), subject.asker(ref)
    cpu = Cpu()
    for number in range(n):
        sent = send("boom")
        if sent is not None:
            await sent
        await ask(number)
    samples = [cpu.per(n, "crash")]
    seconds = []
    for number in range(n):
        start = time.perf_counter()
        sent = send("boom")
        if sent is not None:
            await sent
        await ask(number)
        seconds.append(time.perf_counter() - start)
    return samples + latencies(seconds)


async def ask_thread(subject: LoopSubject, n: int) -> list[Sample]:
    ask = subject.blocking_asker(await an_echo(subject))

    def drive() -> list[Sample]:
        cpu = Cpu()
        seconds = []
        for number in range(n):
            start = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - start)
        return [cpu.per(n, "ask"), *latencies(seconds)]

    return await asyncio.to_thread(drive)


SCENARIOS = {
    "spawn": spawn,
    "memory": memory,
    "tell": tell,
    "tell_1000": tell_1000,
    "ask_seq": ask_seq,
    "ask_100": ask_100,
    "fan": fan,
    "ring": ring,
    "tree": tree,
    "crash": crash,
    "ask_thread": ask_thread,
}
WITH_HANDLERS = ("tell", "tell_1000", "ask_seq", "ask_100", "fan", "ring", "tree", "crash")


def scenarios(
    make: Callable[[bool], Any], leave_out: Sequence[str] = (), asynchronous: bool = True
) -> dict[str, Callable[[int], list[Sample]]]:
    """The scenarios for a subject, but for ``leave_out``, whose methods ``make``'s :class:`LoopSubject` may lack.

    ``make(True)`` gives it ``async def`` handlers, for the names with ``_async``.
    """
    found = {name: _bind(body, make, False) for name, body in SCENARIOS.items() if name not in leave_out}
    if asynchronous:
        found |= {f"{name}_async": _bind(SCENARIOS[name], make, True) for name in WITH_HANDLERS if name in found}
    return found


def _bind(
    body: Callable[[LoopSubject, int], Coroutine[Any, Any, list[Sample]]],
    make: Callable[[bool], LoopSubject],
    handlers_are_async: bool,
) -> Scenario:
    async def within(n: int) -> list[Sample]:
        subject = make(handlers_are_async)
        await subject.open()
        try:
            return await body(subject, n)
        finally:
            await subject.close()

    return lambda n: run(within(n))


_loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None


def use_uvloop(wanted: bool) -> None:
    """Run the following scenarios of this process on uvloop, or on asyncio's own loop."""
    global _loop_factory
    if wanted:
        import uvloop

        _loop_factory = uvloop.new_event_loop
    else:
        _loop_factory = None


def run(coroutine: Coroutine[Any, Any, list[Sample]]) -> list[Sample]:
    """``asyncio.run`` on the chosen loop."""
    with asyncio.Runner(loop_factory=_loop_factory) as runner:
        return runner.run(coroutine)
