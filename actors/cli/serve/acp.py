"""``callboard acp``: a team as the agent of an editor, over stdin and stdout."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ....tools.errors import MissingExtra
from ...agents.caller import Caller
from ...core.base.errors import CallboardError
from ..parts.team import running

try:
    from ...serving.acp.stdio import talk
except ImportError as error:
    raise MissingExtra("acp", "callboard acp") from error


class NoEditor(CallboardError):
    """Nobody speaks the protocol at the other end."""


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
    if any(stream is None or stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise NoEditor(
            "callboard acp is started by an editor, which talks to it over stdin and stdout; "
            f'name it there: {{"command": "callboard", "args": ["acp", "{team_file}"]}}'
        )
    return asyncio.run(_acp(team_file, folder, caller, version))


async def _acp(team_file: Path, folder: Path, caller: Caller | None, version: str) -> int:
    async with running(team_file, folder) as agency:
        try:
            await talk(agency, caller, version)
        except ValueError as error:
            raise NoEditor(f"stdin and stdout are to be pipes: {error}") from None
    return 0
