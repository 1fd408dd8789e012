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
        self._start = time.process_time()

    def per(self, n: int, unit: str, suffix: str = "") -> Sample:
        return Sample((time.process_time() - self._start) / n * 1e6, f"CPU µs/{unit}", suffix)


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
