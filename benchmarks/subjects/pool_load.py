"""What the pool benchmark's scenarios do, the same for every subject. No import of ours: peers run it elsewhere."""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from benchmarks.harness import Sample

PROMPT = "Summarise the following notes in two sentences. " * 8
CONNECTIONS = 256
WALL_CONNECTIONS = 100
"""Connections a subject may open to one server in `wall_1000`: what the ideal is reckoned with."""
DEADLINE = 300.0


class Subject(Protocol):
    """A client under load. Those that fail over also have ``call_model(number, model)``: 1 is the lesser model."""

    async def call(self, number: int) -> Any:
        """Make one completion; raise if there is none."""

    def stream(self, number: int) -> AsyncIterator[str]:
        """Yield the pieces of one completion; raise unless it is whole."""


Make = Callable[[list[str], int], AbstractAsyncContextManager[Subject]]
"""Opens a client of the servers at these addresses, with at most so many connections to each."""


class Servers:
    """Simulated providers in another process."""

    def __init__(self, count: int) -> None:
        python = os.environ.get("CALLBOARD_BENCH_PYTHON", sys.executable)
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.pool_server", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.urls: list[str] = self._read()

    def order(self, **order: Any) -> Any:
        """Have an order carried out; see `benchmarks.pool_server`. Blocks for less than a millisecond."""
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._read()

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self._process.send_signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulated providers' process has ended")
        return json.loads(line)


class Load(NamedTuple):
    """What came of many calls: the latencies of those that succeeded, in seconds, and the errors of the others."""

    latencies: list[float]
    errors: list[BaseException]

    def p99(self) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0


async def drive(call: Callable[[int], Awaitable[Any]], count: int, at_once: int) -> Load:
    """Make ``count`` calls, ``at_once`` at a time."""
    load = Load([], [])
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            began = time.perf_counter()
            try:
                await call(number)
            except Exception as error:
                load.errors.append(error)
            else:
                load.latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return load


def settle() -> None:
    """Keep the garbage collector away from what the imports left, as a service does after its start.

    A full collection walks through all modules of an SDK: 0.25 s here, in which every request in flight waits. The same
    for every subject.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or files left open would not be written out at the end


def _must_succeed(load: Load) -> None:
    if load.errors:
        raise RuntimeError(f"{len(load.errors)} failed, the first with {load.errors[0]!r:.300}")


def scenarios(make: Make, scale: float) -> dict[str, Callable[[int], list[Sample]]]:
    """The scenarios that every subject takes part in; those with faults are in `pool_faults`."""

    def run(coro: Any) -> list[Sample]:
        result: list[Sample] = asyncio.run(coro)
        return result

    found: dict[str, Callable[[int], list[Sample]]] = {}
    for at_once in (1, 64, 256):
        found[f"cpu_{at_once}"] = lambda n, at_once=at_once: run(_cpu(make, max(at_once, int(n * scale)), at_once))  # type: ignore[misc]
    found["stream"] = lambda n: run(_streams(make, int(n * scale), 64))
    found["wall_1000"] = lambda n: run(_wall(make, n))
    return found


async def _cpu(make: Make, count: int, at_once: int) -> list[Sample]:
    with Servers(1) as servers:
        async with make(servers.urls, CONNECTIONS) as subject:
            _must_succeed(await drive(subject.call, at_once * 2, at_once))
            settle()
            began = time.process_time()
            _must_succeed(await drive(subject.call, count, at_once))
            return [Sample((time.process_time() - began) / count * 1e3, "ms CPU")]


async def _streams(make: Make, count: int, at_once: int) -> list[Sample]:
    async def read(number: int) -> None:
        async for _ in subject.stream(number):
            pass

    with Servers(1) as servers:
        async with make(servers.urls, CONNECTIONS) as subject:
            _must_succeed(await drive(read, at_once * 2, at_once))
            settle()
            began = time.process_time()
            _must_succeed(await drive(read, count, at_once))
            return [Sample((time.process_time() - began) / count * 1e3, "ms CPU")]


async def _wall(make: Make, count: int) -> list[Sample]:
    with Servers(1) as servers:
        servers.order(set=0, latency=[0.05])
        async with make(servers.urls, WALL_CONNECTIONS) as subject:
            _must_succeed(await drive(subject.call, 2 * WALL_CONNECTIONS, WALL_CONNECTIONS))
            settle()
            before = _rss()
            began = time.perf_counter()
            _must_succeed(await drive(subject.call, count, 1_000))
            took = time.perf_counter() - began
            ideal = count / WALL_CONNECTIONS * 0.05
            return [Sample(took / ideal, "× ideal"), Sample((_rss() - before) / 1e6, "MB", "_rss")]


def _rss() -> float:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
