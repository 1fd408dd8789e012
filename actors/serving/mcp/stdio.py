"""The protocol over standard input and output, for a program that starts the server itself. Needs the package ``mcp``.

The caller is whoever has started the program: their user name on this machine.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final

import anyio
from mcp.server.stdio import stdio_server

from ....providers.wire.fitting.letters import mended
from ....tools.registry import ToolRegistry
from ...agents.agency import Agency
from ...agents.caller import Caller
from ..problems import Refused
from ..requests import as_value
from ..server import Server
from .jsonrpc import check_message, error_of
from .sdk import made

LONGEST: Final = 50 * 1024 * 1024
"""Bytes of a line."""


async def serve_stdio(agency: Agency) -> None:
    """Serve an agency until the input ends, or nobody reads what is answered. What is printed meanwhile goes to stderr.

    Args:
        agency: whose agents; it runs.
    """
    caller = Caller(_user())
    sdk = made(Server(agency), ToolRegistry(), lambda context: caller)
    with _pipes() as (given, told), anyio.CancelScope() as scope:
        answers = _Answers(told, scope)
        lines: Any = _messages(given, answers)
        async with stdio_server(lines, answers) as (read, write):  # type: ignore[arg-type] # it is only written to
            await sdk.run(read, write, sdk.create_initialization_options())


class _Answers:
    """Where answers are written.

    Args:
        pipe: to the client; nothing is held back before it, which could not be written any more at the end.
        scope: is left when it reads no more.
    """

    def __init__(self, pipe: int, scope: anyio.CancelScope) -> None:
        self._pipe = pipe
        self._scope = scope

    async def write(self, text: str) -> None:
        """Write a line to the end."""
        try:
            await asyncio.to_thread(self._write, text.encode(errors="replace"))
        except OSError:
            self._scope.cancel()

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._pipe, left) :]

    async def flush(self) -> None:
        """Nothing is held back."""


async def _messages(given: BinaryIO, answers: _Answers) -> AsyncIterator[str]:
    """The lines that are messages of the protocol. Others are refused here: the SDK leaves them without an answer.

    The thread that reads waits for a client that may say nothing any more: nobody waits for the thread.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue(1)

    def read() -> None:
        with suppress(OSError, RuntimeError, asyncio.CancelledError):  # the loop has ended meanwhile
            while True:
                line = given.readline(LONGEST)
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
                if not line:
                    return

    threading.Thread(target=read, name="mcp input", daemon=True).start()
    while line := await lines.get():
        if not line.strip():
            continue
        try:
            message = as_value(line)
            check_message(message)
        except Refused as refused:
            error = {"jsonrpc": "2.0", "id": None, "error": error_of(refused.problem)}
            await answers.write(json.dumps(error) + "\n")
            continue
        half = b"\\ud" in line.lower()  # which the SDK does not read
        yield json.dumps(mended(message)) if half else line.decode(errors="replace")


@contextmanager
def _pipes() -> Iterator[tuple[BinaryIO, int]]:
    """This process's input and output, for the protocol alone: what else reads finds nothing, and prints to stderr."""
    sys.stdout.flush()
    given, told = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        yield os.fdopen(given, "rb", closefd=False), told
    finally:
        sys.stdout.flush()
        os.dup2(given, 0)
        os.dup2(told, 1)
        os.close(told)  # the other one may be read at this moment


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no user of its number
        return "local"
