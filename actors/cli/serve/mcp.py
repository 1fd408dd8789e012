"""``callboard mcp``: a team as an MCP server over standard input and output."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

from ....tools.errors import MissingExtra
from ..parts.team import running
from .pipes import check_pipes

try:
    from ...serving.mcp.stdio import serve_stdio
except ImportError as error:
    raise MissingExtra("mcp", "callboard mcp") from error


def mcp(team: Path, folder: Path) -> int:
    """Serve until the input ends, or the program that has started this one ends it by SIGTERM: then the agency is
    stopped as ever, with what its tools have started.

    Raises:
        CallboardError: the file is wrong, or stdin or stdout is closed, or a person's.
    """
    check_pipes("callboard mcp", "a client of MCP")

    async def served() -> None:
        task = asyncio.current_task()
        assert task is not None
        with suppress(NotImplementedError):  # Windows has no such signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with running(team, folder) as agency:
            await serve_stdio(agency)

    with suppress(asyncio.CancelledError):
        asyncio.run(served())
    return 0
