"""A server that says byte for byte what a test wants, and providers that ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from callboard.actors import ActorRef, System
from callboard.providers.messages import Message, Request
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec

KEY = "sk-raw/0123+456789.abcdef="
PROMPT = "my grandmother's recipe for plum cake is secret"
ASK = Request((Message("user", PROMPT),))
WHOLE = {
    "id": "chatcmpl-1",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CHUNKS = (
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "fi"}}]},
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "ne"}, "finish_reason": "stop"}]},
)


@dataclass
class Asked:
    """One request as the server got it, and how to answer."""

    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter
    number: int
    """How many requests came before on this connection."""
    ends: bool = False
    """Whether the end of the answer is that of the connection."""

    async def say(self, data: bytes) -> None:
        """Send bytes as they are. Raises `ConnectionError` once the client has gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int, body: bytes | Any, *headers: str, kind: str = "application/json") -> None:
        """Send a whole answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} X", f"content-length: {len(data)}", f"content-type: {kind}", *headers]
        await self.say("\r\n".join(head).encode() + b"\r\n\r\n" + data)

    async def begin(self, *headers: str, kind: str = "text/event-stream") -> None:
        """Send the head of an answer that ends with its connection."""
        self.ends = True
        head = ["HTTP/1.1 200 OK", f"content-type: {kind}", "connection: close", *headers]
        await self.say("\r\n".join(head).encode() + b"\r\n\r\n")

    async def event(self, payload: Any) -> None:
        """Send one event."""
        await self.say(b"data: " + (payload if isinstance(payload, str) else json.dumps(payload)).encode() + b"\n\n")


@dataclass
class Raw:
    """What a test works with."""

    answer: Callable[[Asked], Awaitable[None]]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            number = 0
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                asked = Asked(first.split()[1], headers, body, writer, number)
                self.asked.append(asked)
                number += 1
                await self.answer(asked)
                if asked.ends or writer.is_closing() or headers.get("connection") == "close":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def raw(answer: Callable[[Asked], Awaitable[None]]) -> AsyncIterator[Raw]:
    """A server on loopback that answers each request by `answer`."""
    made = Raw(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=2**24)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def provider(server: Raw, **settings: Any) -> AsyncIterator[ActorRef[Any]]:
    """A provider that asks `server`."""
    from pydantic import SecretStr

    given = {"base_url": f"{server.url}/v1", "default_model": "m", "timeout": 5.0, **settings}
    async with System("network") as system:
        spec = ProviderSpec("acme", api_key=SecretStr(KEY), **given)
        yield system.spawn(child_spec(spec, restart="temporary"))


async def gone(server: Raw) -> None:
    """Wait until every connection is closed; no test waits for time to pass."""
    async with asyncio.timeout(10):
        while server.open:  # noqa: ASYNC110 (the server has no event to wait for)
            await asyncio.sleep(0.001)
