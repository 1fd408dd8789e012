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

What not every subject can, :class:`FurtherSubject`, is measured together with the subject's own plain send, in one run
of one process; a second row, ``…_over_ask`` and so on, says how many times as much it costs:

===================  ===============================================================================================
put                  bursts of 1,000, sent with room in the mailbox by what would wait for room; over a tell
crash_logged         the cycle of ``crash``, again and again in one actor, with a log handler that formats and writes
                     the records (to the null device); over a crash with logging off; ``_records`` per crash
crash_logged_once    the same logged cycle, once in each of n actors: not one crash is a repetition
rest_for_one_N       the last of N children under ``rest_for_one`` raises, then answers an ask; per cycle
ask_timeout          one ask after the other, each with a timeout of its own that does not run out; over an ask
ask_scoped           the same without timeouts, in a scope that carries a value along; over an ask
ask_scoped_timeout   the same in a scope with a deadline too
tell_scoped          bursts of 1,000 in a scope that carries a value along; over a tell
tell_scoped_timeout  the same in a scope with a deadline too
ask_measured         one ask after the other while a meter measures them; over an ask
fan_measured         one ask to each of 100 actors, while a meter measures them; over an ask of a fan
tell_measured        bursts of 20 while a meter measures them; over a tell
ask_intercepted      one ask after the other, each told to an interceptor as it begins and ends; over an ask
tell_intercepted     bursts of 20, each message told to an interceptor as it begins and ends; over a tell
===================  ===============================================================================================

``…_async`` is the same with ``async def`` handlers that do not suspend.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO

from benchmarks.harness.model import Sample

from .clock import Cpu, fill_holes, latencies, resident

BURST, LONG_BURST = 20, 1_000
FLIGHT = 100
RING = 1_000
BRANCHES = 10
TIMEOUT = 5.0  # of an ask, in seconds; none of them runs out
SCOPE_TIMEOUT = 600.0  # of a whole run's sends
TURNS = 5  # how often a run takes turns between two things it compares
FAILURES = 20  # of the last child, in one run


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


class FurtherSubject(LoopSubject, Protocol):
    """What the scenarios of ``FURTHER`` need besides."""

    def putter(self, ref: Any) -> Callable[[Any], Awaitable[None]]:
        """What sends one message to a sink, and waits where the mailbox has no room."""

    async def loud_fragiles(self, n: int) -> Sequence[Any]:
        """Spawn n actors as ``fragile`` does, whose crashes are logged with their tracebacks."""

    async def group(self, n: int) -> Any:
        """Spawn n actors as ``fragile`` does, under one ``rest_for_one`` supervisor; return the last."""

    def timed_asker(self, ref: Any) -> Callable[[Any], Awaitable[Any]]:
        """What asks once, with a timeout of ``TIMEOUT`` seconds."""

    def scope(self, timeout: float | None) -> AbstractContextManager[Any]:
        """What has the sends inside carry a value, and a deadline unless ``timeout`` (in seconds) is None."""

    async def scoped_echo(self) -> Any:
        """Spawn an actor that answers with the message, and in whose handler the sender's scope is in force."""

    async def scoped_sink(self, target: int, reached: asyncio.Event) -> Any:
        """Spawn what ``sink`` spawns, with the sender's scope in force in its handler."""

    def measured(self) -> AbstractContextManager[Any]:
        """What has the messages inside counted and timed."""

    def intercepted(self) -> AbstractContextManager[Any]:
        """What has the messages inside told to a function that does nothing, as a handler begins and as it ends."""


Scenario = Callable[[int], list[Sample]]
Body = Callable[[Any, int], Coroutine[Any, Any, list[Sample]]]


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


# -- what not every subject can ----------------------------------------------------------------------------------------

Step = Callable[[int], Awaitable[None]]


async def _in_turn(n: int, costly: Step, plain: Step, over: str, unit: str, size: int = 1) -> list[Sample]:
    """Take n steps of either, of ``size`` units each, some of the one and some of the other in turn.

    So both meet the same machine.
    """
    spent = [0.0, 0.0]
    for turn in range(TURNS):
        part = n * (turn + 1) // TURNS - n * turn // TURNS
        for index, steps in enumerate((costly, plain)):
            spent[index] += await _cpu_of(steps, part)
    return _costs(spent[0] / n / size, spent[1] / n / size, over, unit)


