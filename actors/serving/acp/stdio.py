"""The protocol's lines over this process's stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import sys
from typing import Any, Final

from acp import run_agent

from ...agents.agency import Agency
from ...agents.caller import Caller
from ..problems import Refused
from ..requests import as_value
from .editor import Editor

LONGEST: Final = 50 * 1024 * 1024
"""Bytes of a line: prompts have pictures in them."""

_TOO_LONG: Final = -32600, f"Invalid request: a line has up to {LONGEST:,} bytes"


async def talk(agency: Agency, caller: Caller | None, version: str) -> None:
    """Serve an agency to the editor that has started this process, until it closes stdin. Whatever else prints prints
    to stderr meanwhile: one line of it would be the end of the protocol.

    Args:
        agency: which is running.
        caller: who uses the editor.
        version: of this library.

    Raises:
        ValueError: stdin or stdout is no pipe.
    """
    with selectors.DefaultSelector() as waiting:
        try:
            waiting.register(sys.stdin, selectors.EVENT_READ)  # else a transport would be left half made
        except PermissionError:
            raise ValueError("nobody can write to stdin") from None
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(2, 1)
    editor = Editor(agency, caller, version)
    loop = asyncio.get_running_loop()
    try:
        reader = asyncio.StreamReader(limit=LONGEST)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        pipe = os.fdopen(os.dup(out), "wb", 0)
        transport, protocol = await loop.connect_write_pipe(lambda: asyncio.streams.FlowControlMixin(loop), pipe)
        writer: Any = asyncio.StreamWriter(transport, protocol, None, loop)
        messages = asyncio.StreamReader(limit=LONGEST)
        sifting = asyncio.ensure_future(_sift(reader, messages, writer))
        try:
            await run_agent(editor, writer, messages)  # type: ignore[arg-type] # it has what it needs, and takes more
        finally:
            sifting.cancel()
    finally:
        await editor.aclose()
        os.dup2(out, 1)
        os.close(out)


async def _sift(lines: asyncio.StreamReader, messages: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what are messages, and refuse what are none: the SDK's connection would end of them."""
    try:
        while (line := await _line(lines)) != b"":
            found = _TOO_LONG if line is None else _read(line)
            if isinstance(found, bytes):
                messages.feed_data(found)
            elif line is None or line.strip():
                told = {"code": found[0], "message": found[1]}
                writer.write(json.dumps({"jsonrpc": "2.0", "id": None, "error": told}).encode() + b"\n")
    finally:
        messages.feed_eof()


async def _line(lines: asyncio.StreamReader) -> bytes | None:
    """The next line, empty at the end; None in place of one that is too long, which is left out."""
    cut = False
    while True:
        try:
            line = await lines.readuntil()
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError as over:
            await lines.readexactly(over.consumed)
            cut = True
            continue
        return None if cut else line


def _read(line: bytes) -> bytes | tuple[int, str]:
    """A line that the SDK's connection can read, or what is wrong with it: JSON-RPC's code and words."""
    try:
        message = as_value(line)
    except Refused:
        return -32700, "Parse error"
    if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
        return -32600, "Invalid request"
    if not isinstance(message.get("id"), str | int | None):
        return -32600, "Invalid request"
    if not isinstance(message.get("error"), dict | None):  # somebody waits for this answer
        return json.dumps(message | {"error": {}}).encode() + b"\n"
    return line
