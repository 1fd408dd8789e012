"""Folders that are given on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...core.base.errors import CallboardError

TEAM: Final = "team.yaml"


class NoSuchFolder(CallboardError):
    """A folder that a command is to work in is not there."""


class NoTeam(CallboardError):
    """A folder stands where a team file is expected, and has none."""


def existing(folder: Path) -> Path:
    """The folder.

    Raises:
        NoSuchFolder: it is not there, or it is none.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise NoSuchFolder(f"the folder {folder} {what}; give one that does, such as . for this one")
    return folder


def team_file(given: Path) -> Path:
    """A file of a team; in a folder that is given in its place, ``team.yaml``.

    Raises:
        NoTeam: the folder has none.
    """
    if not given.is_dir():
        return given
    if not (given / TEAM).is_file():
        raise NoTeam(f"the folder {given} has no {TEAM}; give a file, or make a team: callboard init {given}")
    return given / TEAM
