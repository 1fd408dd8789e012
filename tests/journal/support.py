"""What the tests of journals in files share: a codec, a process to be paused and killed, and what is in the file."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callboard.actors.journal.codec import Encoded
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.journal.threaded.handle import Handle

ROOT = Path(__file__).parents[2]


class Plain:
    """JSON values. ``Raw`` is text that is written as it is."""

    def encode(self, event: Any) -> Encoded:
        if isinstance(event, Raw):
            return Encoded("raw", event.schema, event.text)
        return Encoded(type(event).__name__, 1, json.dumps(event))

    def decode(self, type: str, schema: int, data: str) -> Any:
        return json.loads(data)


class Raw:
    """An event whose text is given."""

    def __init__(self, text: str, schema: int = 1) -> None:
        self.text = text
        self.schema = schema


def opened(path: Path | str, **options: Any) -> SqliteJournal:
    """A journal of plain values."""
    return SqliteJournal(path, Plain(), **options)


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, as others may change it."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def owned(journal: SqliteJournal, stream: str) -> Handle:
    """A stream that is opened here."""
    handle = await journal.open(stream)
    assert isinstance(handle, Handle)
    return handle


async def kept(journal: SqliteJournal, stream: str) -> list[Any]:
    """The events of a stream."""
    return [record.event for record in await journal.read(stream)]


async def owner_of(journal: SqliteJournal, stream: str) -> str:
    """The worker that holds a stream."""
    (header,) = await journal.headers(prefix=stream)
    return header.owner


class Child:
    """A process that runs ``async def main()``, tells what it prints, and does what it is sent."""

    def __init__(self, main: str, path: Path) -> None:
        program = f"""
import asyncio, os, sys
from pathlib import Path
from callboard.actors.journal import *
from tests.journal.support import Plain, kept, opened, owned, raw
path = Path(sys.argv[1])
def say(*words): print(*words, flush=True)
async def told(): return (await asyncio.to_thread(sys.stdin.readline)).strip()
{textwrap.dedent(main)}
asyncio.run(main())
"""
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._timer = threading.Timer(60, self._process.kill)  # whatever happens the test ends
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self._timer.cancel()
        self._timer.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def children(self) -> list[int]:
        """The processes that it has forked."""
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def line(self) -> str:
        """The next line that it prints; empty once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, line: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        """Its exit code, when it has ended by itself."""
        return self._process.wait(60)


class Lines(logging.Handler):
    """What the library logs, to look at and to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.levels.append(record.levelname)
            self._changed.notify_all()

    def wait_for(self, level: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: level in self.levels, 30), f"no {level} was logged"


@contextmanager
def logged() -> Iterator[Lines]:
    """What is logged meanwhile."""
    logger, lines = logging.getLogger("callboard"), Lines()
    logger.addHandler(lines)
    try:
        yield lines
    finally:
        logger.removeHandler(lines)
