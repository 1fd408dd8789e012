"""Folders that are given on the command line."""

from __future__ import annotations

from pathlib import Path

from ...core.base.errors import CallboardError


class NoSuchFolder(CallboardError):
    """A folder that a command is to work in is not there."""


def existing(folder: Path) -> Path:
    """The folder.

    Raises:
        NoSuchFolder: it is not there, or it is none.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise NoSuchFolder(f"the folder {folder} {what}; give one that does, such as . for this one")
    return folder
