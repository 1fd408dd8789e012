"""An agency as an ASGI application, with every protocol that it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, wraps
from typing import Any, TypeAlias, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from ...providers.checks import COUNT, FLAG, SECONDS, one_of
from ..agents.agency import Agency
from ..agents.errors import AgencyClosed, DefinitionError
from ..agents.skills.route import METHODS
from ..agents.wishes import WAIT, define
from .a2a.endpoint import a2a
from .a2a.push import Pushes
from .ag_ui.endpoint import refusal as ag_ui_refusal
from .ag_ui.endpoint import run_agent
from .dashboard.app import mounted
from .dashboard.board import board_of
from .failing import FAILURES, problem_at
from .limits.door import Door
from .limits.entrance import ANSWER, entrance
from .limits.limit import RequestLimit
from .mcp.endpoint import McpEndpoint
from .mcp.published import published as offered
from .openai.chat import chat_completions, get_completion
from .openai.errors import refusal
from .openai.models import get_model, list_models
from .openai.responses.routes import OF_AGENTS, ROUTES
from .operations.draining import drained_on_signals
from .operations.metrics import shared
from .operations.problem_json import problem_json
from .operations.routes import operations
from .payments.payments import Payments
from .payments.till import Till
from .problems import Problem, Refused
from .published.functions import http_function
from .published.info import agent_info, list_agents, published
from .published.openapi import openapi
from .published.registry import Registry
from .published.routes import own_route, routes_of
from .realtime.endpoint import realtime
from .requests import BODY_LIMIT
from .routing import Routes
from .server import RESERVED, Authenticate, OnDisconnect, Server, in_turn
from .tracing import Traced
from .webhooks import Deliveries, Webhooks
from .who.keys import ApiKeys

Endpoint: TypeAlias = Callable[[Server, Request], Awaitable[Response]]
Refusal: TypeAlias = Callable[[Problem], Response]


def serve(
    agency: Agency,
    *,
    authenticate: Authenticate | Sequence[Authenticate] | None = None,
    limits: Sequence[RequestLimit] = (),
    payments: Payments | None = None,
    cors: Sequence[str] = (),
    body_limit: int = BODY_LIMIT,
    on_disconnect: OnDisconnect = "continue",
    ping: float = 15.0,
    drain: float = 30.0,
    webhooks: Webhooks | None = None,
    mcp_tools: Iterable[Any] = (),
    registry: Registry | None = None,
    dashboard: bool = False,
) -> Starlette:
    """An agency as an ASGI application: for ``uvicorn``, or to be mounted into another one.

    Its lifespan starts the agency, if it was not started, and stops it then: when the process is told to end, runs
    under way are waited for, and what is left is handed over to whoever has the same journal.

    Args:
        agency: whom to ask.
        authenticate: says who asks: `ApiKeys`, `Jwt`, a function of the connection (see `Authenticate`), or several of
            them, asked in turn; None lets everybody ask, as nobody in particular.
        limits: how many requests a key, a user, a tenant or an address may make.
        payments: how what has a price is paid for, and that it is recorded; see `pricing`.
        cors: origins whose pages may ask it from a browser, each by its name; by default none.
        body_limit: bytes of a request's body, at most.
        on_disconnect: what becomes of a run whose client has gone, where the request does not say: it goes on, or is
            cancelled.
        ping: seconds of silence after which a stream says that it lives.
        drain: seconds for which runs under way are waited for when the process is told to end.
        webhooks: which webhooks runs in the background may name, to be told of their end, and tasks of A2A; None for
            none.
        mcp_tools: tools that clients of the Model Context Protocol may call by themselves, beside asking agents: as
            `Agent` takes them. One that is risky needs a scope.
        registry: where others are told of its agents, and theirs are found.
        dashboard: whether a page at ``/dashboard`` shows what it does. Where everybody may ask, the page has a key of
            its own: what the variable ``CALLBOARD_DASHBOARD_KEY`` has, or one that is made, and told at a terminal.

    Raises:
        DefinitionError: an argument is wrong, an agent's name is a path of the server's, or the function of a skill's
            route takes what is in no request.
    """
    if not isinstance(agency, Agency):
        raise DefinitionError(f"serve takes an Agency, not {type(agency).__name__}")
    define(
        "serve",
        drain=(drain, WAIT),
        dashboard=(dashboard, FLAG),
        ping=(ping, SECONDS),
        body_limit=(body_limit, COUNT),
        on_disconnect=(on_disconnect, one_of(*get_args(OnDisconnect))),
    )
    asked, door, till = in_turn(authenticate), _door(limits), _till(agency, payments)
    server = Server(agency, asked, door, till, body_limit, on_disconnect, ping, drain)
    server.check()
    for agent in agency.agents.values():
        for _, route in routes_of(agent):
            http_function(route)
    if not isinstance(webhooks, Webhooks | None):
        raise DefinitionError(f"webhooks are Webhooks(hosts, secret), or None, not {type(webhooks).__name__}")
    if not isinstance(registry, Registry | None):
        raise DefinitionError(f"registry is a Registry(store), or None, not {type(registry).__name__}")
    if registry is not None:
        registry.check(agency.agents)
    deliveries = None if webhooks is None else Deliveries(agency, webhooks)
    if till is not None:
        server.also_waited_for.append(till.over)
    pushes = None if webhooks is None else Pushes(server, webhooks)
    told = [one for one in (deliveries, pushes) if one is not None]
    server.also_waited_for.extend(one.over for one in told)

    mcp = McpEndpoint(server, offered(mcp_tools))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if agency.stopping:
            raise AgencyClosed("this agency has stopped, and is not started again: serve a new one of the same agents")
        try:
            async with AsyncExitStack() as stack:
                if agency.system is None:
                    await stack.enter_async_context(agency)
                    stack.enter_context(drained_on_signals(server))
                await stack.enter_async_context(shared(agency))
                for hooks in told:
                    await stack.enter_async_context(hooks.running())
                for kept in (door, till):
                    if kept is not None:
                        stack.push_async_callback(kept.close)
                if till is not None:
                    till.start()
                await stack.enter_async_context(mcp.running())
                if registry is not None:
                    await stack.enter_async_context(registry.telling(published(server, registry)))
                yield
        finally:
            for one in server.authenticate:
                if isinstance(one, ApiKeys):
                    await asyncio.to_thread(one.close)

    traced = [] if agency.telemetry is None else [Middleware(Traced, agency)]
    app = Starlette(middleware=[*traced, *entrance(cors)], exception_handlers={HTTPException: _nothing_there})
    protocols: list[BaseRoute] = [Route("/mcp", mcp), *a2a(server, pushes), *realtime(server, cors)]
    board = board_of(agency, server, server.authenticate) if dashboard else None
    if board is not None:
        protocols.extend(mounted(board))
    app.router = Routes(routes(server, deliveries, registry, protocols), lifespan=lifespan)
    app.state.server, app.state.board = server, board
    return app


def _door(limits: object) -> Door | None:
    if not isinstance(limits, list | tuple):
        raise DefinitionError(f"limits are several RequestLimits, not {type(limits).__name__}")
    return Door(limits) if limits else None


def _till(agency: Agency, payments: Payments | None) -> Till | None:
    if payments is None:
        for name, agent in agency.agents.items():
            if agent.price is not None or any(tool.price is not None for tool in agent.all_tools):
                raise DefinitionError(f"agent {name} or a tool of it has a price: say how it is taken, payments=…")
        return None
    if not isinstance(payments, Payments):
        raise DefinitionError(f"payments are Payments, not {type(payments).__name__}")
    return Till(agency, payments)


def routes(
    server: Server, deliveries: Deliveries | None, registry: Registry | None, protocols: Sequence[BaseRoute]
) -> list[BaseRoute]:
    """The routes of a server, those that are asked most first.

    Args:
        server: whose they are.
        deliveries: of webhooks, where there are any.
        registry: where agents of others are found, if anywhere.
        protocols: the routes of protocols that bring applications of their own.
    """
    return [
        _route(server, "/v1/chat/completions", partial(chat_completions, agent=None), "POST"),
        *(_route(server, path, endpoint, method) for method, path, endpoint in ROUTES),
        _route(server, "/{agent}/chat/completions", _of_agent(chat_completions), "POST"),
        _route(server, "/v1/chat/completions/{completion}", get_completion, "GET"),
        _route(server, "/v1/models", list_models, "GET"),
        _route(server, "/v1/models/{model:path}", get_model, "GET"),
        *(_route(server, *one, refusal=problem_json) for one in operations(deliveries)),
        _route(server, "/agency/agents", partial(list_agents, registry=registry), "GET", refusal=problem_json),
        _route(server, "/openapi.json", openapi, "GET", refusal=problem_json),
        _route(server, "/ag-ui/{agent}", _of_agent(run_agent), "POST", refusal=ag_ui_refusal),
        *(_route(server, f"/{{agent}}{path}", _of_agent(endpoint), method) for method, path, endpoint in OF_AGENTS),
        *protocols,
        _route(server, "/{agent}", _if_any(partial(agent_info, registry=registry)), "GET", refusal=problem_json),
        _route(server, "/{agent}/{rest:path}", _if_any(own_route), *METHODS, refusal=problem_json),
    ]


async def _nothing_there(request: Request, error: Exception) -> Response:
    """Tell in the shape of what was meant that nothing is at a path, or that it knows another method."""
    assert isinstance(error, HTTPException)
    codes = {404: "unknown_path", 405: "method_not_allowed"}
    message = f"{request.method} {request.url.path[:200]!r}: {error.detail}; see GET /openapi.json"
    problem = Problem(error.status_code, codes.get(error.status_code, "refused"), message, headers=error.headers or {})
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return (refusal if f"{path}/".startswith("/v1/") else problem_json)(problem)


def _if_any(endpoint: Callable[[Server, Request, str], Awaitable[Response]]) -> Endpoint:
    """Paths that take what no other takes. Of those, some are known by another method, and some can be no agent's."""
    of_agent = _of_agent(endpoint)

    @wraps(endpoint)
    async def found(server: Server, request: Request) -> Response:
        try:
            return await of_agent(server, request)
        except Refused as refused:
            own = request.path_params["agent"] in RESERVED
            if refused.problem.code != ("unknown_agent" if own else "unknown_path"):
                raise
            others = (one for one in request.app.routes if one.matches(request.scope)[0] is Match.PARTIAL)
            allow = ", ".join(sorted({method for one in others for method in getattr(one, "methods", ())}))
            if allow:
                return await _nothing_there(request, HTTPException(405, headers={"allow": allow}))
            if own:
                return await _nothing_there(request, HTTPException(404))
            raise

    return found


