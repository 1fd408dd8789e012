"""A dashboard as an ASGI application."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...agents.agency import Agency
from ...agents.errors import DefinitionError
from ..failing import FAILURES, problem_at
from ..operations.problem_json import once, problem_json
from ..problems import Problem, refuse
from ..server import Authenticate, in_turn
from .board import Board, Endpoint, board_of
from .forward import FOR, forwarded, said_for
from .routes import ROUTES

PATH: Final = "dashboard"
"""Where a served agency has it."""

_HEADERS: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


def dashboard(agency: Agency, authenticate: Authenticate | Sequence[Authenticate] | None = None) -> Starlette:
    """A page that shows an agency while it works, to be mounted into an application of one's own. The agency runs on
    the same event loop. `serve` mounts it itself: ``serve(agency, dashboard=True)``.

    Args:
        agency: it.
        authenticate: says who asks, as for `serve`: who has the scope ``metrics`` sees figures, ``admin`` everything;
            None for one key: what the variable ``CALLBOARD_DASHBOARD_KEY`` has, or one that is made, and told at a
            terminal.

    Raises:
        DefinitionError: an argument is wrong.
    """
    if not isinstance(agency, Agency):
        raise DefinitionError(f"dashboard takes an Agency, not {type(agency).__name__}")
    return application(board_of(agency, None, in_turn(authenticate)))


def application(board: Board) -> Starlette:
    """The application of a dashboard.

    Args:
        board: it.
    """
    routes = [Route(path, _Answered(board, endpoint), methods=[method]) for path, endpoint, method in ROUTES]
    app = Starlette(routes=routes, middleware=guarded(), exception_handlers={HTTPException: _nothing_there})
    app.router.redirect_slashes = False
    app.state.board = board
    return app


def guarded() -> list[Middleware]:
    """What stands around the page, so that browsers run nothing on it that is not of it."""
    return [Middleware(_Guarded)]


def mounted(board: Board) -> list[BaseRoute]:
    """The routes by which a served agency has its dashboard.

    Args:
        board: its.
    """
    return [Route(f"/{PATH}", _with_slash), Mount(f"/{PATH}", application(board))]


async def _with_slash(request: Request) -> Response:
    return RedirectResponse(f"{PATH}/")  # the page names its files as seen from there


class _Answered:
    """An endpoint whose errors are told as problems.

    Args:
        board: whose it is.
        endpoint: answers.
    """

    def __init__(self, board: Board, endpoint: Endpoint) -> None:
        self._board = board
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        server = self._board.server
        request = Request(scope, receive, send)
        try:
            server.check_loop()
            process = _without_process(scope)
            if process and process != str(os.getpid()):
                response = await _elsewhere(self._board, request, process)
            else:
                response = await self._endpoint(self._board, request)
        except FAILURES as error:
            response = problem_json(problem_at(server, request, error))
        if server.draining:
            response.headers["connection"] = "close"
        await response(scope, receive, send)


def _without_process(scope: Scope) -> str:
    """Take out of a query for which process it is, and return that; empty where nothing is said.

    Raises:
        Refused: several are named.
    """
    pairs = scope["query_string"].split(b"&")
    found: list[bytes] = [pair.partition(b"=")[2] for pair in pairs if pair.startswith(b"process=")]
    once("process", found)
    if found:
        scope["query_string"] = b"&".join(pair for pair in pairs if not pair.startswith(b"process="))
    return found[0].decode("latin-1") if found else ""


async def _elsewhere(board: Board, request: Request, process: str) -> Response:
    """Have another process answer, for whoever asks."""
    caller = await board.who(request, "look")
    found = {str(number): socket for number, socket in board.elsewhere().items()}
    if process not in found:
        raise refuse(404, "unknown_process", f"there is no process {process!r:.20} here; see api/me", "process")
    query = request.scope["query_string"].decode("latin-1")
    path = quote(request.scope["path"].removeprefix(request.scope.get("root_path", "")))
    still = partial(board.still, request, caller)
    return await forwarded(request, f"{path}?{query}", found[process], {FOR: said_for(caller)}, still)


class _Guarded:
    """Has browsers run nothing on the page that is not of the page, and keep nothing that is said of the agency.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = list(message.get("headers", ()))
                names = {name for name, _ in there}
                message["headers"] = [*there, *(one for one in _HEADERS if one[0] not in names)]
            await send(message)

        await self.app(scope, receive, guarded)


async def _nothing_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "unknown_path", 405: "method_not_allowed"}
    message = f"{request.method} {request.url.path[:200]!r}: {error.detail}"
    code = codes.get(error.status_code, "refused")
    return problem_json(Problem(error.status_code, code, message, headers=error.headers or {}))
