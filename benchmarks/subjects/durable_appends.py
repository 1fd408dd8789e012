"""Our journals under actors that append and wait for it."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from benchmarks.harness.model import Sample
from callboard.actors import Actor, System
from callboard.actors.journal import Journal, JsonCodec
from callboard.actors.journal.sqlite import SqliteJournal

from .clock import Cpu
from .postgres_server import URL

SCALE = 1.0
UNDER_WAY = 20
"""Appends that each actor has under way where batches are the point."""


class Deposited(NamedTuple):
    """What is appended: some 100 bytes."""

    account: str
    amount: int
    text: str


EVENT = Deposited("0192f0c1-2b3c-7d4e-8f90-abcdef012345", 25, "rent for the month of December, paid late")
CODEC = JsonCodec(Deposited)


class Account(Actor):
    """Appends so often, waiting each time."""

    def __init__(self, journal: Journal, name: str, under_way: int) -> None:
        super().__init__()
        self.journal, self.name, self.under_way = journal, name, under_way

    async def on_start(self) -> None:
        opening: Any = self.journal.open(self.name)
        self.stream = await opening

    async def on_receive(self, times: int) -> None:
        waiting: list[Any] = []
        for _ in range(times):
            waiting.append(self.stream.append((EVENT,)))
            if len(waiting) == self.under_way:
                await waiting.pop(0)
        for pending in waiting:
            await pending


async def appended(journal: Journal, actors: int, n: int, under_way: int) -> float:
    """Seconds in which ``n`` events are appended by so many actors."""
    async with System() as system:
        accounts = [system.spawn(Account, journal, f"account-{number}", under_way) for number in range(actors)]
        await asyncio.gather(*(account.ask(1) for account in accounts))
        gc.collect()
        started = time.perf_counter()
        await asyncio.gather(*(account.ask(n // actors) for account in accounts))
        return time.perf_counter() - started


def rate(store: Callable[[], Any], actors: int, under_way: int = 1) -> Callable[[int], list[Sample]]:
    def run(n: int) -> list[Sample]:
        with store() as journal:
            seconds = asyncio.run(appended(journal, actors, n, under_way))
        return [Sample(n // actors * actors / seconds, "events/s")]

    return run


@contextmanager
def sqlite(synchronous: str = "FULL") -> Iterator[Journal]:
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("CALLBOARD_BENCH_FOLDER")) as folder,
        SqliteJournal(Path(folder) / "journal.db", CODEC, synchronous=synchronous) as journal,
    ):
        yield journal


@contextmanager
def postgres() -> Iterator[Journal]:
    from callboard.actors.journal.postgres import PostgresJournal

    with PostgresJournal(os.environ[URL], CODEC, schema=f"bench_{uuid4().hex[:12]}") as journal:
        yield journal


def put(n: int) -> list[Sample]:
    """One append after the other, by nobody in particular, each waited for."""

    async def main(journal: Journal) -> list[Sample]:
        opening: Any = journal.open("thread")
        stream = await opening
        cpu = Cpu()
        started = time.perf_counter()
        for _ in range(n):
            await stream.append((EVENT,))
        seconds = time.perf_counter() - started
        return [cpu.per(n, "put", "_cpu"), Sample(seconds / n * 1e6, "µs", "_wall")]

    with sqlite() as journal:
        return asyncio.run(main(journal))


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "sqlite_full_50": rate(sqlite, 50),
    "sqlite_normal_50": rate(lambda: sqlite("NORMAL"), 50),
    "sqlite_full_1": rate(sqlite, 1),
    "postgres_50": rate(postgres, 50, UNDER_WAY),
    "postgres_1": rate(postgres, 1),
    "put": put,
}