async def _plain_first(n: int, costly: Step, plain: Step, over: str, unit: str, size: int = 1) -> list[Sample]:
    """The same for what changes the process for good; the process is to be a new one.

    A core that looks for a scope only when there has been one is slower from the first one on: the plain sends are done
    before.
    """
    spent = []
    for steps in (plain, costly):
        await steps(max(1, n // 10))
        spent.append(await _cpu_of(steps, n))
    return _costs(spent[1] / n / size, spent[0] / n / size, over, unit)


async def _cpu_of(steps: Step, n: int) -> float:
    cpu = Cpu()
    await steps(n)
    return cpu.per(1, "").value


def _costs(cost: float, plain: float, over: str, unit: str) -> list[Sample]:
    return [Sample(cost, f"CPU µs/{unit}"), Sample(cost / plain, f"× {over}", f"_over_{over}")]


def _asks(ask: Callable[[Any], Awaitable[Any]]) -> Step:
    async def asks(n: int) -> None:
        for number in range(n):
            await ask(number)

    return asks


def _bursts(send: Callable[[Any], Any], reached: asyncio.Event, burst: int = LONG_BURST) -> Step:
    async def bursts(n: int) -> None:
        for _ in range(n):
            for number in range(burst):
                send(number)
            await reached.wait()
            reached.clear()

    return bursts


async def put(subject: FurtherSubject, n: int) -> list[Sample]:
    reached = asyncio.Event()
    sink = await subject.sink(LONG_BURST, reached)
    send = subject.putter(sink)

    async def puts(n: int) -> None:
        for _ in range(n):
            for number in range(LONG_BURST):
                await send(number)
            await reached.wait()
            reached.clear()

    tells = _bursts(subject.teller(sink), reached)
    return await _in_turn(max(1, n // LONG_BURST), puts, tells, "tell", "message", LONG_BURST)


class _Counting(logging.StreamHandler[TextIO]):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        super().emit(record)


@contextmanager
def logged() -> Iterator[_Counting]:
    """Logging as a service has it inside: records are formatted, with their tracebacks, and written."""
    level = logging.root.manager.disable
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        handler = _Counting(nowhere)
        logging.root.addHandler(handler)
        logging.disable(logging.NOTSET)
        try:
            yield handler
        finally:
            logging.disable(level)
            logging.root.removeHandler(handler)
    if not handler.count:
        raise RuntimeError("no crash was logged")


async def crash_logged(subject: FurtherSubject, n: int) -> list[Sample]:
    (ref,) = await subject.loud_fragiles(1)
    send, ask = subject.teller(ref), subject.asker(ref)

    async def crashes(n: int) -> None:
        for number in range(n):
            send("boom")
            await ask(number)

    async def silent_crashes(n: int) -> None:
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            await crashes(n)
        finally:
            logging.disable(level)

    with logged() as handler:
        samples = await _in_turn(n, crashes, silent_crashes, "crash", "crash")
    return [*samples, Sample(handler.count / n, "records/crash", "_records")]


async def crash_logged_once(subject: FurtherSubject, n: int) -> list[Sample]:
    ways = [(subject.teller(ref), subject.asker(ref)) for ref in await subject.loud_fragiles(n)]
    with logged() as handler:
        cpu = Cpu()
        for send, ask in ways:
            send("boom")
            await ask(0)
        cost = cpu.per(n, "crash")
    return [cost, Sample(handler.count / n, "records/crash", "_records")]


async def rest_for_one(subject: FurtherSubject, n: int) -> list[Sample]:
    last = await subject.group(n)
    send, ask = subject.teller(last), subject.asker(last)
    seconds = []
    cpu = Cpu()
    for number in range(FAILURES):
        start = time.perf_counter()
        send("boom")
        await ask(number)
        seconds.append(time.perf_counter() - start)
    cost = cpu.per(FAILURES, "crash")
    return [cost, latencies(seconds)[0]]


async def ask_timeout(subject: FurtherSubject, n: int) -> list[Sample]:
    ref = await an_echo(subject)
    return await _plain_first(n, _asks(subject.timed_asker(ref)), _asks(subject.asker(ref)), "ask", "ask")


async def ask_scoped(subject: FurtherSubject, n: int, timeout: float | None = None) -> list[Sample]:
    asks = _asks(subject.asker(await subject.scoped_echo()))

    async def scoped(n: int) -> None:
        with subject.scope(timeout):
            await asks(n)

    return await _plain_first(n, scoped, _asks(subject.asker(await an_echo(subject))), "ask", "ask")


async def ask_scoped_timeout(subject: FurtherSubject, n: int) -> list[Sample]:
    return await ask_scoped(subject, n, SCOPE_TIMEOUT)


async def tell_scoped(subject: FurtherSubject, n: int, timeout: float | None = None) -> list[Sample]:
    reached = asyncio.Event()
    plain = _bursts(subject.teller(await subject.sink(LONG_BURST, reached)), reached)
    carrying = _bursts(subject.teller(await subject.scoped_sink(LONG_BURST, reached)), reached)

    async def scoped(n: int) -> None:
        with subject.scope(timeout):
            await carrying(n)

    return await _plain_first(max(1, n // LONG_BURST), scoped, plain, "tell", "message", LONG_BURST)


async def tell_scoped_timeout(subject: FurtherSubject, n: int) -> list[Sample]:
    return await tell_scoped(subject, n, SCOPE_TIMEOUT)


def _looked_at(look: Callable[[], AbstractContextManager[Any]], steps: Step) -> Step:
    async def looked_at(n: int) -> None:
        with look():
            await steps(n)

    return looked_at


async def ask_looked_at(
    subject: FurtherSubject, n: int, look: Callable[[], AbstractContextManager[Any]]
) -> list[Sample]:
    asks = _asks(subject.asker(await an_echo(subject)))
    await asks(max(1, n // 10))
    return await _in_turn(n, _looked_at(look, asks), asks, "ask", "ask")


async def tell_looked_at(
    subject: FurtherSubject, n: int, look: Callable[[], AbstractContextManager[Any]]
) -> list[Sample]:
    reached = asyncio.Event()
    tells = _bursts(subject.teller(await subject.sink(BURST, reached)), reached, BURST)
    await tells(max(1, n // BURST // 10))
    return await _in_turn(max(1, n // BURST), _looked_at(look, tells), tells, "tell", "message", BURST)


async def ask_measured(subject: FurtherSubject, n: int) -> list[Sample]:
    return await ask_looked_at(subject, n, subject.measured)


async def ask_intercepted(subject: FurtherSubject, n: int) -> list[Sample]:
    return await ask_looked_at(subject, n, subject.intercepted)


async def tell_measured(subject: FurtherSubject, n: int) -> list[Sample]:
    return await tell_looked_at(subject, n, subject.measured)


async def tell_intercepted(subject: FurtherSubject, n: int) -> list[Sample]:
    return await tell_looked_at(subject, n, subject.intercepted)


async def fan_measured(subject: FurtherSubject, n: int) -> list[Sample]:
    asks = [subject.asker(await an_echo(subject)) for _ in range(FLIGHT)]

    async def rounds(n: int) -> None:
        for number in range(n):
            for answer in [ask(number) for ask in asks]:
                await answer

    await rounds(max(1, n // FLIGHT // 10))
    return await _in_turn(max(1, n // FLIGHT), _looked_at(subject.measured, rounds), rounds, "ask", "ask", FLIGHT)


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
FURTHER = {
    "put": put,
    "crash_logged": crash_logged,
    "crash_logged_once": crash_logged_once,
    "rest_for_one": rest_for_one,
    "ask_timeout": ask_timeout,
    "ask_scoped": ask_scoped,
    "ask_scoped_timeout": ask_scoped_timeout,
    "tell_scoped": tell_scoped,
    "tell_scoped_timeout": tell_scoped_timeout,
    "ask_measured": ask_measured,
    "fan_measured": fan_measured,
    "tell_measured": tell_measured,
    "ask_intercepted": ask_intercepted,
    "tell_intercepted": tell_intercepted,
}
WITHOUT_HANDLERS = ("spawn", "memory")


def scenarios(
    make: Callable[[bool], Any], leave_out: Sequence[str] = (), asynchronous: bool = True, further: bool = False
) -> dict[str, Scenario]:
    """The scenarios for a subject, but for ``leave_out``, whose methods ``make``'s :class:`LoopSubject` may lack.

    ``make(True)`` gives it ``async def`` handlers, for the names with ``_async``. ``further`` says that it is a
    :class:`FurtherSubject`.
    """
    bodies: dict[str, Body] = {name: body for name, body in SCENARIOS.items() if name not in leave_out}
    if further:
        bodies |= FURTHER
    found = {name: _bind(body, make, False) for name, body in bodies.items()}
    if asynchronous:
        found |= {f"{name}_async": _bind(bodies[name], make, True) for name in bodies if name not in WITHOUT_HANDLERS}
    return found


def _bind(body: Body, make: Callable[[bool], Any], handlers_are_async: bool) -> Scenario:
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
