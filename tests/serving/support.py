"""Agencies that are really served: by uvicorn, on a port of this machine."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvicorn.server
from openai import AsyncOpenAI
from starlette.applications import Starlette

from callboard import Agency
from callboard.actors import Actor, ChildSpec
from callboard.actors.serving import serve
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall, Usage
from tests.cli.command import ROOT, offline
from tests.impatient import Impatient

# It looks each 0.1 s whether it is to end, and for as long each time whether its connections have.
vars(uvicorn.server)["asyncio"] = Impatient(asyncio)


class Speaker(Actor):
    """A model that says what it is told to, completion by completion, in pieces; it can be held before any of them.

    Args:
        script: for each completion of a conversation what it says: texts, deltas of what it thinks, and at the end
            calls if it has any.
        gates: the event to wait for before a piece, by completion and piece.
    """

    def __init__(self, script: Sequence[Sequence[Any]], gates: dict[tuple[int, int], asyncio.Event] | None = None):
        super().__init__()
        self.script = script
        self.gates = gates or {}

    def on_receive(self, message: Request) -> Any:
        return self._pieces(message) if self.expects == "stream" else self._whole(message)

    async def _whole(self, request: Request) -> Completion:
        deltas = [delta async for delta in self._pieces(request)]
        completion = deltas[-1].completion
        assert completion is not None
        return completion

    async def _pieces(self, request: Request) -> AsyncIterator[Delta]:
        turn = sum(one.role == "assistant" for one in request.messages)
        said = thought = ""
        calls: tuple[ToolCall, ...] = ()
        for index, piece in enumerate(self.script[min(turn, len(self.script) - 1)]):
            if gate := self.gates.get((turn, index)):
                await gate.wait()
            if isinstance(piece, ToolCall):
                calls = (*calls, piece)
            elif isinstance(piece, Delta):
                thought += piece.reasoning
                yield piece
            else:
                said += piece
                yield Delta(piece)
        reason: Any = "tool_calls" if calls else "stop"
        message = Message("assistant", said, calls, reasoning=thought)
        yield Delta(completion=Completion(message, reason, Usage(7, 5)))


SCRIPT = (("one ", "two ", "three"),)


class Served:
    """An agency that is served.

    Attributes:
        url: where, without a path.
        server: uvicorn's.
        app: what it serves.
    """

    def __init__(self, url: str, server: uvicorn.Server, app: Starlette) -> None:
        self.url = url
        self.server = server
        self.app = app

    def openai(self, path: str = "/v1", **options: Any) -> AsyncOpenAI:
        """OpenAI's own client, which asks once."""
        given: dict[str, Any] = {"api_key": "none", "max_retries": 0, **options}
        return AsyncOpenAI(base_url=self.url + path, **given)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A plain client."""
        return httpx.AsyncClient(base_url=self.url, timeout=60, **options)


def speaker(
    script: Sequence[Sequence[Any]] = SCRIPT, gates: dict[tuple[int, int], asyncio.Event] | None = None
) -> ChildSpec:
    """A `Speaker` for an agency."""
    return ChildSpec(Speaker, (script, gates), name="model")


def listening_socket(port: int = 0) -> socket.socket:
    """A socket that listens at a port, by default one that is free.

    `socket.create_server` gives one whose protocol asyncio does not know for TCP: what it accepts would collect what is
    written, and an answer's body would come 40 ms behind its head.
    """
    with socket.create_server(("127.0.0.1", port)) as listening:
        return socket.socket(fileno=listening.detach())


@asynccontextmanager
async def served(
    agency: Agency | Starlette, log_level: str = "warning", port: int = 0, **options: Any
) -> AsyncIterator[Served]:
    """Serve an agency, or what `serve` made of one, at a port, by default one that is free, until the end of the
    block."""
    app = serve(agency, **options) if isinstance(agency, Agency) else agency
    config = uvicorn.Config(app, log_level=log_level, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    listening = listening_socket(port)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", server, app)
    finally:
        server.should_exit = True
        await task
        listening.close()
        lifespan: Any = server.lifespan
        assert (lifespan.error_occurred, lifespan.shutdown_failed) == (False, False), "it did not stop in order"


@asynccontextmanager
async def living(journal: Path, life: int) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """``dying_server`` in a process of its own; gives its address, and the process to kill.

    Args:
        journal: the file that its lives share.
        life: which one it is, counted from 1.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = ["-m", "uvicorn", "tests.serving.dying_server:app", "--fd", str(listening.fileno())]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=ROOT,
            env={**offline(), "JOURNAL": str(journal), "LIFE": str(life)},
            pass_fds=[listening.fileno()],
            stderr=asyncio.subprocess.DEVNULL,
        )
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    try:
        yield address, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
