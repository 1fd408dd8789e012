"""ray: one process an actor, on this machine. CPU time is that of all its processes, daemons included."""

from __future__ import annotations

import time
from typing import Any

import ray

from benchmarks.harness.model import Sample

from .clock import CpuOfAll, latencies

SCALE = 0.02


class Echo:
    def on_receive(self, message: Any) -> Any:
        return message


def _an_echo() -> Any:
    if not ray.is_initialized():
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    echo: Any = ray.remote(num_cpus=0)(Echo)
    echo = echo.remote()
    ray.get(echo.on_receive.remote(0))
    return echo


def spawn(n: int) -> list[Sample]:
    first = _an_echo()
    n = max(1, n // 100)
    cpu = CpuOfAll()
    actors = [_an_echo() for _ in range(n)]
    samples = [cpu.per(n, "actor")]
    for actor in [first, *actors]:
        ray.kill(actor)
    return samples


def ask_seq(n: int) -> list[Sample]:
    echo = _an_echo()
    cpu = CpuOfAll()
    seconds = []
    for number in range(n):
        start = time.perf_counter()
        ray.get(echo.on_receive.remote(number))
        seconds.append(time.perf_counter() - start)
    samples = [cpu.per(n, "ask"), *latencies(seconds)]
    ray.kill(echo)
    return samples


def ask_100(n: int) -> list[Sample]:
    echo = _an_echo()
    rounds = max(1, n // 100)
    cpu = CpuOfAll()
    for number in range(rounds):
        ray.get([echo.on_receive.remote(number) for _ in range(100)])
    samples = [cpu.per(rounds * 100, "ask")]
    ray.kill(echo)
    return samples


SCENARIOS = {"spawn": spawn, "ask_seq": ask_seq, "ask_100": ask_100}
