"""Our agents on each journal: turns, starts, and long conversations.

What a journal of many or long conversations holds is what real ones have written, many times.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.harness.model import Sample
from callboard import Actor, Agency, Agent, ChildSpec, Completion, Message, Request, Usage
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal.sqlite import SqliteJournal

from .agents_common import LATENCY, TURNS
from .clock import Cpu, fill_holes, resident
from .postgres_server import URL

SCALE = 1.0
QUESTION = "What does the contract say about the notice period? Answer in a sentence or two, please, and cite it."
REPLY = "The notice period is three months to the end of a quarter; see section 14, paragraph 2 of the contract. " * 8
ANSWER = Completion(
    Message("assistant", REPLY), "stop", Usage(812, 203, 512), "gpt-5-mini", "openai", "req_0123456789", 1.234, 0.00123
)
PAUSE = 0.002
"""Seconds without work before a lone turn."""
SAMPLE = 200
"""Turns by which the cost of a turn of a long conversation is told."""

Store = Callable[[], AbstractContextManager[Any]]


class Prompt(Actor):
    """A model that answers at once."""

    def on_receive(self, request: Request) -> Completion:
        return ANSWER


class Slow(Actor):
    """A model that takes its time."""

    def on_receive(self, request: Request) -> Any:
        return self.reply_with(self.answer())

    async def answer(self) -> Completion:
        await asyncio.sleep(LATENCY)
        return ANSWER


def agency(journal: Any, model: type[Actor] = Prompt) -> Agency:
    return Agency(Agent("A", "You are helpful."), model=ChildSpec(model), journal=journal)


def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=os.environ.get("CALLBOARD_BENCH_FOLDER"))


class Sqlite:
    """A new file, for as long as it is used."""

    def __enter__(self) -> Path:
        self._folder = scratch()
        return Path(self._folder.name) / "journal.db"

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


class Postgres:
    """A new schema of the server's."""

    def __enter__(self) -> Any:
        from callboard.actors.journal.postgres import PostgresJournal

        self._journal = PostgresJournal(os.environ[URL], RunCodec(), schema=f"bench_{uuid4().hex[:12]}")
        return self._journal

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def lone(store: Store, conversation: str | None = None, pause: float = PAUSE) -> Callable[[int], list[Sample]]:
    """One turn after the other, with so many seconds without work before each."""

    async def main(journal: Any, n: int) -> list[Sample]:
        async with agency(journal) as running:
            for _ in range(min(50, n)):
                await running.run(QUESTION, conversation=conversation)
            cpu = Cpu()
            for _ in range(n):
                if pause:
                    await asyncio.sleep(pause)
                await running.run(QUESTION, conversation=conversation)
            return [cpu.per(n, "turn")]

    return lambda n: _on(store, main, n)


def together(store: Store) -> Callable[[int], list[Sample]]:
    """``n`` conversations at once, each of so many turns."""

    async def main(journal: Any, n: int) -> list[Sample]:
        async with agency(journal, Slow) as running:

            async def converse(number: int) -> None:
                for _ in range(TURNS):
                    await running.run(QUESTION, conversation=f"c{number}")

            await asyncio.gather(*(converse(-number) for number in range(1, 20)))
            cpu = Cpu()
            await asyncio.gather(*(converse(number) for number in range(n)))
            return [cpu.per(n * TURNS, "turn")]

    return lambda n: _on(store, main, n)


def _on(store: Store, main: Callable[[Any, int], Any], n: int) -> list[Sample]:
    with store() as journal:
        samples: list[Sample] = asyncio.run(main(journal, n))
        return samples


# -- journals that hold much -------------------------------------------------------------------------------------------


def kept(what: str, n: int) -> Path:
    """Where a journal is made once, for all who start on it."""
    return Path(os.environ["CALLBOARD_BENCH_FOLDER"]) / f"{what}_{n}.db"


async def one_turn() -> list[Any]:
    """What a turn writes."""
    with Sqlite() as path:
        async with agency(path) as running:
            await running.run(QUESTION, conversation="c")
        with SqliteJournal(path, RunCodec()) as journal:
            return [record.event for record in await journal.read("A/c")]


