"""Who the agents are that a caller may ask, and what they can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from ....tools.scopes import as_scopes, may_use
from ...agents.agent import Agent
from ...agents.caller import NOBODY, Caller
from ...agents.errors import DefinitionError
from ..answers import Json
from ..problems import refuse
from ..server import Server
from .registry import Registry
from .search import ranked

MOST: Final = 100
"""Agents of one page."""


async def agent_info(server: Server, request: Request, agent: str, registry: Registry | None = None) -> Response:
    """One agent."""
    caller = await server.caller(request)
    server.check_may_ask(agent, caller)
    return Json(about(server, agent, caller, request.scope.get("root_path", ""), intents_of(registry, agent)))


async def list_agents(server: Server, request: Request, registry: Registry | None = None) -> Response:
    """Those that there are, or that fit some words (``?q=``), the best first; then those that others tell of."""
    caller = await server.caller(request)
    for name in request.query_params:
        if name != "q":
            raise refuse(400, "unknown_parameter", f"{name!r:.80} is no parameter of the query; there is q", name[:80])
    words = request.query_params.getlist("q")
    if len(words) > 1:
        raise refuse(400, "invalid_parameter", f"q stands {len(words)} times in the query", "q")
    root = request.scope.get("root_path", "")
    found = [about(server, name, caller, root, intents_of(registry, name)) for name in server.agency.open_to(caller)]
    if registry is not None:
        found += await registry.elsewhere(caller)
    if words:
        found = ranked(found, words[0])
    return Json({"agents": found[:MOST]})


def published(server: Server, registry: Registry) -> list[dict[str, Any]]:
    """What a registry is told of an agency's agents: what everybody may use, and the scopes one of which is needed."""
    return [
        {
            "about": about(server, name, NOBODY, registry.url, intents_of(registry, name)),
            "scopes": sorted(as_scopes(agent.scope, name, DefinitionError)),
        }
        for name, agent in server.agency.agents.items()
    ]


def intents_of(registry: Registry | None, name: str) -> tuple[str, ...]:
    """What an agent is there to do, as its agency says."""
    return () if registry is None else registry.intents.get(name, ())


def about(server: Server, name: str, caller: Caller, root: str, intents: Sequence[str] = ()) -> dict[str, Any]:
    """What an agent says of itself to a caller: of tools, handoffs, skills and routes those that the caller may use.

    Args:
        server: whose it is.
        name: the agent's.
        caller: who asks.
        root: the path at which the server is mounted, or its address.
        intents: what it is there to do.
    """
    agent = server.agency.agents[name]
    described = server.agency.describe(name)
    held = holds(agent, caller)

    def named(abilities: Any, *details: str) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "description": one.description, **{detail: one.details[detail] for detail in details}}
            for one in abilities
            if may_use(held, frozenset(one.scopes))
        ]

    return {
        "name": name,
        "description": described.description,
        "intents": list(intents),
        "output_type": described.output_type or "text",
        "tools": named(described.tools, "parameters"),
        "handoffs": named(described.handoffs, "target"),
        "skills": named(described.skills),
        "routes": named(described.routes, "methods"),
        "endpoints": {
            "chat_completions": f"{root}/{quote(name)}/chat/completions",
            "responses": f"{root}/{quote(name)}/responses",
            "a2a": f"{root}/a2a/{quote(name, safe='')}",
        },
    }


def holds(agent: Agent, caller: Caller) -> frozenset[str]:
    """The scopes that count for what an agent has."""
    return caller.holds(agent.owner if isinstance(agent.owner, Caller) else None)
