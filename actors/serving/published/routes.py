"""The HTTP routes of agents' skills, below the agents' own paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from ....tools.pricing import as_price
from ....tools.scopes import as_scopes, may_use
from ...agents.agent import Agent
from ...agents.caller import Caller
from ...agents.skills.route import HttpRoute
from ...agents.skills.skill import Skill
from ..payments.offers import Priced
from ..payments.till import Bill
from ..problems import Problem, Refused, refuse
from ..server import Server
from .functions import http_function
from .info import holds


def routes_of(agent: Agent) -> Iterator[tuple[Skill, HttpRoute]]:
    """The routes of an agent's skills, in their order."""
    for skill in agent.all_skills:
        for route in skill.routes:
            yield skill, route


async def own_route(server: Server, request: Request, agent: str) -> Response:
    """Have the function of a skill answer. The first route of the path counts that knows the method.

    Raises:
        Refused: there is no such path, it knows other methods, or the caller may not.
    """
    path = "/" + request.path_params["rest"]
    caller = await server.caller(request)
    known = server.agency.agents[agent]
    server.check_may_ask(agent, caller)
    held = holds(known, caller)
    methods: list[str] = []
    for skill, route in routes_of(known):
        function = http_function(route)
        values = function.match(path)
        if values is None:
            continue
        if request.method not in route.methods and not (request.method == "HEAD" and "GET" in route.methods):
            methods += route.methods
            continue
        usable = server.agency.skill_available(agent, skill.name, caller=caller)
        if not (usable and may_use(held, frozenset(route.scope))):
            needed = " or ".join(sorted(as_scopes(route.scope if usable else skill.scope, agent, ValueError)))
            message = f"the caller has no scope for {path:.200} of agent {agent}; it takes the scope {needed}"
            raise refuse(403, "not_allowed", message)
        work = partial(function.answer, server, request, caller, values)
        return await (work() if route.price is None else _charged(server, request, caller, agent, route, work))
    if methods:
        allow = ", ".join(dict.fromkeys(methods))
        message = f"{path:.200} of agent {agent} knows {allow}, not {request.method}"
        raise Refused(Problem(405, "method_not_allowed", message, headers={"allow": allow}))
    raise refuse(404, "unknown_path", f"agent {agent} has nothing at {path:.200}")


async def _charged(
    server: Server,
    request: Request,
    caller: Caller,
    agent: str,
    route: HttpRoute,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Have a function answer whose answer has a price."""
    if server.till is None:
        raise refuse(402, "payment_required", f"{request.url.path:.200} has a price, and no payments are taken here")
    what = Priced(as_price(route.price), request.url.path, route.description)
    return await server.till.charge(Bill(agent, what, caller, request), work)
