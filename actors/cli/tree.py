"""``callboard tree``: the actors of a running system, seen from another terminal.

A program that wants to be seen opens a Unix socket in a folder that only its user can enter; whoever connects gets
the tree as text, and the connection is closed. Nothing can be sent the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.base.errors import CallboardError

if TYPE_CHECKING:
    from ..core.base.events import Node
    from ..core.system import System

PATIENCE = 2.0
"""Seconds a program may take to answer; one whose event loop is blocked does not answer at all."""


class NothingRuns(CallboardError):
    """No program of this user shows its system, or not the one that was asked for."""


def lines(system: System) -> Iterator[str]:
    """The actors of a system, one a line, children below their parents."""
    yield f"{system.name} (process {os.getpid()})"
    yield from _below(system.tree(), "")


def _below(nodes: Sequence[Node], indent: str) -> Iterator[str]:
    for number, node in enumerate(nodes, 1):
        last = number == len(nodes)
        yield f"{indent}{'└── ' if last else '├── '}{node.name}  {_state(node)}"
        yield from _below(node.children, indent + ("    " if last else "│   "))


def _state(node: Node) -> str:
    said = [node.kind]
    if node.phase != "running":
        said.append(node.phase)
    if node.waiting:
        said.append(f"{node.waiting} waiting")
    if node.restarts:
        said.append(f"restarted {node.restarts}×")
    return ", ".join(said)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"callboard-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NothingRuns(f"{folder} is not this user's alone; remove it")
    return folder


@asynccontextmanager
async def shown(system: System) -> AsyncIterator[None]:
    """Let ``callboard tree`` see a system while the block runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\n".join(lines(system)).encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    try:
        path = _folder() / f"{os.getpid()}.sock"
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(answer, path)
    except (OSError, NothingRuns):  # not being seen is no reason not to run
        yield
        return
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def read_trees(process: int | None = None) -> list[str]:
    """The trees of this user's programs that show them.

    Args:
        process: the number of one process; all of them by default.

    Raises:
        NothingRuns: there is none.
    """
    found = []
    for path in sorted(_folder().glob("*.sock")):
        if process is not None and path.stem != str(process):
            continue
        try:
            found.append(_read(path))
        except ConnectionRefusedError:  # its program has been killed
            path.unlink(missing_ok=True)
        except OSError:
            found.append(f"process {path.stem} does not answer")
    if not found:
        what = "no running team" if process is None else f"no running team in process {process}"
        raise NothingRuns(f"{what}; start one with: callboard chat TEAM.yaml")
    return found


def _read(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
