"""A journal with any number of events, read from its beginning by way of a server: ``GET /agency/events``."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psutil

from callboard import Agency, Agent, Caller, ChildSpec
from callboard.actors.journal.store import at_hand
from callboard.actors.serving import serve
from callboard.actors.testing.doubles.models import FunctionModel

STREAM: Final = "events/orders"
PIECE: Final = 100_000


def _grown(file: Path, count: int) -> None:
    """Copy the first event of a stream until there are so many: to append each would take an hour."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        for first in range(2, count + 1, PIECE):
            last = min(first + PIECE - 1, count)
            database.execute(
                "WITH RECURSIVE n(v) AS (SELECT ? UNION ALL SELECT v + 1 FROM n WHERE v < ?) "
                "INSERT INTO events (stream, version, type, schema, data, metadata, at) "
                "SELECT stream, v, type, schema, data, metadata, at FROM events, n WHERE stream = ? AND version = 1",
                (first, last, STREAM),
            )
            database.commit()
        database.execute("UPDATE streams SET version = ? WHERE name = ?", (count, STREAM))
    database.close()


def _agency(file: Path) -> Agency:
    model = ChildSpec(FunctionModel, (lambda _: "done",), name="model")
    return Agency(Agent("Agent"), model=model, journal=file)


class _Read(Exception):
    """All has come."""


async def replayed(count: int, settled: int) -> float:
    """By how many bytes the process grows while events are read, from the first so many to all of them.

    Args:
        count: how many events there are.
        settled: after how many memory is looked at first.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "runs.db"
        async with _agency(file) as agency:
            await at_hand(agency.journal.append(STREAM, [{"order": 17, "what": "paid", "amount": 12.5}]))
        _grown(file, count)
        ours = _agency(file)
        app = serve(ours, authenticate=lambda _: Caller("admin", scopes=frozenset({"admin"})))
        async with app.router.lifespan_context(app):
            return await _read(app, count, settled)


async def _read(app: Callable[..., Any], count: int, settled: int) -> float:
    seen, before, after = 0, 0, 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal seen, before, after
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
            return
        came = message["body"].count(b"\ndata: ") + message["body"].startswith(b"data: ")
        if seen < settled <= seen + came:
            before = _memory()
        seen += came
        if seen >= count:
            after = _memory()
            raise _Read

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # it stays
        raise AssertionError

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/agency/events",
        "raw_path": b"/agency/events",
        "query_string": b"after=0&prefix=events/",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    try:
        await app(scope, receive, send)
    except (_Read, BaseExceptionGroup):
        if seen < count:
            raise
    return float(after - before)


def _memory() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)
