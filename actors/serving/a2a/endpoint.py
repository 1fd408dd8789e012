"""``/a2a/{agent}``: an agent that other agents ask, and ``/.well-known/agent-card.json``: the card of the first one."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from ....tools.errors import MissingExtra
from ....tools.scopes import EVERYBODY
from ....tools.threads import in_thread
from ..problems import Problem, problem_of, refuse
from ..requests import as_object, check_kind, read_body
from ..server import Server
from .paths import CALLER, CARD, OLD_CARD
from .push import Pushes

if TYPE_CHECKING:
    from starlette.routing import Router

CARD_AGE: Final = 60
"""Seconds for which a card may be kept before it is asked for again."""

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_CODES: Final = {"not_json": -32700, "content_type_not_supported": -32005, "too_large": -32600, "cut_short": -32600}

logger = logging.getLogger("callboard")


def a2a(server: Server, pushes: Pushes | None) -> list[BaseRoute]:
    """The routes of the protocol.

    Args:
        server: whose agents.
        pushes: tells webhooks of tasks; None where none are told.
    """
    endpoint = A2aEndpoint(server, pushes)
    return [
        *(Route(path, endpoint.card, methods=["GET"]) for path in (CARD, OLD_CARD)),
        *(Route(f"/a2a/{{agent}}{path}", endpoint.card, methods=["GET"]) for path in (CARD, OLD_CARD)),
        Route("/a2a/{agent}", endpoint),
        Route("/a2a/{agent}/{rest:path}", endpoint),
    ]


class A2aEndpoint:
    """Answers what is asked of agents by this protocol, as an ASGI application.

    Args:
        server: whose agents.
        pushes: tells webhooks of tasks.
    """

    def __init__(self, server: Server, pushes: Pushes | None) -> None:
        self._server = server
        self._pushes = pushes
        self._routers: dict[str, Router] = {}

    async def card(self, request: Request) -> Response:
        """An agent's card. That of an agent for everybody is too; otherwise it is for those who may ask it."""
        try:
            server = self._server
            agent = server.agent(request.path_params.get("agent", server.agency.entry))
            if server.agency.agents[agent].scope != EVERYBODY:
                caller = await server.caller(request)
                if agent not in server.agency.open_to(caller):
                    raise refuse(403, "not_allowed", f"the caller has no scope for agent {agent}")
            sdk = await in_thread(_import)
            body = sdk.card_body(server, agent, str(request.base_url).rstrip("/"), pushes=self._pushes is not None)
        except Exception as error:
            return self._refused(error, request.scope)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        headers = {"etag": f'"{digest}"', "cache-control": f"max-age={CARD_AGE}", "vary": "host, authorization"}
        if f'"{digest}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return JSONResponse(body, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to an agent."""
        request = Request(scope, receive)
        rest = scope["path_params"].get("rest", "")
        try:
            agent = self._server.agent(scope["path_params"]["agent"])
            scope[CALLER] = caller = await self._server.caller(request)
            if agent not in self._server.agency.open_to(caller):
                raise refuse(403, "not_allowed", f"the caller has no scope for agent {agent}")
            body = await read_body(request, self._server.body_limit)
            if body or (scope["method"] == "POST" and not rest):
                check_kind(request)
                _check_whole(body, as_object(body))
            router = await self._router(agent)
        except Exception as error:
            await self._refused(error, scope, rpc=not rest)(scope, receive, send)
            return
        inner = {**scope, "path": f"/{rest}", "root_path": "", "path_params": {}}
        inner.pop("app", None)
        await router(inner, _again(body, receive), send)

    async def _router(self, agent: str) -> Router:
        router = self._routers.get(agent)
        if router is None:
            sdk = await in_thread(_import)
            router = self._routers[agent] = sdk.routes_of(self._server, agent, self._pushes)
        return router

    def _refused(self, error: Exception, scope: Scope, *, rpc: bool = False) -> Response:
        problem = problem_of(error)
        if isinstance(error, MissingExtra):
            problem = Problem(501, "missing_extra", str(error))
        elif problem.code == "internal_error":
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        return refusal(problem, rpc=rpc)


def _import() -> Any:
    """It takes a second."""
    try:
        import a2a.server.routes  # noqa: F401
    except ImportError:
        raise MissingExtra("a2a", "serving A2A") from None
    from . import sdk

    return sdk


def _check_whole(body: bytes, value: dict[str, Any]) -> None:
    """Half of a character, which JSON can escape, has no form in what the SDK makes of it.

    Raises:
        Refused: there is one.
    """
    if b"\\ud" not in body and b"\\uD" not in body:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise refuse(400, "not_json", "the body has half of a character, as \\ud800: send whole ones") from None


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read is given to those who read it now."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def refusal(problem: Problem, *, rpc: bool) -> Response:
    """The answer to a request that is not served: of JSON-RPC where its body is at fault, else as REST has it."""
    if problem.status == 415:
        problem = replace(problem, code="content_type_not_supported")
    if rpc and problem.code in _CODES:
        code, status = _CODES[problem.code], 200 if problem.status in (400, 415) else problem.status
        about = {"code": code, "message": problem.message, "data": [_info(problem)]}
        return JSONResponse({"jsonrpc": "2.0", "id": None, "error": about}, status, problem.all_headers)
    told = {
        "code": problem.status,
        "status": _STATUS.get(problem.status, "INTERNAL" if problem.status >= 500 else "FAILED_PRECONDITION"),
        "message": problem.message or HTTPStatus(problem.status).phrase,
        "details": [_info(problem)],
    }
    return JSONResponse({"error": told}, problem.status, problem.all_headers)


def _info(problem: Problem) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": problem.code.upper(),
        "domain": "callboard",
        "metadata": {"run": problem.run} if problem.run else {},
    }
