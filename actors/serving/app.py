"""An agency as an ASGI application, with every protocol that it speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..agents.agency import Agency
from ..agents.errors import DefinitionError
from .openai.chat import chat_completions
from .openai.errors import refusal
from .openai.models import get_model, list_models
from .openai.responses.routes import OF_AGENTS, ROUTES
from .problems import Problem, problem_of
from .requests import BODY_LIMIT
from .server import Authenticate, OnDisconnect, Server

Endpoint: TypeAlias = Callable[[Server, Request], Awaitable[Response]]
Refusal: TypeAlias = Callable[[Problem], Response]


def serve(
    agency: Agency,
    *,
    authenticate: Authenticate | None = None,
    body_limit: int = BODY_LIMIT,
    on_disconnect: OnDisconnect = "continue",
    ping: float = 15.0,
) -> Starlette:
    """An agency as an ASGI application: for ``uvicorn``, or to be mounted into another one.

    Its lifespan starts the agency, if it was not started, and stops it then.

    Args:
        agency: whom to ask.
        authenticate: a function of the connection that says who asks, see `Authenticate`; None lets everybody ask, as
            nobody in particular.
        body_limit: bytes of a request's body, at most.
        on_disconnect: what becomes of a run whose client has gone, where the request does not say: it goes on, or is
            cancelled.
        ping: seconds of silence after which a stream says that it lives.

    Raises:
        DefinitionError: an argument is wrong, or an agent's name is a path of the server's.
    """
    if not isinstance(agency, Agency):
        raise DefinitionError(f"serve takes an Agency, not {type(agency).__name__}")
    server = Server(agency, authenticate, body_limit, on_disconnect, ping)
    server.check()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if agency.system is not None:
            yield
            return
        async with agency:
            yield

    app = Starlette(routes=routes(server), lifespan=lifespan)
    app.state.server = server
    return app


def routes(server: Server) -> list[BaseRoute]:
    """The routes of a server, those that are asked most first."""
    return [
        _route(server, "/v1/chat/completions", partial(chat_completions, agent=None), "POST"),
        _route(server, "/v1/models", list_models, "GET"),
        _route(server, "/v1/models/{model:path}", get_model, "GET"),
        _route(server, "/{agent}/chat/completions", _of_agent(chat_completions), "POST"),
        *(_route(server, path, endpoint, method) for method, path, endpoint in ROUTES),
        *(_route(server, f"/{{agent}}{path}", _of_agent(endpoint), method) for method, path, endpoint in OF_AGENTS),
    ]


def _of_agent(endpoint: Callable[[Server, Request, str], Awaitable[Response]]) -> Endpoint:
    async def found(server: Server, request: Request) -> Response:
        return await endpoint(server, request, server.agent(request.path_params["agent"]))

    return found


def _route(server: Server, path: str, endpoint: Endpoint, *methods: str, refusal: Refusal = refusal) -> Route:
    """A route whose errors are told in the protocol's own shape."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(server, request)
        except Exception as error:
            problem = problem_of(error)
            if problem.code == "internal_error":
                server_failed(request, error)
            return refusal(problem)

    return Route(path, answered, methods=list(methods))


def server_failed(request: Request, error: Exception) -> Any:
    """Log what nobody expected, without what was said."""
    import logging

    logging.getLogger("callboard").error("%s %s failed", request.method, request.url.path, exc_info=error)