def again(events: list[Any], number: int, conversation: str) -> list[Any]:
    """The same turn, as another run."""
    run = f"{number:08x}-2b3c-7d4e-8f90-abcdef012345"
    changed = []
    for event in events:
        if hasattr(event, "run"):
            if isinstance(event.run, str):
                event = event._replace(run=run)
            else:
                event = event._replace(run=event.run._replace(id=run, root=run, conversation=conversation))
        changed.append(event)
    return changed


def fill(what: str, name: Callable[[int], str]) -> Callable[[int], list[Sample]]:
    """Make a journal of ``n`` turns."""

    async def main(path: Path, n: int) -> None:
        events = await one_turn()
        with SqliteJournal(path, RunCodec(), synchronous="OFF") as journal:
            for first in range(0, n, 1_000):
                numbers = range(first, min(n, first + 1_000))
                appends = [journal.append(f"A/{name(one)}", again(events, one, name(one))) for one in numbers]
                for pending in appends:
                    await pending

    def run(n: int) -> list[Sample]:
        asyncio.run(main(kept(what, n), n))
        return []

    return run


def start(n: int) -> list[Sample]:
    """CPU and memory of starting where ``n`` conversations are kept."""

    async def main(folder: Path) -> list[Sample]:
        async with agency(folder / "warm.db") as running:
            await running.run(QUESTION, conversation="c")
        shutil.copy(kept("finished", n), folder / "journal.db")
        holes = fill_holes()
        before = resident()
        cpu = Cpu()
        async with agency(folder / "journal.db"):
            seconds = cpu.per(1, "start").value / 1e6
            gc.collect()
            grown = (resident() - before) / 2**20
        del holes
        return [Sample(seconds, "CPU s", "_cpu"), Sample(grown, "MiB", "_rss")]

    with scratch() as folder:
        return asyncio.run(main(Path(folder)))


def long(first: bool) -> Callable[[int], list[Sample]]:
    """CPU of a turn of a conversation that has had ``n``: the first one in this process, or those after it."""

    async def main(folder: Path, n: int) -> list[Sample]:
        async with agency(folder / "warm.db") as running:
            for _ in range(SAMPLE):
                await running.run(QUESTION, conversation="c")
        shutil.copy(kept("long", n), folder / "journal.db")
        async with agency(folder / "journal.db") as running:
            cpu = Cpu()
            await running.run(QUESTION, conversation="c")
            if first:
                return [cpu.per(1, "turn")]
            cpu = Cpu()
            for _ in range(SAMPLE):
                await running.run(QUESTION, conversation="c")
            return [cpu.per(SAMPLE, "turn")]

    def run(n: int) -> list[Sample]:
        with scratch() as folder:
            return asyncio.run(main(Path(folder), n))

    return run


def size(n: int) -> list[Sample]:
    """Of the file of a conversation of ``n`` turns."""
    return [Sample(_long(n).stat().st_size, "bytes"), Sample(_long(n).stat().st_size, "bytes", "_over_messages")]


def text(n: int) -> list[Sample]:
    """Of what its events say, and of what was said in it."""

    async def main() -> int:
        codec = RunCodec()
        return sum(len(codec.encode(event).data.encode()) for event in again(await one_turn(), 0, "c"))

    said = len(QUESTION.encode()) + len(REPLY.encode())
    return [Sample(n * asyncio.run(main()), "bytes"), Sample(n * said, "bytes", "_over_messages")]


def _long(n: int) -> Path:
    path = kept("long", n)
    if not path.exists():
        fill_long(n)
    return path


fill_long = fill("long", lambda number: "c")
SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {
    "turn_memory": lone(nullcontext),
    "turn_sqlite": lone(Sqlite),
    "turn_postgres": lone(Postgres),
    "turn_kept_memory": lone(nullcontext, "c"),
    "turn_kept_sqlite": lone(Sqlite, "c"),
    "turn_kept_postgres": lone(Postgres, "c"),
    "turn_busy_memory": lone(nullcontext, None, 0.0),
    "turn_busy_sqlite": lone(Sqlite, None, 0.0),
    "turn_busy_postgres": lone(Postgres, None, 0.0),
    "turns_memory": together(nullcontext),
    "turns_sqlite": together(Sqlite),
    "turns_postgres": together(Postgres),
    "finished": fill("finished", lambda number: f"c{number}"),
    "long": fill_long,
    "start": start,
    "late": long(False),
    "first": long(True),
    "bytes": size,
    "text": text,
}
