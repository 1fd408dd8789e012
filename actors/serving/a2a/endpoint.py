"""``/a2a/{agent}``: an agent that other agents ask, and ``/.well-known/agent-card.json``: the card of the first one."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from ....tools.errors import MissingExtra
from ....tools.scopes import EVERYBODY
from ....tools.threads import in_thread
from ..failing import FAILURES, problem_at
from ..problems import Problem, refuse
from ..requests import as_object, check_kind, read_again, read_body
from ..server import Server
from .paths import CALLER, CARD, OLD_CARD, TOLD, Told
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
    409: "ABORTED",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


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
        self._sdk: Any = None

    async def card(self, request: Request) -> Response:
        """An agent's card. That of an agent for everybody is too; otherwise it is for those who may ask it."""
        try:
            server = self._server
            server.check_loop()
            agent = server.agent(request.path_params.get("agent", server.agency.entry))
            if server.agency.agents[agent].scope != EVERYBODY:
                server.check_may_ask(agent, await server.caller(request))
            sdk = await in_thread(_import)
            body = sdk.card_body(server, agent, str(request.base_url).rstrip("/"), pushes=self._pushes is not None)
        except FAILURES as error:
            return self._refused(error, request)
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
            self._server.check_loop()
            agent = self._server.agent(scope["path_params"]["agent"])
            scope[CALLER] = caller = await self._server.caller(request)
            self._server.check_may_ask(agent, caller)
            body = await read_body(request, self._server.body_limit)
            if body:
                check_kind(request)
            value = as_object(body) if body or (scope["method"] == "POST" and not rest) else {}
            _check_whole(body, value)
            router = await self._router(agent)
        except FAILURES as error:
            await self._refused(error, request, rpc=not rest)(scope, receive, send)
            return
        told = Told(value)
        inner = {**scope, "path": f"/{rest}", "root_path": "", "path_params": {}, TOLD: told}
        inner.pop("app", None)
        sent = _Sent(told, None if rest else _id_in(value), scope, receive, send)
        await self._sdk.answered(router, inner, read_again(body, receive), sent)

    async def _router(self, agent: str) -> Router:
        router = self._routers.get(agent)
        if router is None:
            self._sdk = await in_thread(_import)
            router = self._routers[agent] = self._sdk.routes_of(self._server, agent, self._pushes)
        return router

    def _refused(self, error: BaseException, request: Request, *, rpc: bool = False) -> Response:
        if isinstance(error, MissingExtra):
            return refusal(Problem(501, "missing_extra", str(error)))
        problem = problem_at(self._server, request, error)
        if rpc and problem.code in ("not_json", "too_large", "cut_short"):
            return rpc_refusal(problem)
        return refusal(problem)


class _Sent:
    """Sends what the SDK answers, and the ids of events with them. Where it does not know what went wrong, or that
    there is nothing at a path, that is told in its place.

    Args:
        told: what our answers say of it.
        rpc: the id of the request in a list, where it came by JSON-RPC; None by REST.
        scope, receive, send: of the request.
    """

    def __init__(self, told: Told, rpc: list[Any] | None, scope: Scope, receive: Receive, send: Send) -> None:
        self._told = told
        self._rpc = rpc
        self._asked = scope, receive, send
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        """See ASGI."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            problem = self._told.problem
            if message["status"] in (404, 405) and headers.get("content-type", "").startswith("text/plain"):
                problem = self._nothing_there(message["status"], headers)
            if problem is not None:
                self._replaced = True
                response = refusal(problem) if self._rpc is None else rpc_refusal(problem, *self._rpc)
                await response(*self._asked)
                return
            headers.update(self._told.headers)
        elif self._told.ids and message.get("body", b"").startswith(b"data:"):  # the SDK sends each event by itself
            id = self._told.ids.popleft()
            message = {**message, "body": f"id: {id}\r\n".encode() + message["body"]} if id else message
        await self._asked[2](message)

    def _nothing_there(self, status: int, headers: MutableHeaders) -> Problem:
        scope = self._asked[0]
        what = "nothing is there" if status == 404 else "it is asked by another method"
        allow = {"allow": headers["allow"]} if "allow" in headers else {}
        message = f"{scope['method']} {scope['path'][:200]!r}: {what}; see the agent's card"
        return Problem(status, "unknown_path" if status == 404 else "method_not_allowed", message, headers=allow)


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


def _id_in(value: dict[str, Any]) -> list[Any]:
    given = value.get("id")
    return [given if isinstance(given, str) or type(given) is int else None]


def rpc_refusal(problem: Problem, id: Any = None) -> Response:
    """The answer of JSON-RPC to a request that is not served. What is no JSON has no status of its own.

    Args:
        problem: why it is not.
        id: of the request.
    """
    unread = (problem.status, problem.code) == (400, "not_json")
    code = -32700 if unread else -32005 if problem.status == 415 else -32603 if problem.status >= 500 else -32600
    about = {"code": code, "message": problem.message, "data": [_info(problem)]}
    status = 200 if unread else problem.status
    return JSONResponse({"jsonrpc": "2.0", "id": id, "error": about}, status, problem.all_headers)


def refusal(problem: Problem) -> Response:
    """The answer to a request that is not served, as REST has it."""
    told = {
        "code": problem.status,
        "status": _STATUS.get(problem.status, "INTERNAL" if problem.status >= 500 else "FAILED_PRECONDITION"),
        "message": problem.message or HTTPStatus(problem.status).phrase,
        "details": [_info(problem)],
    }
    return JSONResponse({"error": told}, problem.status, problem.all_headers)


def _info(problem: Problem) -> dict[str, Any]:
    metadata = {"code": problem.code}
    if problem.run:
        metadata["run"] = problem.run
    if problem.retry_after is not None:
        metadata["retryAfter"] = f"{problem.retry_after:g}"
    about = {
        "reason": "CONTENT_TYPE_NOT_SUPPORTED" if problem.status == 415 else problem.code.upper(),
        "domain": "callboard",
        "metadata": metadata,
    }
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", **about}
