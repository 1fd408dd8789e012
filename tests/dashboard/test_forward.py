"""Requests that another process answers, or does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.requests import HTTPConnection

from callboard import Caller, dashboard
from callboard.actors.serving.dashboard import forward
from callboard.actors.serving.server import Authenticate
from tests.serving.support import served

from .boards import as_, who
from .support import agency_of

NUMBER = 1
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"

Answers = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request, given its method."""


@asynccontextmanager
async def beside(folder: Path, answers: Answers, authenticate: Authenticate = who) -> AsyncIterator[httpx.AsyncClient]:
    """A dashboard beside another process, which answers as it is told to; asked for that one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answers(head.split(b" ", 1)[0], writer)
        finally:
            writer.close()

    path = folder / f"{NUMBER}.dashboard"
    async with agency_of() as agency, await asyncio.start_unix_server(answer, path):
        app = dashboard(agency, authenticate)
        app.state.board.elsewhere = lambda: {NUMBER: path}
        options = {"params": {"process": NUMBER}, "headers": as_("root+admin")}
        async with served(app) as it, it.client(**options) as client:
            yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "PATIENCE", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_gives_no_sign_of_life_is_said_to_by_name(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def stopped(method: bytes, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with beside(tmp_path, stopped) as client:
        for method, path in (("GET", "api/me"), ("GET", "api/live"), ("POST", "api/drain")):
            refused = await client.request(method, f"/{path}")
            assert (refused.status_code, refused.json()["code"]) == (502, "no_answer")
            assert "it is stopped" in refused.json()["detail"]
        over.set()


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_is_stopped_in_the_middle_of_a_stream_ends_it(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def stopped(method: bytes, writer: asyncio.StreamWriter) -> None:
        if method == b"GET":
            writer.write(HEAD + b"some")
        await over.wait()

    async with beside(tmp_path, stopped) as client:
        assert (await client.get("/api/live")).text == "some"
        over.set()


@pytest.mark.usefixtures("impatient")
async def test_an_answer_may_take_as_long_as_it_wants_where_the_process_lives(tmp_path: Path) -> None:
    asked = 0
    often = asyncio.Event()

    async def slow(method: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        if method == b"HEAD":
            asked += 1
            writer.write(HEAD)
            if asked % 5 == 0:
                often.set()
            return
        for piece in (HEAD, b"some", b" and more"):
            await often.wait()
            often.clear()
            writer.write(piece)
            await writer.drain()

    async with beside(tmp_path, slow) as client:
        assert (await client.post("/api/conversations/Helper/c/replay")).text == "some and more"
    assert asked >= 15


async def test_a_stream_of_another_process_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    revoked = asyncio.Event()

    async def streams(method: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.replace(b"text/plain", b"text/event-stream") + b"before")
        await writer.drain()
        await revoked.wait()
        writer.write(b" and after")

    def known(connection: HTTPConnection) -> Caller | None:
        return None if revoked.is_set() else who(connection)

    async with (
        beside(tmp_path, streams, known) as client,
        client.stream("GET", "/api/live") as answer,
    ):
        pieces = answer.aiter_text()
        assert await anext(pieces) == "before"
        revoked.set()
        assert [piece async for piece in pieces] == []
        assert (await client.get("/api/me")).status_code == 401
