"""pykka's ThreadingActor: a thread and a queue each. It blocks, so its scenarios are driven from a plain thread."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pykka

from benchmarks.harness.model import Sample

from .clock import Cpu, fill_holes, latencies, resident
from .loop import BRANCHES, BURST, FLIGHT, LONG_BURST

SCALE = 0.05


class Echo(pykka.ThreadingActor):
    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message


class Sink(Echo):
    def __init__(self, target: int, reached: threading.Event) -> None:
        super().__init__()
        self.target, self.reached, self.count = target, reached, 0

    def on_receive(self, message: Any) -> Any:
        self.count += 1
        if self.count == self.target:
            self.count = 0
            self.reached.set()


class Link(Echo):
    def __init__(self, members: list[Any], following: int, finished: threading.Event) -> None:
        super().__init__()
        self.members, self.following, self.finished = members, following, finished

    def on_receive(self, message: Any) -> Any:
        if message:
            self.members[self.following].tell(message - 1)
        else:
            self.finished.set()


class Node(Echo):
    def __init__(self, parent: Any, depth: int, finished: threading.Event) -> None:
        super().__init__()
        self.parent, self.depth, self.finished = parent, depth, finished
        self.total, self.missing = 0, BRANCHES

    def on_receive(self, message: Any) -> Any:
        if message == "go":
            if self.depth:
                for _ in range(BRANCHES):
                    Node.start(self.actor_ref, self.depth - 1, self.finished).tell("go")
            else:
                self.parent.tell(1)
        else:
            self.total += message
            self.missing -= 1
            if not self.missing:
                if self.parent is None:
                    self.finished.set()
                else:
                    self.parent.tell(self.total)


class Fragile(Echo):
    def on_receive(self, message: Any) -> Any:
        if message == "boom":
            raise ValueError(message)
        return message


def spawn(n: int) -> list[Sample]:
    cpu = Cpu()
    refs = [Echo.start() for _ in range(n)]
    refs[-1].ask(0)
    return [cpu.per(n, "actor")]


def memory(n: int) -> list[Sample]:
    Echo.start().ask(0)
    _holes = fill_holes()
    before = resident()
    refs = [Echo.start() for _ in range(n)]
    for ref in refs:
        ref.ask(0)
    gc.collect()
    return [Sample((resident() - before) / n, "bytes/actor")]


def tell(n: int, burst: int = BURST) -> list[Sample]:
    reached = threading.Event()
    send = Sink.start(burst, reached).tell
    bursts = max(1, n // burst)
    cpu = Cpu()
    for _ in range(bursts):
        for number in range(burst):
            send(number)
        reached.wait()
        reached.clear()
    return [cpu.per(bursts * burst, "message")]


def ask_seq(n: int) -> list[Sample]:
    ref = Echo.start()
    cpu = Cpu()
    for number in range(n):
        ref.ask(number)
    samples = [cpu.per(n, "ask")]
    seconds = []
    for number in range(n):
        start = time.perf_counter()
        ref.ask(number)
        seconds.append(time.perf_counter() - start)
    return samples + latencies(seconds)


def _flights(refs: list[pykka.ActorRef[Any]], rounds: int) -> list[Sample]:
    cpu = Cpu()
    for number in range(rounds):
        pykka.get_all([ref.ask(number, block=False) for ref in refs])
    return [cpu.per(rounds * len(refs), "ask")]


def ask_100(n: int) -> list[Sample]:
    refs = [Echo.start()] * FLIGHT
    samples = _flights(refs, max(1, n // FLIGHT))
    seconds = []
    for number in range(max(1, n // FLIGHT)):
        start = time.perf_counter()
        for answer in [ref.ask(number, block=False) for ref in refs]:
            answer.get()
            seconds.append(time.perf_counter() - start)
    return samples + latencies(seconds)


def fan(n: int) -> list[Sample]:
    return _flights([Echo.start() for _ in range(FLIGHT)], max(1, n // FLIGHT))


def ring(n: int) -> list[Sample]:
    size = 1_000
    finished = threading.Event()
    members: list[Any] = []
    members += [Link.start(members, (index + 1) % size, finished) for index in range(size)]
    hops = max(n, size)
    cpu = Cpu()
    members[0].tell(hops)
    finished.wait()
    return [cpu.per(hops, "hop")]


def tree(n: int) -> list[Sample]:
    depth = 2  # 111 threads; 1,111 and more would measure the kernel
    finished = threading.Event()
    cpu = Cpu()
    Node.start(None, depth, finished).tell("go")
    finished.wait()
    return [cpu.per(sum(BRANCHES**level for level in range(depth + 1)), "actor")]


def crash(n: int) -> list[Sample]:
    """pykka does not restart: the one who notices that the actor is dead starts another."""

    def cycles() -> list[float]:
        ref = Fragile.start()
        seconds = []
        for number in range(n):
            start = time.perf_counter()
            ref.tell("boom")
            ref.actor_stopped.wait()
            ref = Fragile.start()
            ref.ask(number)
            seconds.append(time.perf_counter() - start)
        return seconds

    cpu = Cpu()
    seconds = cycles()
    return [cpu.per(n, "crash"), *latencies(seconds)]


def _stopped(body: Callable[[int], list[Sample]]) -> Callable[[int], list[Sample]]:
    def within(n: int) -> list[Sample]:
        try:
            return body(n)
        finally:
            pykka.ActorRegistry.stop_all()

    return within


SCENARIOS = {
    "spawn": _stopped(spawn),
    "memory": _stopped(memory),
    "tell": _stopped(tell),
    "tell_1000": _stopped(lambda n: tell(n, LONG_BURST)),
    "ask_seq": _stopped(ask_seq),
    "ask_100": _stopped(ask_100),
    "fan": _stopped(fan),
    "ring": _stopped(ring),
    "tree": _stopped(tree),
    "crash": _stopped(crash),
    "ask_thread": _stopped(ask_seq),
}
