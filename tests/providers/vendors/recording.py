"""A server that keeps what it was sent and answers what it was told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from callboard.providers.messages import Message, Request
from callboard.providers.simulated.http import Connection, Incoming, Server

ASK = Request((Message("user", "hello"),), max_tokens=50)


@dataclass
class Recorder:
    """Answers each request with the next of ``answers`` (the last one for ever): status, content type, body."""

    url: str = ""
    seen: list[Incoming] = field(default_factory=list)
    answers: list[tuple[int, str, bytes]] = field(default_factory=list)

    def handle(self, incoming: Incoming, connection: Connection) -> None:
        self.seen.append(incoming)
        status, kind, body = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        connection.reply(status, [("content-type", kind)], body)


@asynccontextmanager
async def recording(body: bytes, kind: str = "application/json", status: int = 200) -> AsyncIterator[Recorder]:
    recorder = Recorder(answers=[(status, kind, body)])
    server = Server(recorder.handle, lambda: None)
    recorder.url = f"http://127.0.0.1:{await server.listen('127.0.0.1', 0)}"
    try:
        yield recorder
    finally:
        await server.close()
