"""What the agent subjects share: sizes, the pace of the model, and how a run is measured."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks.harness.model import Sample

from .clock import Cpu, latencies, resident

TURNS = 3
LATENCY = 0.05
ARGUMENTS = '{"a": 1, "b": 2}'
HOPS = 10


async def repeated(once: Callable[[], Awaitable[object]], n: int, unit: str) -> list[Sample]:
    """CPU time of ``n`` calls, one after another, after a short warm-up."""
    for _ in range(min(20, n)):
        await once()
    cpu = Cpu()
    for _ in range(n):
        await once()
    return [cpu.per(n, unit)]


async def side_by_side(converse: Callable[[int, Callable[[float], None]], Awaitable[object]], n: int) -> list[Sample]:
    """``n`` conversations at once; each calls the function it is given with the duration of each of its turns."""
    turns: list[float] = []
    before = resident()
    cpu = Cpu()
    started = time.perf_counter()
    await asyncio.gather(*(converse(number, turns.append) for number in range(n)))
    wall = time.perf_counter() - started
    per_turn = cpu.per(n * TURNS, "turn", "_cpu")
    p99 = latencies(turns)[1].value / 1000
    grown = (resident() - before) / 2**20
    return [
        Sample(wall, "s", "_wall"),
        per_turn,
        Sample(p99, "ms", "_p99"),
        Sample(grown, "MiB", "_rss"),
    ]


def growth(run: Callable[[int], list[Sample]]) -> Callable[[int], list[Sample]]:
    """How many times the CPU of a turn at 100 conversations one at ``n`` takes; the median of three times each."""

    def cost(n: int) -> float:
        return next(sample.value for sample in run(n) if sample.suffix == "_cpu")

    def compare(n: int) -> list[Sample]:
        cost(100)
        few, many = [], []
        for _ in range(3):
            few += [cost(100) for _ in range(3)]
            many.append(cost(n))
        return [Sample(median(many) / median(few), "times")]

    return compare


def importing(statement: str) -> list[Sample]:
    """Wall time of an import statement in a fresh interpreter, and the memory of that interpreter at its peak."""
    code = (
        f"import time, resource; t = time.perf_counter(); {statement}; t = time.perf_counter() - t\n"
        "print(t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return [Sample(seconds * 1000, "ms", "_time"), Sample(megabytes, "MiB", "_rss")]
