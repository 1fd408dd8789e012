"""The protocol over standard input and output, for a program that starts the server itself. Needs the package ``mcp``.

The caller is whoever has started the program: their user name on this machine.
"""

from __future__ import annotations

import getpass

from mcp.server.stdio import stdio_server

from ....tools.registry import ToolRegistry
from ...agents.agency import Agency
from ...agents.caller import Caller
from ..server import Server
from .sdk import made


async def serve_stdio(agency: Agency) -> None:
    """Serve an agency until the input ends. What is printed meanwhile goes to stderr.

    Args:
        agency: whose agents; it runs.
    """
    caller = Caller(_user())
    server = Server(agency)
    sdk = made(server, ToolRegistry(), lambda context: caller)
    async with stdio_server() as (read, write):
        await sdk.run(read, write, sdk.create_initialization_options())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no user of its number
        return "local"