def _of_agent(endpoint: Callable[[Server, Request, str], Awaitable[Response]]) -> Endpoint:
    @wraps(endpoint)
    async def found(server: Server, request: Request) -> Response:
        return await endpoint(server, request, server.agent(request.path_params["agent"]))

    return found


def _route(server: Server, path: str, endpoint: Endpoint, *methods: str, refusal: Refusal = refusal) -> Route:
    return Route(path, _Answered(server, endpoint, refusal), methods=list(methods))


class _Answered:
    """An endpoint whose errors are told in the protocol's shape. It leaves the answer to `Entrance`, which sends it.

    Args:
        server: whose it is.
        endpoint: answers.
        refusal: makes an answer of what went wrong.

    Attributes:
        summary: what it does, as its docstring begins.
    """

    def __init__(self, server: Server, endpoint: Endpoint, refusal: Refusal) -> None:
        said = endpoint.func if isinstance(endpoint, partial) else endpoint
        self.summary = " ".join((said.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")
        self._server = server
        self._endpoint = endpoint
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        request = Request(scope, receive, send)
        try:
            self._server.check_loop()
            response = await self._endpoint(self._server, request)
        except FAILURES as error:
            response = self._refusal(problem_at(self._server, request, error))
        if self._server.draining:
            response.headers["connection"] = "close"
        scope[ANSWER] = response
