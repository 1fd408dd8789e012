"""``callboard acp``: a team as the agent of an editor, over stdin and stdout."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ....tools.errors import MissingExtra
from ...agents.caller import Caller
from ..parts.team import running
from .pipes import NobodyAtTheOtherEnd, check_pipes

try:
    from ...serving.acp.stdio import talk
except ImportError as error:
    raise MissingExtra("acp", "callboard acp") from error


def acp(team_file: Path, folder: Path, caller: Caller | None, version: str) -> int:
    """Serve a team to an editor until it closes stdin.

    Args:
        team_file: the team file, or one with only the sections about models.
        folder: what the team's file tools are confined to.
        caller: who uses the editor; None for nobody named.
        version: of this library.

    Raises:
        CallboardError: the file is wrong, or there is no editor.
    """
    names = f'name it there: {{"command": "callboard", "args": ["acp", "{team_file}"]}}'
    check_pipes("callboard acp", "an editor", names)
    return asyncio.run(_acp(team_file, folder, caller, version))


async def _acp(team_file: Path, folder: Path, caller: Caller | None, version: str) -> int:
    async with running(team_file, folder) as agency:
        try:
            await talk(agency, caller, version)
        except ValueError as error:
            raise NobodyAtTheOtherEnd(f"stdin and stdout are to be pipes: {error}") from None
    return 0
