"""A running team from a team file: what ``callboard run`` and ``callboard chat`` have in common."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ....providers.config.llmfile import LlmConfig, load_config
from ....providers.config.yamlfile import read_yaml
from ...agents.agency import Agency
from ...agents.agent import Agent
from ...agents.team.toolsets import default_tools
from ...agents.teamfile import load_team, open_agency
from ...agents.teamfile.schema import TeamFile
from ...observe.telemetry import ADDRESS, Telemetry
from .folders import existing
from .seen import seen

ALONE = "Assistant"
"""The agent that answers where a file has none."""


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
    if data is None:  # empty, or all comments: as llm.yaml it says nothing, as a team it would lack all
        return True
    if not isinstance(data, dict):
        return False
    models = LlmConfig.model_fields
    team = [name for name in TeamFile.model_fields if name not in models]
    if any(name not in models and difflib.get_close_matches(name, team, 1) for name in data):
        return False
    return any(difflib.get_close_matches(name, models, 1) for name in data)


def journal_of(team_file: Path, folder: Path) -> str:
    """The journal that a file names, that several processes may share; empty where it names none.

    Raises:
        ConfigError: the file is wrong.
    """
    if says_only_models(team_file):
        return ""
    return str(load_team(team_file, default_tools(folder)).options.get("journal", ""))


def logs_of(team_file: Path, folder: Path) -> str:
    """How a file wants what serves it to write its log: ``text`` or ``json``.

    Raises:
        ConfigError: the file is wrong.
    """
    return "text" if says_only_models(team_file) else load_team(team_file, default_tools(folder)).logs


def by_environment() -> Telemetry | None:
    """The telemetry of a file that says nothing of it: what there is by default, where the environment names a
    collector to send it to."""
    if not os.environ.get(ADDRESS):
        return None
    try:
        import_module("opentelemetry.exporter.otlp.proto.http")
    except ImportError:
        sys.stderr.write(
            f"callboard: {ADDRESS} is set, but nothing is sent there: pip install 'callboard[telemetry]'\n"
        )
        return None
    return Telemetry()


@asynccontextmanager
async def running(team_file: Path, folder: Path, *, group: str = "", **options: Any) -> AsyncIterator[Agency]:
    """Start the team of a file as `started` does, and let it be `seen` while the block runs.

    Args:
        team_file, folder, options: see `started`.
        group: see `seen`.

    Raises:
        ConfigError: the file is wrong.
    """
    async with started(team_file, folder, **options) as agency, seen(agency, group):
        yield agency


@asynccontextmanager
async def started(
    team_file: Path,
    folder: Path,
    changes: Mapping[str, Any] | None = None,
    make: Callable[..., Agency] = Agency,
    model: str = "",
    **options: Any,
) -> AsyncIterator[Agency]:
    """Start the team of a file, or one plain agent with the models of a file that has no agents.

    Args:
        team_file: the file.
        folder: an existing folder, the one its tools work in, see `default_tools`.
        changes: settings in place of the file's, see `load_config`.
        model: which all agents use in place of their own; empty for their own.
        make: makes the agency of what `Agency` takes.
        options: of the `Agency`, in place of the file's.

    Raises:
        ConfigError: the file is wrong.
    """
    if says_only_models(team_file):
        options.setdefault("telemetry", by_environment())
        opened: AbstractAsyncContextManager[Agency] = make(
            Agent(ALONE, model=model), config=load_config(team_file, changes=changes), **options
        )
    else:
        team = load_team(team_file, default_tools(folder), changes=changes)
        if model:
            team = replace(team, agents={name: replace(one, model=model) for name, one in team.agents.items()})
        if "telemetry" not in team.options:
            options.setdefault("telemetry", by_environment())
        opened = open_agency(team, make, **options)
    async with opened as agency:
        yield agency
