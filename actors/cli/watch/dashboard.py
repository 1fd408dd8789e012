"""``callboard dashboard``: a running agency, seen in a browser on this machine; so is one of this program."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from ....tools.errors import MissingExtra
from ...agents.agency import Agency
from ...agents.overview.sockets import watchable
from ..parts.listening import check_address, taken

try:
    from ...serving.dashboard.beside import program
    from ...serving.dashboard.board import key_is_told
    from ...serving.dashboard.loopback import loopback
    from ...serving.operations.worker import UvicornWorker, config_of, listening_on
except ImportError as error:
    raise MissingExtra("serve", "callboard dashboard") from error

HOST = "127.0.0.1"


def dashboard(process: int | None, port: int, say: Callable[[str], None]) -> int:
    """Show a program's dashboard until interrupted.

    Args:
        process: the number of its process; None where only one shows a dashboard.
        port: where to listen, on this machine only; 0 for any that is free.
        say: prints a text.

    Returns:
        0.

    Raises:
        NothingRuns: there is none, or several.
        CannotListen: the port is taken.
    """
    found, address, server, listening = _server(process, port)
    say(f"the dashboard of process {found}: {address}")
    say("whoever has this address may do everything there; Ctrl-C ends it")
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
    return 0


@asynccontextmanager
async def showing(agency: Agency) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """Show an agency of this program while the block is at work.

    Args:
        agency: it runs.

    Returns:
        The address for a browser on this machine, and what ends when SIGINT or SIGTERM has ended the dashboard.

    Raises:
        NothingRuns: no socket can be opened for it.
    """
    async with watchable(agency, dashboard=True):
        _, address, server, listening = _server(os.getpid(), 0)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield address, serving
        finally:
            server.should_exit = True
            await serving


def _server(process: int | None, port: int) -> tuple[int, str, UvicornWorker, socket.socket]:
    """The process that is shown, the address with the key, what serves there, and where it listens."""
    check_address(HOST, port)
    found, path = program(process)
    try:
        listening = listening_on(HOST, port)
    except OSError as error:
        raise taken(HOST, port, error) from None
    port = listening.getsockname()[1]
    key = key_is_told()
    config = config_of(loopback(path, key, port), drain=0.0)
    server: UvicornWorker

    async def leave(hurried: Callable[[], bool], close_idle: Callable[[], object]) -> None:
        for connection in list(server.server_state.connections):  # streams have no end of their own
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    server = UvicornWorker(config, leave)
    return found, f"http://{HOST}:{port}/#key={quote(key, safe='')}", server, listening
