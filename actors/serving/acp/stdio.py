"""The protocol's lines over this process's stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import os
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
        while line := await lines.readline():
            try:
                message = as_value(line)
            except Refused:
                refused = -32700, "Parse error"
            else:
                if isinstance(message, dict) and isinstance(message.get("method", ""), str):
                    messages.feed_data(line)
                    continue
                refused = -32600, "Invalid request"
            if line.strip():
                error = {"code": refused[0], "message": refused[1]}
                writer.write(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode() + b"\n")
    finally:
        messages.feed_eof()
