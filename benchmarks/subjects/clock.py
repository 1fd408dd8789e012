"""What a run costs: CPU time of the whole process, and percentiles of wall-clock latencies."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.model import Sample


class Cpu:
    """CPU time, user and system, of all threads since construction: ``cpu.per(n, "ask")`` is µs per unit.

    The garbage collector stays on, as in a service; it starts each run with an empty young generation.
    """

    def __init__(self) -> None:
        gc.collect()
        self._start = self.now()

    def per(self, n: int, unit: str, suffix: str = "") -> Sample:
        return Sample((self.now() - self._start) / n * 1e6, f"CPU µs/{unit}", suffix)

    def now(self) -> float:
        return time.process_time()


class CpuOfAll(Cpu):
    """The same with all descendant processes, for subjects whose actors are processes; in steps of 10 ms."""

    def now(self) -> float:
        import psutil

        total = time.process_time()
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


def latencies(seconds: Sequence[float]) -> list[Sample]:
    """The 50th and 99th percentile (nearest rank) of wall-clock durations."""
    ordered = sorted(seconds)
    return [
        Sample(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e6, "µs", f"_p{percent}")
        for percent in (50, 99)
    ]


def resident() -> int:
    """The process's resident memory in bytes. It counts what tracemalloc does not see: thread stacks, C buffers."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        return int(statm.read_text().split()[1]) * resource.getpagesize()
    import psutil

    return int(psutil.Process().memory_info().rss)


def fill_holes() -> list[bytes]:
    """Allocate small objects until the process grows, size by size; keep the list while measuring.

    Importing leaves free blocks behind. 1,000 actors would fit into them, and would seem to cost nothing.
    """
    gc.collect()
    filling = []
    for size in [*range(48, 576, 16), 1_024, 2_048, 4_096]:
        before = resident()
        while resident() < before + 65_536:
            filling += [bytes(size - 33) for _ in range(64)]
    return filling
