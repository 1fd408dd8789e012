"""``callboard tool``: one tool, called as an agent would call it."""

from __future__ import annotations

from pathlib import Path

from .parts.folders import existing
from .parts.printed import say, shown


def tool(name: str, arguments: str = "{}", /, *, folder: Path = Path()) -> int:
    """Call one tool as an agent would, to see what it would get.

    Args:
        name: one of the tools that a team file can name.
        arguments: what a model would write: a JSON object.
        folder: the folder that the tool is confined to.
    """
    import asyncio

    from ...tools import ToolRegistry
    from ..agents.team.toolsets import default_tools

    result = asyncio.run(ToolRegistry(default_tools(existing(folder))).get(name).run(arguments))
    if result.error is not None:
        raise result.error
    say(shown(result.text))
    return 0
