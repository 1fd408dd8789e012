"""``/agency/approvals``: the calls that wait for a person, for those who may decide them.

Who has not said who they are may decide nothing.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ...agents.turns.rules import Limits
from ..problems import refuse
from ..server import Server
from . import plain
from .problem_json import Fields, body_of, query_of


async def list_approvals(server: Server, request: Request) -> Response:
    """Those that the caller may decide, in this process and in all that share its journal."""
    caller = await server.caller(request)
    query_of(request)
    found = await server.agency.pending_approvals(caller=caller)
    return JSONResponse({"approvals": [plain.approval(one) for one in found]}, headers={"cache-control": "no-store"})


async def approve(server: Server, request: Request) -> Response:
    """Let a call run, with other ``arguments`` if any are given, or a run go on, with ``limits``."""
    caller = await server.caller(request)
    query_of(request)
    fields = await body_of(server, request, "arguments", "limits")
    arguments = fields.get("arguments", dict, "a JSON object")
    limits = limits_of(fields)
    await server.agency.approve(
        request.path_params["approval"],
        arguments=None if arguments is None else json.dumps(arguments),
        limits=limits,
        caller=caller,
    )
    return JSONResponse({"id": request.path_params["approval"], "approved": True})


async def deny(server: Server, request: Request) -> Response:
    """Refuse a call; the model is told the ``reason``."""
    caller = await server.caller(request)
    query_of(request)
    fields = await body_of(server, request, "reason")
    await server.agency.deny(request.path_params["approval"], fields.text("reason", ""), caller=caller)
    return JSONResponse({"id": request.path_params["approval"], "approved": False})


def limits_of(body: Fields) -> Limits | None:
    """The ``limits`` that a run is given, if any are.

    Raises:
        Refused: they are none.
    """
    given: dict[str, Any] | None = body.get("limits", dict, "an object of steps, tokens or cost")
    if given is None:
        return None
    fields = Fields(given, ("steps", "tokens", "cost"))
    cost = fields.get("cost", (int, float), "dollars, as a number")
    if cost is not None and not cost >= 0:
        raise refuse(400, "invalid_field", f"cost is a number of dollars not below 0, not {cost}", "limits.cost")
    return Limits(fields.number("steps"), fields.number("tokens"), cost, None)
