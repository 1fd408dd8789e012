"""One process that serves: uvicorn, which drains before it shuts down."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, TypeAlias

import uvicorn

from .draining import hold_streams, let_streams_go

Drain: TypeAlias = Callable[[Callable[[], bool], Callable[[], object]], Awaitable[None]]

ASSIGNED: Final = "CALLBOARD_WORKER"
"""The variable that has the file descriptors of a supervised worker: where it listens, and the link to its supervisor.
"""

READY: Final = b"ready\n"
"""What a worker says over the link once it serves."""

DRAIN: Final = b"drain\n"
HURRY: Final = b"hurry\n"
"""What its supervisor says to a worker. By signals it could not: they may come from elsewhere at the same time, and the
second one means a hurry."""

KEEP_ALIVE: Final = 75
"""Seconds for which an idle connection is kept. Longer than balancers and clients keep theirs (60 is usual): whoever
closes first must not be the server, or it may lose a request that is on its way."""

LAST_BYTES: Final = 10
"""Seconds for which answers may take to be sent once all is over."""


class UvicornWorker(uvicorn.Server):
    """uvicorn's server, which stops accepting when it is told to end, has what was accepted finished, and only then
    closes connections. Told a second time, it waits for nothing.

    Args:
        config: of uvicorn.
        drain: has what was accepted finished; is given a function that says whether there is a hurry, and one that
            closes connections on which nothing was asked.
        link: to the supervisor, if there is one; when that has gone, the worker drains.
        ready: called once it serves.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        link: socket.socket | None = None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._link = link
        self._ready = ready
        self._hurried = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; the second time hurry; the third time cut off what is still being sent."""
        hold_streams()
        self.force_exit = self._hurried
        self._hurried = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed SIGHUP, too, which comes as a terminal is closed, unless it was to be ignored (nohup)."""
        heeds = (
            signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and threading.current_thread() is threading.main_thread()
        )
        if heeds:
            signal.signal(signal.SIGHUP, self.handle_exit)
        try:
            with super().capture_signals():
                yield
        finally:
            if heeds:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the supervisor and whoever wants to know."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            self._ready()
        if self._link is not None and self.started:
            self._link.setblocking(False)
            asyncio.get_running_loop().add_reader(self._link, self._heard, self._link)
            self._link.send(READY)

    def _heard(self, link: socket.socket) -> None:
        try:
            said = link.recv(64)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not self.should_exit:
            signal.raise_signal(signal.SIGTERM)  # so that others hear of it who handle it
        self._hurried = self._hurried or HURRY in said
        if not said:  # the supervisor was killed: nobody else would end this process
            asyncio.get_running_loop().remove_reader(link)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, close what is left."""
        await self._stop_accepting()
        await self._drain(lambda: self._hurried, self._close_idle)
        let_streams_go()
        await super().shutdown(sockets)

    def _close_idle(self) -> None:
        """Close them; the others are closed once they are answered. WebSockets are conversations: they are left."""
        of_http: Any = self.config.http_protocol_class
        for connection in list(self.server_state.connections):
            if isinstance(connection, of_http):
                connection.shutdown()

    async def _stop_accepting(self) -> None:
        """What has not been accepted is for the other workers, which listen on the same socket."""
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
        for _ in range(3):  # what was accepted in this moment gets its protocol before its server is closed
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()


def config_of(app: Any, *, drain: float) -> uvicorn.Config:
    """uvicorn's settings for a worker.

    Args:
        app: what it serves.
        drain: seconds for which what is under way is waited for.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="auto",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(min(drain, 86_400.0)) + LAST_BYTES,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_of_the_server)
    return config


def _is_of_the_server(record: logging.LogRecord) -> bool:
    """Whether an error is one: uvicorn takes a WebSocket that was refused for one that was forgotten, and logs what
    clients send that is no UTF-8; so every stranger could fill the log."""
    return not str(record.msg).startswith(("ASGI callable returned without completing", "Invalid UTF-8 sequence"))


def assigned() -> tuple[socket.socket, socket.socket] | None:
    """The socket to listen on and the link to the supervisor, where there is one. Programs that this one starts do not
    find them."""
    said = os.environ.pop(ASSIGNED, "")
    if not said:
        return None
    listening, link = (socket.socket(fileno=int(each)) for each in said.split(","))
    for each in (listening, link):
        each.set_inheritable(False)
    return listening, link


def listening_on(host: str, port: int, backlog: int = 2048) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError: the address is taken, or none of this machine's.
    """
    if not 0 <= port <= 65_535:
        raise OSError(errno.EINVAL, "ports go from 0 to 65535")  # getaddrinfo takes one beyond for another one
    found: Sequence[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made
