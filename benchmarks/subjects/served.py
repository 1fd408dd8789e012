"""Servers of an agent, each in a process of its own: ``python -m benchmarks.subjects.served KIND FD [ANSWERS]``.

They listen on the socket that is handed on. ``callboard`` is an agency that is served. ``bare`` is starlette that reads
JSON and writes the very JSON that ``callboard`` has written: its answers are in a file. ``turn`` is that around the
recorded run of an agent: what it takes more than ``bare`` is what a run costs by itself. What a user says decides how
the model answers: at once, or, where it is ``hold on``, never.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from callboard import Agency, Agent
from callboard.actors import Actor, ChildSpec
from callboard.actors.serving import serve
from callboard.providers.messages import Completion, Delta, Message, Request, Usage

CHUNKS: Final = 20
WORDS: Final = tuple(f"word {number} " for number in range(CHUNKS))
USAGE: Final = Usage(7, 5)
MODEL: Final = "Agent"
KIND: Final = "text/event-stream"
HOLD: Final = "hold on"
"""What a user says to have nothing more come after the first piece."""


class Protocol(NamedTuple):
    """How a request is made.

    Args:
        path: where it is sent.
        keeps: whether the conversation and the run have ids of the client's, so that the agency keeps them.
    """

    path: str
    keeps: bool = False


PROTOCOLS: Final = {
    "plain": Protocol("/v1/chat/completions"),
    "chunks": Protocol("/v1/chat/completions"),
    "ag_ui": Protocol(f"/ag-ui/{MODEL}", keeps=True),
    "a2a": Protocol(f"/a2a/{MODEL}", keeps=True),
    "mcp": Protocol("/mcp"),
    "realtime": Protocol(f"/realtime/{MODEL}"),
}


class Model(Actor):
    """Answers from memory."""

    def on_receive(self, message: Request) -> Any:
        if self.expects == "stream":
            return self._pieces(message.messages[-1].text == HOLD)
        return Completion(Message("assistant", "one two three"), "stop", USAGE)

    async def _pieces(self, hold: bool) -> AsyncIterator[Delta]:
        for word in WORDS:
            yield Delta(word)
            await (asyncio.get_running_loop().create_future() if hold else asyncio.sleep(0))
        yield Delta(completion=Completion(Message("assistant", "".join(WORDS)), "stop", USAGE))


def agency() -> Agency:
    """One agent, without a journal of its own."""
    return Agency(Agent(MODEL), model=ChildSpec(Model, name="model"))


Answers = Mapping[str, Any]
"""What was written, by protocol: an object; the lines before the data, and the data, of each event; or messages."""
Turn = Callable[[str, bool], AsyncGenerator[Any]]
"""Has the agent work for a protocol, with or without a stream; gives whatever comes of it."""


def bare(answers: Answers, turn: Turn | None = None) -> list[BaseRoute]:
    """The routes of what writes answers that are there.

    Args:
        answers: which.
        turn: what is done meanwhile.
    """

    async def one_more(going_on: AsyncGenerator[Any] | None) -> None:
        await (asyncio.sleep(0) if going_on is None else anext(going_on, None))

    async def to_its_end(going_on: AsyncGenerator[Any] | None) -> None:
        if going_on is not None:
            async for _ in going_on:
                pass

    def answered(name: str, streamed: str = "") -> Callable[[HttpRequest], Awaitable[Response]]:
        async def answer(request: HttpRequest) -> Response:
            body = await request.json()
            if streamed and body.get("stream", True):
                return StreamingResponse(events(streamed, body["messages"][-1]["content"] == HOLD), media_type=KIND)
            await to_its_end(turn and turn(name, False))
            return JSONResponse(answers[name])

        return answer

    async def events(name: str, hold: bool) -> AsyncGenerator[bytes]:
        going_on = turn and turn(name, True)
        for about, data in answers[name]:
            text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
            yield f"{about}data: {text}\n\n".encode()
            if hold and WORDS[0] in text:
                await asyncio.get_running_loop().create_future()
            await one_more(going_on)
        await to_its_end(going_on)

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        ready, *messages = answers["realtime"]
        await websocket.send_json(ready)
        try:
            while True:
                await websocket.receive_json()
                going_on = turn and turn("realtime", True)
                for message in messages:
                    await websocket.send_json(message)
                    await one_more(going_on)
                await to_its_end(going_on)
        except WebSocketDisconnect:
            pass

    asked = (("plain", "chunks"), ("", "ag_ui"), ("a2a", ""), ("mcp", ""))
    routes: list[BaseRoute] = [
        Route(PROTOCOLS[whole or streamed].path, answered(whole, streamed), methods=["POST"])
        for whole, streamed in asked
    ]
    return [*routes, WebSocketRoute(PROTOCOLS["realtime"].path, talk)]


async def _run(ours: Agency, numbers: Any, name: str, stream: bool) -> AsyncGenerator[Any]:
    number = next(numbers)
    kept: dict[str, Any] = {"conversation": f"c-{number}", "run_id": f"r-{number}"} if PROTOCOLS[name].keeps else {}
    handle = await ours.start_run("hello", stream=stream, **kept)
    if stream:
        async for item in handle.stream():
            yield item
    else:
        yield await handle.answer()


def app(kind: str, answers: Answers) -> Starlette:
    """The server of a kind.

    Args:
        kind: its name.
        answers: what those write that are not ours.
    """
    if kind == "callboard":
        return serve(agency())
    if kind == "bare":
        return Starlette(routes=bare(answers))
    ours = agency()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with ours:
            yield

    return Starlette(routes=bare(answers, partial(_run, ours, count())), lifespan=lifespan)


if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[2]))
    given = json.loads(Path(sys.argv[3]).read_bytes()) if len(sys.argv) > 3 else {}
    config = uvicorn.Config(app(sys.argv[1], given), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
