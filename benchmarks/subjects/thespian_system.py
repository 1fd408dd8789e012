"""thespian: one process an actor (multiprocTCPBase). CPU time is that of all its processes."""

from __future__ import annotations

import time
from typing import Any

from thespian.actors import Actor, ActorSystem

from benchmarks.harness.model import Sample

from .clock import CpuOfAll, latencies

SCALE = 0.02


class Echo(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - thespian's name
        # The system's own messages (exit requests) arrive here too.
        if isinstance(message, int):
            self.send(sender, message)


def spawn(n: int) -> list[Sample]:
    system = ActorSystem("multiprocTCPBase")
    n = max(1, n // 20)
    try:
        cpu = CpuOfAll()
        actors = [system.createActor(Echo) for _ in range(n)]
        system.ask(actors[-1], 0, 10)
        return [cpu.per(n, "actor")]
    finally:
        system.shutdown()


def ask_seq(n: int) -> list[Sample]:
    system = ActorSystem("multiprocTCPBase")
    try:
        echo = system.createActor(Echo)
        system.ask(echo, 0, 10)
        cpu = CpuOfAll()
        seconds = []
        for number in range(n):
            start = time.perf_counter()
            system.ask(echo, number, 10)
            seconds.append(time.perf_counter() - start)
        return [cpu.per(n, "ask"), *latencies(seconds)]
    finally:
        system.shutdown()


def ask_100(n: int) -> list[Sample]:
    """Answers come back in any order: 100 are told, then 100 are listened for."""
    system = ActorSystem("multiprocTCPBase")
    rounds = max(1, n // 100)
    try:
        echo = system.createActor(Echo)
        system.ask(echo, 0, 10)
        cpu = CpuOfAll()
        for _ in range(rounds):
            for number in range(100):
                system.tell(echo, number)
            for _number in range(100):
                system.listen(10)
        return [cpu.per(rounds * 100, "ask")]
    finally:
        system.shutdown()


SCENARIOS = {"spawn": spawn, "ask_seq": ask_seq, "ask_100": ask_100}
