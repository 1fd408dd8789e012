"""A dashboard beside an agency, for other programs of the same user: over a Unix socket in the folder that nobody else
can enter. Who asks there is trusted, and may say for whom.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from ...agents.agency import Agency
from ...agents.overview.sockets import DASHBOARD, NothingRuns, ended, folder, nothing_runs, own_socket, several_run
from ..server import Server
from .app import application
from .board import Board
from .forward import who_is_said


@asynccontextmanager
async def beside(agency: Agency, group: str = "") -> AsyncIterator[None]:
    """Let this user's programs see an agency's dashboard while the block does. Until they ask it costs nothing: no task
    and no timer waits for them.

    Args:
        agency: it runs.
        group: of the processes that serve the same; empty for one that stands alone.

    Raises:
        OSError, NothingRuns: there can be no socket.
        DefinitionError: another agency of this process is seen already.
    """
    answering = Answering(agency, group)
    try:
        with own_socket(f"{os.getpid()}{f'-{group}' if group else ''}{DASHBOARD}") as path:
            listening = await asyncio.get_running_loop().create_unix_server(answering.connected, path)
            try:
                yield
            finally:
                listening.close()
    finally:
        await answering.end()


class Answering:
    """Answers this user's programs for an agency's dashboard; made while the event loop runs.

    Args:
        agency, group: see `beside`.
    """

    def __init__(self, agency: Agency, group: str = "") -> None:
        self._server = Server(agency, (who_is_said,))
        board = Board(self._server, self._server, elsewhere=programs if not group else lambda: programs(group))
        self._config = uvicorn.Config(
            application(board), log_config=None, access_log=False, lifespan="off", ws="none", server_header=False
        )
        self._config.load()
        self._state = ServerState()
        self._loop = asyncio.get_running_loop()

    def connected(self) -> asyncio.Protocol:
        """What answers a new connection."""
        made: Any = self._config.http_protocol_class
        protocol: asyncio.Protocol = made(config=self._config, server_state=self._state, app_state={}, _loop=self._loop)
        return protocol

    async def end(self) -> None:
        """Answer no more: who looks is cut off."""
        self._server.draining = True
        for connection in list(self._state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)


def programs(group: str = "") -> dict[int, Path]:
    """The sockets of this user's programs that show a dashboard, by the numbers of their processes.

    Args:
        group: only those that serve the same; empty for all.
    """
    try:
        found = folder().glob(f"*{DASHBOARD}")
    except NothingRuns:
        return {}
    named = ((path, *path.stem.partition("-")[::2]) for path in found)
    return {int(pid): path for path, pid, of in sorted(named) if pid.isdigit() and group in ("", of)}


def program(process: int | None) -> tuple[int, Path]:
    """The program to look at: the one of a number, or the only one.

    Args:
        process: the number; None where there is only one, or several that serve the same.

    Raises:
        NothingRuns: there is none, or several.
    """
    found = {pid: path for pid, path in programs().items() if not ended(path)}
    if process is not None:
        found = {pid: path for pid, path in found.items() if pid == process}
    if not found:
        raise nothing_runs(process, "a dashboard")
    groups = {_group(path) or str(pid) for pid, path in found.items()}
    if len(groups) > 1:
        raise several_run("dashboard", found)
    return next(iter(found.items()))


def another(than: Path) -> Path:
    """The program to look at once one has ended: one that serves the same, if there is one.

    Args:
        than: the socket of the one that has ended.

    Raises:
        NothingRuns: there is none.
    """
    found = [path for path in programs().values() if path != than and not ended(path)]
    if not found:
        raise nothing_runs(None, "a dashboard")
    return next((path for path in found if _group(path) and _group(path) == _group(than)), found[0])


def _group(path: Path) -> str:
    """Of the program with a socket; empty for one that stands alone."""
    return path.stem.partition("-")[2]
