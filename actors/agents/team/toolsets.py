"""The tools that an agent who works on a folder is given where nothing else is said."""

from __future__ import annotations

import os

from ....tools.builtin.code import python_tool
from ....tools.builtin.files import file_tools
from ....tools.builtin.git import git_tool
from ....tools.builtin.search import SearchBackend, web_search_tool
from ....tools.builtin.shell import bash_tool
from ....tools.builtin.web import web_fetch_tool
from ....tools.tool import Tool
from ..prompts.tasks.todo import todo_tool


def developer_tools(folder: str | os.PathLike[str], *more: str | os.PathLike[str]) -> list[Tool]:
    """A developer's ten tools: LS, Glob, Grep, Read, Write, Edit, MultiEdit, Bash, Git and TodoWrite.

    Args:
        folder: an existing folder. The file tools are confined to it, Git looks at the repository whose top it is, and
            Bash starts in it (and is confined by nothing).
        more: further folders for the file tools, see `file_tools`.

    Raises:
        NoSuchPath: a folder does not exist.
    """
    return [*file_tools(folder, *more), bash_tool(folder), git_tool(folder), todo_tool()]


def default_tools(
    folder: str | os.PathLike[str], *more: str | os.PathLike[str], search: SearchBackend | None = None
) -> list[Tool]:
    """All built-in tools: a developer's, WebFetch, RunPython, and WebSearch where there is something to search by.

    What runs code (Bash, RunPython), writes, or carries data out (WebFetch) is risky: where an agent is supervised, a
    person is asked.

    Args:
        folder: see `developer_tools`.
        more: further folders for the file tools.
        search: what WebSearch searches by, for example `DdgsSearch` or `SearxngSearch`.

    Raises:
        NoSuchPath: a folder does not exist.
    """
    found = [] if search is None else [web_search_tool(search)]
    return [*developer_tools(folder, *more), web_fetch_tool(), python_tool(risk="risky"), *found]
