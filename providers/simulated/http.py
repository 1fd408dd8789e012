"""A small HTTP/1.1 server on asyncio's protocols: fast, and able to break off a connection at any byte.

Frameworks will not reset a connection in the middle of a response, and cost several times the CPU: this one takes
about 0.05 ms a request, so that a benchmark measures the client.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    529: "Overloaded",
}
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""


class Connection(asyncio.Protocol):
    """One client. A request is served when the one before is answered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: Any = None
        self._buffer = b""
        self._busy: asyncio.Task[None] | asyncio.TimerHandle | bool = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.on_lost: Callable[[], None] | None = None
        """Called if the connection ends before the answer is complete."""

    # -- asyncio's side --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._writable.set()
        if self._busy:
            self._server.disconnected()
            self._give_up()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- the handler's side ----------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return bool(self._transport.is_closing())

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Do something after `delay` seconds, unless the client leaves first."""
        self._busy = asyncio.get_running_loop().call_later(delay, action)

    def run(self, coro: Coroutine[Any, Any, None]) -> None:
        """Run what takes its time, unless the client leaves first."""
        self._busy = asyncio.get_running_loop().create_task(coro)

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer at once and whole."""
        self._transport.write(head(status, [*headers, ("content-length", str(len(body)))]) + body)
        self.finished()

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begin an answer whose pieces follow."""
        self._transport.write(head(status, [*headers, ("transfer-encoding", "chunked")]))

    async def piece(self, data: bytes) -> None:
        """Send a piece; wait while the client does not read."""
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if not self._writable.is_set():
            await self._writable.wait()

    def end(self) -> None:
        """End an answer in pieces."""
        self._transport.write(b"0\r\n\r\n")
        self.finished()

    def partial(self, status: int, headers: list[tuple[str, str]], body: bytes, sent: int) -> None:
        """Announce a body, send some of its bytes, and reset the connection."""
        self._transport.write(head(status, [*headers, ("content-length", str(len(body)))]) + body[:sent])
        # One turn of the loop lets the bytes out before the reset, which would throw them away.
        self.later(0.005, self.reset)

    def reset(self) -> None:
        """Reset the connection: the client sees an error, not an end."""
        self._give_up()
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Closing with a linger time of 0 sends RST: https://man7.org/linux/man-pages/man7/socket.7.html
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def finished(self) -> None:
        """The answer is sent: serve the next request, if it is there."""
        self._busy = False
        self.on_lost = None
        if self._buffer and not self.gone:
            asyncio.get_running_loop().call_soon(self._next)

    def _give_up(self) -> None:
        busy, self._busy = self._busy, False
        if not isinstance(busy, bool) and busy is not asyncio.current_task():
            busy.cancel()
        lost, self.on_lost = self.on_lost, None
        if lost is not None:
            lost()

    def _next(self) -> None:
        if self._busy or self.gone:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        try:
            method, target, _ = lines[0].split(" ", 2)
            length = int(headers.get("content-length", "0"))
        except ValueError:
            self._refuse(400)
            return
        if "chunked" in headers.get("transfer-encoding", ""):
            self._refuse(411)
            return
        if length > _LARGEST:
            self._refuse(413)
            return
        start = end + 4
        if len(self._buffer) < start + length:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == start:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = self._buffer[start : start + length]
        self._buffer = self._buffer[start + length :]
        self._busy = True
        path, _, query = target.partition("?")
        self._server.handle(Incoming(method, path, headers, body, query), self)

    def _refuse(self, status: int) -> None:
        self._transport.write(head(status, [("content-length", "0"), ("connection", "close")]))
        self._transport.close()


class Server:
    """Listens on an address and hands requests to a handler.

    Args:
        handle: called with each request and its connection; must see to an answer.
        disconnected: called when a client leaves before its answer is complete.
    """

    def __init__(self, handle: Callable[[Incoming, Connection], None], disconnected: Callable[[], None]) -> None:
        self.handle = handle
        self.disconnected = disconnected
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Begin to listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=2048)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and reset every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.reset()
            await self._server.wait_closed()
            self._server = None


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """A response's head as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n{lines}\r\n".encode("latin-1", "replace")
