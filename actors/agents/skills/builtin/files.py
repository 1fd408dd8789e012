"""The skill ``files``: the tools that read and change a folder."""

from __future__ import annotations

import os

from .....tools.builtin.files import file_tools
from .....tools.errors import FileError
from ...errors import DefinitionError
from ..skill import Skill


def files_skill(folder: str | os.PathLike[str], *more: str | os.PathLike[str], read_only: bool = False) -> Skill:
    """The tools LS, Glob, Grep and Read, and Write, Edit and MultiEdit, as a skill; see `file_tools`.

    Args:
        folder: an existing folder, which no path leads out of.
        more: further folders.
        read_only: leave out what changes files.

    Raises:
        DefinitionError: a folder does not exist.
    """
    try:
        tools = file_tools(folder, *more)
    except FileError as error:
        raise DefinitionError(f"skill files: {error}") from error
    return Skill(
        "files",
        "Paths are relative to your folder. Look before you change anything." if not read_only else "",
        [tool for tool in tools if tool.risk == "safe" or not read_only],
        description="Reads files of a folder." if read_only else "Reads and changes files of a folder.",
    )
