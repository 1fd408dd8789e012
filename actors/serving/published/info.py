"""Who the agents are that a caller may ask, and what they can do."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ....tools.scopes import may_use
from ...agents.agent import Agent
from ...agents.caller import Caller
from ..problems import refuse
from ..server import Server

MOST: Final = 100
"""Agents of one page."""

_WORDS: Final = re.compile(r"\w{3,}")


async def agent_info(server: Server, request: Request, agent: str) -> Response:
    """One agent."""
    caller = await server.caller(request)
    if agent not in server.agency.open_to(caller):
        raise refuse(403, "not_allowed", f"the caller has no scope for agent {agent}")
    return JSONResponse(about(server, agent, caller, request.scope.get("root_path", "")))


async def list_agents(server: Server, request: Request) -> Response:
    """Those that there are, or that fit some words (``?q=``), the best first."""
    caller = await server.caller(request)
    for name in request.query_params:
        if name != "q":
            raise refuse(400, "unknown_parameter", f"{name!r:.80} is no parameter of the query; there is q", name[:80])
    root = request.scope.get("root_path", "")
    found = [about(server, name, caller, root) for name in server.agency.open_to(caller)]
    words = request.query_params.get("q")
    if words is not None:
        found = _ranked(found, words)
    return JSONResponse({"agents": found[:MOST]})


def about(server: Server, name: str, caller: Caller, root: str) -> dict[str, Any]:
    """What an agent says of itself to a caller: of tools, handoffs, skills and routes those that the caller may use.

    Args:
        server: whose it is.
        name: the agent's.
        caller: who asks.
        root: the path at which the server is mounted.
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
        "output_type": described.output_type or "text",
        "tools": named(described.tools, "parameters"),
        "handoffs": named(described.handoffs, "target"),
        "skills": named(described.skills),
        "routes": named(described.routes, "methods"),
        "endpoints": {
            "chat_completions": f"{root}/{quote(name)}/chat/completions",
            "responses": f"{root}/{quote(name)}/responses",
        },
    }


def holds(agent: Agent, caller: Caller) -> frozenset[str]:
    """The scopes that count for what an agent has."""
    return caller.holds(agent.owner if isinstance(agent.owner, Caller) else None)


def _ranked(found: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """Those that have any of the words in what they say of themselves: a name counts for more than a description."""
    wanted = {word.lower() for word in _WORDS.findall(words)}

    def score(one: dict[str, Any]) -> int:
        points = 4 * len(wanted & _found_in(one["name"])) + 2 * len(wanted & _found_in(one["description"]))
        for kind in ("tools", "skills", "routes"):
            for ability in one[kind]:
                points += len(wanted & _found_in(f"{ability['name']} {ability['description']}"))
        return points

    scored = [(score(one), one) for one in found]
    return [one for points, one in sorted(scored, key=lambda pair: -pair[0]) if points]


def _found_in(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", text)
    return {word.lower() for word in _WORDS.findall(f"{text} {spaced}")}
