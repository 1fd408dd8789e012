"""``callboard mcp``: a team as an MCP server over standard input and output."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...tools.errors import MissingExtra
from .team import running

try:
    from ..serving.mcp.stdio import serve_stdio
except ImportError as error:
    raise MissingExtra("mcp", "callboard mcp") from error


def mcp(team: Path, folder: Path) -> int:
    """Serve until the input ends.

    Raises:
        CallboardError: the file is wrong.
    """

    async def served() -> None:
        async with running(team, folder) as agency:
            await serve_stdio(agency)

    asyncio.run(served())
    return 0
