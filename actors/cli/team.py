"""A running team from a team file: what ``callboard run`` and ``callboard chat`` have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ...tools import Tool
from ...tools.builtin.code import python_tool
from ...tools.builtin.files import file_tools
from ...tools.builtin.git import git_tool
from ...tools.builtin.shell import bash_tool
from ...tools.builtin.web import web_fetch_tool
from ...tools.tasks.todo import TodoList
from ..agents.agency import Agency
from ..agents.teamfile import build_agency, read_team
from .tree import shown


def team_tools(folder: Path) -> list[Tool]:
    """The tools that agents of a team file may be given, by name.

    Args:
        folder: an existing folder. The file tools are confined to it, Git is there if it is a repository's top, and
            Bash starts in it (and is confined by nothing).
    """
    git = [git_tool(folder)] if (folder / ".git").exists() else []
    return [*file_tools(folder), bash_tool(folder), *git, web_fetch_tool(), python_tool(), TodoList().tool]


@asynccontextmanager
async def running(team_file: Path, folder: Path) -> AsyncIterator[Agency]:
    """Start the team of a file; ``callboard tree`` sees it while the block runs.

    Args:
        team_file: the team file.
        folder: an existing folder, the one its tools work in, see `team_tools`.

    Raises:
        ConfigError: the file is wrong.
    """
    tools = team_tools(folder)
    team = read_team(team_file, tools=[tool.name for tool in tools])
    async with build_agency(team, tools) as agency:
        assert agency.system is not None
        async with shown(agency.system):
            yield agency
