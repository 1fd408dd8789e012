"""``/mcp``: the protocol over streamable HTTP.

Nothing of a client is kept between two requests, so that any worker may answer the next one. Up to 2025-11-25 a client
opens a session: here it is no more than a name, by which a call is found that is to be cancelled.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import Message, Receive, Scope, Send

from ....tools.errors import MissingExtra
from ....tools.registry import ToolRegistry
from ....tools.threads import in_thread
from ..failing import FAILURES, problem_at
from ..problems import Problem, refuse
from ..requests import as_value, check_kind, header, read_again, read_body
from ..server import Server
from .jsonrpc import CALLER, SESSION, check_message, refusal

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

VERSION: Final = "mcp-protocol-version"

_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]", "::1")


class McpEndpoint:
    """Answers what is asked at ``/mcp``, as an ASGI application.

    Args:
        server: whose agents.
        tools: those that are offered beside them.
    """

    def __init__(self, server: Server, tools: ToolRegistry) -> None:
        self._server = server
        self._tools = tools
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Requests can be answered until the end of the block; those under way are ended there."""
        try:
            yield
        finally:
            task, self._task, self._manager = self._task, None, None
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            self._server.check_loop()
            if scope["method"] != "POST":
                message = "send a POST: nothing is told here that was not asked for"
                raise refuse(405, "method_not_allowed", message)
            self._check_origin(request)
            scope[CALLER] = await self._server.caller(request)
            check_kind(request)
            body = await read_body(request, self._server.body_limit)
            check_message(as_value(body))
            manager = await asyncio.shield(self._started())
        except MissingExtra as error:
            await refusal(Problem(501, "missing_extra", str(error)))(scope, receive, send)
            return
        except FAILURES as error:
            await refusal(problem_at(self._server, request, error))(scope, receive, send)
            return
        if _has_sessions(request) and SESSION not in request.headers:
            send = _naming(send, uuid.uuid4().hex)
        # The servers leave spaces around a value, which are no part of it. Of what JSON is, the SDK knows one spelling.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"] if name != b"content-type"]
        scope["headers"].append((b"content-type", b"application/json"))
        await manager.handle_request(scope, read_again(body, receive), send)

    def _check_origin(self, request: HTTPConnection) -> None:
        """Where everybody may ask, a page that a browser shows must not: it could reach what only this machine should,
        by a name that it has resolve to this machine. With keys it has none.

        Raises:
            Refused: it is one.
        """
        if self._server.authenticate:
            return
        origin, host = header(request, "origin"), header(request, "host")
        if origin and origin.partition("://")[2] != host:
            raise refuse(403, "origin_refused", "another page may not ask here: have callers say who they are")
        here = (request.scope.get("server") or ("",))[0]
        if here in _LOCAL and _name_of(host) not in _LOCAL:
            message = f"only this machine may ask here, not as {host:.100}: have callers say who they are"
            raise refuse(421, "host_refused", message)

    def _started(self) -> asyncio.Future[StreamableHTTPSessionManager]:
        if self._manager is None:
            loop = asyncio.get_running_loop()
            self._manager = loop.create_future()
            self._task = loop.create_task(self._run(self._manager), name="mcp")
        return self._manager

    async def _run(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        try:
            make = await in_thread(_import)
            manager = make(self._server, self._tools)
            async with manager.run():
                ready.set_result(manager)
                await asyncio.Event().wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            self._manager = None


def _import() -> Callable[[Server, ToolRegistry], StreamableHTTPSessionManager]:
    """It takes a second."""
    try:
        import mcp  # noqa: F401
    except ImportError:
        raise MissingExtra("mcp", "serving the Model Context Protocol") from None
    from .sdk import session_manager

    return session_manager


def _name_of(host: str) -> str:
    """The host without its port."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (host.startswith("[") or ":" not in name) else host


def _has_sessions(request: HTTPConnection) -> bool:
    """Whether the request's revision of the protocol has sessions: those up to 2025-11-25."""
    return header(request, VERSION) < "2026"


def _naming(send: Send, session: str) -> Send:
    async def named(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(scope=message)[SESSION] = session
        await send(message)

    return named
