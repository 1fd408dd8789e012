"""What the tests of durable conversations share: models, waiting that is bounded, killing, programs, the file."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from callboard import Agency, Agent, Request
from callboard.actors.testing.doubles.models import call as call
from tests import warm
from tests.agents.support import function as function
from tests.agents.support import kill as kill
from tests.agents.support import results as results

GUARD = 5.0
"""Seconds after which a wait that would never end is ended. Nothing is timed by it."""


def said(request: Request) -> str:
    """The last thing a user said."""
    return next(message.text for message in reversed(request.messages) if message.role == "user")


def echo(request: Request) -> str:
    """A model that answers with what it was asked."""
    return f"to {said(request)}"


async def passes(number: int) -> None:
    """Let the loop run through so many passes."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], *, within: int = 100_000) -> bool:
    """Let the loop run, for so many passes at most, until the condition holds; whether it came to hold."""
    for _ in range(within):
        if condition():
            return True
        await asyncio.sleep(0)
    return bool(condition())


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait for what happens on another thread, and tells nobody."""
    for _ in range(int(GUARD / 0.002)):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{what} never came about")


async def outcome(run: Awaitable[Any], what: str = "the run") -> Any:
    """The answer, or the error in its place; a run without an outcome fails the test."""
    waiting = asyncio.ensure_future(_awaited(run))
    done, _ = await asyncio.wait([waiting], timeout=GUARD)
    if not done:
        waiting.cancel()
        await asyncio.wait([waiting], timeout=GUARD)
        raise AssertionError(f"{what} has no outcome")
    try:
        return waiting.result()
    except Exception as error:
        return error


async def _awaited(run: Awaitable[Any]) -> Any:
    return await run


# -- other processes ---------------------------------------------------------------------------------------------------


def program(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs in this folder until it ends."""
    return warm.run("-m", f"tests.durable.{name}", *arguments)


def left_behind(journal: Path, what: str) -> None:
    """Have a process begin a run on a journal and be killed (SIGKILL) at a moment; see `dying_program`."""
    ended = program("dying_program", journal, what)
    assert ended.returncode == -signal.SIGKILL, f"the program was not killed: {ended.stdout}{ended.stderr}"


def only_agent(model: Callable[[Request], Any], journal: Path, **options: Any) -> Agency:
    """An agency of the agent that `dying_program` has, as another process would make it."""
    return Agency(Agent("A", "a", **options), model=function(model), journal=journal)


# -- the file ----------------------------------------------------------------------------------------------------------


def stored(path: Path) -> list[bytes]:
    """The data of all events in a journal file."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT data FROM events").fetchall()
    connection.close()
    return [data.encode() if isinstance(data, str) else bytes(data) for (data,) in rows]


def damage(path: Path, marker: str) -> int:
    """Write garbage over one event whose data holds a text; how many were hit."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT rowid, data FROM events").fetchall()
    hit = [rowid for rowid, data in rows if marker in (data if isinstance(data, str) else bytes(data).decode())][:1]
    for rowid in hit:
        connection.execute("UPDATE events SET data = ? WHERE rowid = ?", (b'{"c":\xff\x00', rowid))
    connection.commit()
    connection.close()
    return len(hit)


def stand_still_until_more_is_stored(path: Path, than: int) -> None:
    """Hold the loop up until a commit has gone through on the store's thread, so that the loop's passes are counted."""
    for _ in range(1000):
        time.sleep(0.002)
        if len(stored(path)) > than:
            break
    time.sleep(0.005)  # the loop is told of it after the commit


class Lock:
    """Another connection to the file, as another program has it: while it holds the file, nobody can write."""

    def __init__(self, path: Path) -> None:
        # Not by `sqlite3.connect`, which a test may have changed for the store.
        self._connection = sqlite3.Connection(path, isolation_level=None, timeout=5.0)
        self.held = False

    def take(self) -> None:
        """Take the file."""
        self._connection.execute("BEGIN EXCLUSIVE")
        self.held = True

    def release(self) -> None:
        """Give it back."""
        if self.held:
            self._connection.execute("ROLLBACK")
            self.held = False

    def close(self) -> None:
        """Give it back, and let go of the connection."""
        self.release()
        self._connection.close()
