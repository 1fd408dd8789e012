"""An agency as an ASGI application, with every protocol that it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..agents.agency import Agency
from ..agents.errors import DefinitionError
from ..agents.wishes import WAIT, define
from .a2a.endpoint import a2a
from .mcp.endpoint import McpEndpoint
from .mcp.published import published
from .openai.chat import chat_completions, refusal
from .openai.models import get_model, list_models
from .operations.draining import drained_on_signals
from .operations.problem_json import problem_json
from .operations.routes import operations
from .operations.webhooks import Deliveries, Webhooks
from .problems import Problem, problem_of
from .requests import BODY_LIMIT
from .server import Authenticate, OnDisconnect, Server
from .who.keys import ApiKeys

Endpoint: TypeAlias = Callable[[Server, Request], Awaitable[Response]]
Refusal: TypeAlias = Callable[[Problem], Response]


def serve(
    agency: Agency,
    *,
    authenticate: Authenticate | Sequence[Authenticate] | None = None,
    body_limit: int = BODY_LIMIT,
    on_disconnect: OnDisconnect = "continue",
    ping: float = 15.0,
    drain: float = 30.0,
    webhooks: Webhooks | None = None,
    mcp_tools: Iterable[Any] = (),
) -> Starlette:
    """An agency as an ASGI application: for ``uvicorn``, or to be mounted into another one.

    Its lifespan starts the agency, if it was not started, and stops it then: when the process is told to end, runs
    under way are waited for, and what is left is handed over to whoever has the same journal.

    Args:
        agency: whom to ask.
        authenticate: says who asks: `ApiKeys`, `Jwt`, a function of the connection (see `Authenticate`), or several of
            them, asked in turn; None lets everybody ask, as nobody in particular.
        body_limit: bytes of a request's body, at most.
        on_disconnect: what becomes of a run whose client has gone, where the request does not say: it goes on, or is
            cancelled.
        ping: seconds of silence after which a stream says that it lives.
        drain: seconds for which runs under way are waited for when the process is told to end.
        webhooks: which webhooks runs in the background may name, to be told of their end; None for none.
        mcp_tools: tools that clients of the Model Context Protocol may call by themselves, beside asking agents: as
            `Agent` takes them. One that is risky needs a scope.

    Raises:
        DefinitionError: an argument is wrong, or an agent's name is a path of the server's.
    """
    if not isinstance(agency, Agency):
        raise DefinitionError(f"serve takes an Agency, not {type(agency).__name__}")
    define("serve", drain=(drain, WAIT))
    server = Server(agency, _in_turn(authenticate), body_limit, on_disconnect, ping, drain)
    server.check()
    if not isinstance(webhooks, Webhooks | None):
        raise DefinitionError(f"webhooks are Webhooks(hosts, secret), or None, not {type(webhooks).__name__}")
    deliveries = None if webhooks is None else Deliveries(agency, webhooks)
    if deliveries is not None:
        server.also_waited_for.append(deliveries.over)

    mcp = McpEndpoint(server, published(mcp_tools))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            async with AsyncExitStack() as stack:
                if agency.system is None:
                    await stack.enter_async_context(agency)
                    stack.enter_context(drained_on_signals(server))
                if deliveries is not None:
                    await stack.enter_async_context(deliveries.running())
                await stack.enter_async_context(mcp.running())
                yield
        finally:
            for one in server.authenticate:
                if isinstance(one, ApiKeys):
                    await asyncio.to_thread(one.close)

    app = Starlette(routes=[*routes(server, deliveries), Route("/mcp", mcp), *a2a(server)], lifespan=lifespan)
    app.state.server = server
    return app


def _in_turn(given: object) -> tuple[Authenticate, ...]:
    if given is None:
        return ()
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not several:
        raise DefinitionError("authenticate: nobody is there to say who asks; None lets everybody ask")
    return several


def routes(server: Server, deliveries: Deliveries | None) -> list[BaseRoute]:
    """The routes of a server, those that are asked most first."""
    return [
        _route(server, "/v1/chat/completions", partial(chat_completions, agent=None), "POST"),
        _route(server, "/v1/models", list_models, "GET"),
        _route(server, "/v1/models/{model:path}", get_model, "GET"),
        *(_route(server, *one, refusal=problem_json) for one in operations(deliveries)),
        _route(server, "/{agent}/chat/completions", _of_agent(chat_completions), "POST"),
    ]


def _of_agent(endpoint: Callable[[Server, Request, str], Awaitable[Response]]) -> Endpoint:
    async def found(server: Server, request: Request) -> Response:
        return await endpoint(server, request, server.agent(request.path_params["agent"]))

    return found


def _route(server: Server, path: str, endpoint: Endpoint, *methods: str, refusal: Refusal = refusal) -> Route:
    """A route whose errors are told in the protocol's own shape."""

    async def answered(request: Request) -> Response:
        try:
            response = await endpoint(server, request)
        except Exception as error:
            problem = problem_of(error)
            if problem.code == "internal_error":
                server_failed(request, error)
            response = refusal(problem)
        if server.draining:
            response.headers["connection"] = "close"
        return response

    return Route(path, answered, methods=list(methods))


def server_failed(request: Request, error: Exception) -> Any:
    """Log what nobody expected, without what was said."""
    import logging

    logging.getLogger("callboard").error("%s %s failed", request.method, request.url.path, exc_info=error)
