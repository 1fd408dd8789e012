"""What the page has to know before it shows anything."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from ...agents.overview.sockets import ended
from ..answers import Json
from ..operations.problem_json import query_of
from .board import Board, allowed


async def me(board: Board, request: Request) -> Response:
    """Which program it is, and what whoever asks may do."""
    caller = await board.who(request, "look")
    query_of(request)
    agency, here = board.agency, os.getpid()
    others = [number for number, path in board.elsewhere().items() if not ended(path)]
    name = "" if agency.system is None else agency.system.name
    told = {
        "name": f"{name} on {agency.node}" if agency.node else name,
        "process": here,
        "version": version("callboard"),
        "python": platform.python_version(),
        "may": {
            "look": allowed(caller, "look"),
            "read": allowed(caller, "read"),
            "act": allowed(caller, "act"),
        },
        "agents": sorted(agency.agents),
        "processes": [{"process": one, "here": one == here} for one in sorted({here, *others})],
        "durable": agency.durable,
    }
    return Json(told)
