"""OpenAI's list of models: the agents that the caller may ask.

https://platform.openai.com/docs/api-reference/models
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...agents.caller import Caller
from ..answers import Json
from ..server import Server


async def list_models(server: Server, request: Request) -> Response:
    """All of them."""
    caller = await server.caller(request)
    models = [_model(server, name) for name in server.agency.open_to(caller)]
    return Json({"object": "list", "data": models})


async def get_model(server: Server, request: Request) -> Response:
    """One of them."""
    caller = await server.caller(request)
    name = server.agent(request.path_params["model"])
    server.check_may_ask(name, caller)
    return Json(_model(server, name))


def _model(server: Server, name: str) -> dict[str, Any]:
    agent = server.agency.agents[name]
    owner = agent.owner.user if isinstance(agent.owner, Caller) else "callboard"
    return {"id": name, "object": "model", "created": 0, "owned_by": owner, "description": agent.description}
