"""A running team from a team file: what ``callboard run`` and ``callboard chat`` have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ...tools.builtin.files import file_tools
from ..agents.agency import Agency
from ..agents.teamfile import build_agency, read_team
from .tree import shown


@asynccontextmanager
async def running(team_file: Path, folder: Path) -> AsyncIterator[Agency]:
    """Start the team of a file; ``callboard tree`` sees it while the block runs.

    Args:
        team_file: the team file.
        folder: an existing folder, which the team's file tools are confined to.

    Raises:
        ConfigError: the file is wrong.
    """
    tools = file_tools(folder)
    team = read_team(team_file, tools=[tool.name for tool in tools])
    async with build_agency(team, tools) as agency:
        assert agency.system is not None
        async with shown(agency.system):
            yield agency
