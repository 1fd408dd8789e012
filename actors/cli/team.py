"""A running team from a team file: what ``callboard run`` and ``callboard chat`` have in common."""

from __future__ import annotations

import difflib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ...providers.config.llmfile import LlmConfig
from ...providers.config.yamlfile import read_yaml
from ...tools import Tool
from ...tools.builtin.code import python_tool
from ...tools.builtin.files import file_tools
from ...tools.builtin.git import git_tool
from ...tools.builtin.shell import bash_tool
from ...tools.builtin.web import web_fetch_tool
from ...tools.tasks.todo import TodoList
from ..agents.agency import Agency
from ..agents.agent import Agent
from ..agents.teamfile import load_team, open_agency
from ..agents.teamfile.schema import TeamFile
from .folders import existing
from .tree import shown

ALONE = "Assistant"
"""The agent that answers where a file has none."""


def team_tools(folder: Path) -> list[Tool]:
    """The tools that agents of a team file may be given, by name.

    Args:
        folder: an existing folder. The file tools are confined to it, Git is there if it is a repository's top, and
            Bash starts in it (and is confined by nothing).
    """
    git = [git_tool(folder)] if (folder / ".git").exists() else []
    return [*file_tools(folder), bash_tool(folder), *git, web_fetch_tool(), python_tool(), TodoList().tool]


def look_in(folder: Path | None) -> None:
    """Have Python look in a folder, too, for the modules that a file names: first of all, and in the whole process.

    Raises:
        NoSuchFolder: it is not there.
    """
    if folder is not None:
        sys.path.insert(0, str(existing(folder).resolve()))


def says_only_models(file: Path) -> bool:
    """Whether a file has sections about models, as ``llm.yaml`` has, and none of a team, rightly spelled or not.

    Raises:
        ConfigError: it cannot be read.
    """
    data = read_yaml(file).data
    if not isinstance(data, dict):
        return False
    models = LlmConfig.model_fields
    team = [name for name in TeamFile.model_fields if name not in models]
    if any(name not in models and difflib.get_close_matches(name, team, 1) for name in data):
        return False
    return any(difflib.get_close_matches(name, models, 1) for name in data)


@asynccontextmanager
async def running(team_file: Path, folder: Path) -> AsyncIterator[Agency]:
    """Start the team of a file, or one plain agent with the models of a file that has no agents; ``callboard tree``
    sees it while the block runs.

    Args:
        team_file: the file.
        folder: an existing folder, the one its tools work in, see `team_tools`.

    Raises:
        ConfigError: the file is wrong.
    """
    alone = says_only_models(team_file)
    opened = Agency(Agent(ALONE), config=team_file) if alone else open_agency(load_team(team_file, team_tools(folder)))
    async with opened as agency:
        assert agency.system is not None
        async with shown(agency.system):
            yield agency
