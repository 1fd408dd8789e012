"""Servers that answer chat completions, each in a process of its own: ``python -m benchmarks.subjects.served KIND FD``.

They listen on the socket that is handed on. ``bare`` is starlette that writes the very JSON; ``turn`` is that around
the recorded run of an agent: what it takes more than ``bare`` is what a run costs by itself. ``callboard`` is an agency
that is served. What a user says decides how the model answers: at once, or, where it is ``hold on``, never.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from callboard import Agency, Agent
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.runs.reading.cursor import RunText
from callboard.actors.serving import serve
from callboard.providers.messages import Completion, Delta, Message, Request, Usage

CHUNKS: Final = 20
WORDS: Final = tuple(f"word {number} " for number in range(CHUNKS))
USAGE: Final = Usage(7, 5)
MODEL: Final = "Agent"
HOLD: Final = "hold on"
"""What a user says to have nothing more come after the first piece."""


def whole() -> dict[str, Any]:
    """An answer."""
    message = {"role": "assistant", "content": "one two three", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage}


def chunk(text: str) -> bytes:
    """A piece of one."""
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    about = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]}
    return f"data: {json.dumps(about, separators=(',', ':'))}\n\n".encode()


async def bare(request: HttpRequest) -> Response:
    """Answer at once."""
    body = await request.json()
    if not body.get("stream"):
        return JSONResponse(whole())

    async def chunks() -> AsyncGenerator[bytes]:
        hold = body["messages"][-1]["content"] == HOLD
        for word in WORDS:
            yield chunk(word)
            await (asyncio.get_running_loop().create_future() if hold else asyncio.sleep(0))
        yield b"data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


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


def turn() -> Starlette:
    """An agent's run, and what ``bare`` writes."""
    ours = agency()

    async def answer(request: HttpRequest) -> Response:
        body = await request.json()
        if not body.get("stream"):
            await (await ours.start_run("hello")).answer()
            return JSONResponse(whole())

        async def chunks() -> AsyncGenerator[bytes]:
            handle = await ours.start_run("hello", stream=True)
            async for item in handle.stream():
                if isinstance(item, RunText):
                    yield chunk(item.text)
            yield b"data: [DONE]\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with ours:
            yield

    return Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])], lifespan=lifespan)


def app(kind: str) -> Starlette:
    """The server of a kind."""
    if kind == "bare":
        return Starlette(routes=[Route("/v1/chat/completions", bare, methods=["POST"])])
    return turn() if kind == "turn" else serve(agency())


if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[2]))
    config = uvicorn.Config(app(sys.argv[1]), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
