"""Requests that another process of the same user answers, over its socket."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from ....tools.scopes import ADMIN
from ...agents.caller import Caller
from ...agents.overview.sockets import ended
from ..problems import Problem, Refused, refuse
from ..requests import header, read_body
from .board import OPERATOR

FOR: Final = "callboard-caller"
"""The header in which a program of the same user says for whom it asks; without it for the user."""

_PATIENCE: Final = 10.0
"""Seconds in which another process must begin to answer."""

_MOST: Final = 1024 * 1024
"""Bytes of a request's body."""

# Of one connection, and not of the request; and who asks is said otherwise.
_NOT_FURTHER: Final = frozenset(
    {"authorization", "connection", "content-length", "cookie", "host", "keep-alive", "te", "transfer-encoding"}
    | {"upgrade", "origin", FOR}
)
_NOT_BACK: Final = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding"})


def who_is_said(connection: HTTPConnection) -> Caller:
    """For whom a program of the same user asks: whom it says, or else the user."""
    said = header(connection, FOR)
    if not said:
        return Caller(OPERATOR, scopes=frozenset((ADMIN,)), key=OPERATOR)
    user, tenant, scopes, key = json.loads(b64decode(said))
    return Caller(user, tenant, frozenset(scopes), key)


def said_for(caller: Caller) -> str:
    """The header's value that says for whom is asked."""
    said = (caller.user, caller.tenant, sorted(caller.scopes), caller.key)
    return b64encode(json.dumps(said).encode()).decode()


async def forwarded(request: Request, path: str, socket: Path, headers: dict[str, str]) -> Response:
    """What another process answers, piece by piece as it comes.

    Args:
        request: what is asked.
        path: as the dashboard there has it, with its query.
        socket: of the process.
        headers: that are sent besides.

    Raises:
        Refused: it does not answer, or has ended; the path has steps to other paths.
    """
    url = httpx.URL(f"http://dashboard{path}")
    if url.raw_path.partition(b"?")[0] != path.partition("?")[0].encode():  # httpx has taken `..` out of it
        raise refuse(404, "unknown_path", f"{request.method} {path.partition('?')[0]!r:.200}: Not Found")
    body = await read_body(request, _MOST)
    sent = {name: value for name, value in request.headers.items() if name not in _NOT_FURTHER} | headers
    timeout = httpx.Timeout(_PATIENCE, read=None)
    client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=timeout)
    try:
        asked = client.build_request(request.method, url, headers=sent, content=body)
        answer = await client.send(asked, stream=True)
    except BaseException as error:
        await client.aclose()
        if isinstance(error, httpx.ConnectError) and ended(socket):
            raise refuse(404, "unknown_process", "that process has ended; see api/me", "process") from None
        if isinstance(error, httpx.HTTPError | OSError):
            message = "that process does not answer: its event loop is blocked, or it ends"
            raise Refused(Problem(502, "no_answer", message)) from None
        raise
    back = {name: value for name, value in answer.headers.items() if name not in _NOT_BACK}
    return StreamingResponse(_pieces(client, answer), answer.status_code, back)


async def _pieces(client: httpx.AsyncClient, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError:
        return  # it has ended: what was sent is all there is
    finally:
        await answer.aclose()
        await client.aclose()
