"""Programs that let themselves be seen from another terminal, and those who look.

A program opens a Unix socket in a folder that only its user can enter. Whoever connects asks for one thing a line, and
is answered with one line of JSON; nothing can be changed this way. What is asked for is only looked at then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from ...core.base.errors import CallboardError
from ..agency import Agency
from ..errors import AgencyClosed, DefinitionError
from .overview import Overview
from .watch import Watch

PATIENCE: Final = 2.0
"""Seconds a program may take to answer; one whose event loop is blocked does not answer at all."""

DASHBOARD: Final = ".dashboard"
"""How the name of a socket ends by which a dashboard is seen."""

_ASK: Final = b"overview\n"
_LONGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer."""

_own: set[Path] = set()
"""The sockets that this process has open now."""


class NothingRuns(CallboardError):
    """No program of this user lets itself be seen, or not the one that was asked for."""


def folder() -> Path:
    """Where the sockets are: nobody else can enter it.

    Raises:
        NothingRuns: somebody else can, or it cannot be made.
    """
    path = Path(tempfile.gettempdir()) / f"callboard-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()  # others can make links, too
    except OSError as error:
        raise NothingRuns(f"{path} cannot be this user's folder: {error.strerror}") from None
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NothingRuns(f"{path} is not this user's alone; remove it")
    return path


@contextmanager
def own_socket(name: str) -> Iterator[Path]:
    """Where this process may open a socket, for the block; what was left there is removed before and after.

    Args:
        name: of its file; it begins with the number of the process.

    Raises:
        NothingRuns: others can enter the folder.
        DefinitionError: another agency of this process has it.
    """
    path = folder() / name
    if path in _own:
        message = "another agency of this process lets itself be seen, and only one can: leave its `watchable` first"
        raise DefinitionError(message)
    _own.add(path)
    try:
        path.unlink(missing_ok=True)
        yield path
    finally:
        path.unlink(missing_ok=True)
        _own.discard(path)


def ended(path: Path) -> bool:
    """Whether nobody listens at a socket any more; that of a program which was killed is removed. It does not block.

    Args:
        path: of the socket.
    """
    with socket.socket(socket.AF_UNIX) as trying:
        trying.setblocking(False)
        try:
            trying.connect(str(path))
        except FileNotFoundError:
            return True
        except ConnectionRefusedError:
            forget(path)
            return True
        except OSError:  # too many wait already
            return False
    return False


def forget(path: Path) -> None:
    """Remove the socket of a program that was killed; what is none, and cannot be removed, stays.

    Args:
        path: of the socket.
    """
    with contextlib.suppress(OSError):
        path.unlink()


@asynccontextmanager
async def watchable(agency: Agency, *, dashboard: bool = False) -> AsyncIterator[None]:
    """Let ``callboard tree`` and ``callboard top`` see an agency that runs, while the block does. As long as nobody
    looks it costs nothing.

    Only this user's programs can look, on this machine. Where no socket can be opened, the agency runs unseen.

    Args:
        agency: it.
        dashboard: whether ``callboard dashboard`` shows it in a browser, too; there it can be stopped and helped on.

    Raises:
        DefinitionError: another agency of this process is in such a block.
        ImportError: the extra ``serve`` is not installed, which the dashboard needs.
    """
    if dashboard:
        from ...serving.dashboard.beside import beside  # a way up, and an extra: the contracts of the imports name it
    async with AsyncExitStack() as stack:
        with contextlib.suppress(OSError, NothingRuns):  # not being seen is no reason not to run
            await stack.enter_async_context(_seen(agency))
            if dashboard:
                await stack.enter_async_context(beside(agency))
        yield


@asynccontextmanager
async def _seen(agency: Agency) -> AsyncIterator[None]:
    watchers: set[asyncio.Task[Any]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        watchers.add(task)
        try:
            await _answer(agency, reader, writer)
        finally:
            watchers.discard(task)
            writer.close()

    try:
        with own_socket(f"{os.getpid()}.sock") as path:
            server = await asyncio.start_unix_server(answer, path)
            try:
                yield
            finally:
                server.close()
    finally:
        for task in tuple(watchers):
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _answer(agency: Agency, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, AgencyClosed, ValueError), Watch(agency) as watch:
        while await reader.readline() == _ASK:
            overview = await watch.read()
            writer.write(json.dumps(asdict(overview)).encode() + b"\n")
            await writer.drain()


class Looking:
    """Looks at one program, from another one; it blocks.

    Args:
        path: of its socket.

    Raises:
        OSError: it is not there, or does not answer.
    """

    def __init__(self, path: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._pieces: list[bytes] | None = None
        """What has come of an answer that is still waited for; None where nothing was asked."""
        try:
            self._connection.settimeout(PATIENCE)
            self._connection.connect(str(path))
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Looking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Look no more."""
        self._connection.close()

    def read(self) -> Overview:
        """What its agency does now. Where it did not answer in time, the next call waits for that answer.

        Raises:
            TimeoutError: it does not answer now: it is stopped, or its event loop is blocked.
            OSError: it has ended.
        """
        from pydantic import TypeAdapter  # not at the top: who is looked at does not need it

        try:
            answer = self._answer()
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError("it has ended") from error
        try:
            return TypeAdapter(Overview).validate_json(answer)
        except ValueError as error:
            raise ConnectionError("it is of another version") from error

    def _answer(self) -> bytes:
        if self._pieces is None:
            self._connection.sendall(_ASK)
            self._pieces = []
        until, length = time.monotonic() + PATIENCE, sum(map(len, self._pieces))
        while not self._pieces or not self._pieces[-1].endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
            piece = self._connection.recv(1 << 20)
            self._pieces.append(piece)
            length += len(piece)
            if not piece or length > _LONGEST:
                raise ConnectionError
        answer, self._pieces = b"".join(self._pieces), None
        return answer


def programs(process: int | None = None) -> list[Path]:
    """The sockets of this user's programs that let themselves be seen.

    Args:
        process: the number of one process; all of them by default.

    Raises:
        NothingRuns: others can enter the folder.
    """
    return [path for path in sorted(folder().glob("*.sock")) if process is None or path.stem == str(process)]


def nothing_runs(process: int | None, shows: str = "") -> NothingRuns:
    """What to raise where nothing is found.

    Args:
        process: the number of the process that was looked for; None for any.
        shows: what it must show; empty for anything.
    """
    what = "no running team" if process is None else f"no running team in process {process}"
    start = "start one with: callboard chat TEAM.yaml"
    if shows:
        own = "an agency of your own shows one in `async with watchable(agency, dashboard=True)`"
        return NothingRuns(f"{what} shows {shows}; {start}; {own}")
    return NothingRuns(f"{what}; {start}")


def several_run(command: str, processes: Collection[int | str]) -> NothingRuns:
    """What to raise where a command is for one of several.

    Args:
        command: which.
        processes: their numbers.
    """
    which = " | ".join(map(str, processes))
    return NothingRuns(f"several run; name one: callboard {command} {which}; callboard tree shows what each is")
