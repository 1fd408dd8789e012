"""Requests that another process of the same user answers, over its socket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import httpx
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from ....tools.scopes import ADMIN
from ...agents.caller import Caller
from ...agents.overview.sockets import ended
from ..problems import Problem, Refused, refuse
from ..requests import header, read_body
from ..sse import EventStream
from .board import OPERATOR

T = TypeVar("T")

Still: TypeAlias = Callable[[], Awaitable[bool]]

FOR: Final = "callboard-caller"
"""The header in which a program of the same user says for whom it asks; without it for the user."""

PATIENCE: Final = 8.0
"""Seconds of silence after which another process is asked for a sign of life, and in which it must give it. Twice that
is less than the 20 seconds after which the page looks upon a stream as cut off, so that it hears the reason."""

_THERE: Final = "http://dashboard"

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


async def forwarded(
    request: Request, path: str, socket: Path, headers: dict[str, str], still: Still | None = None
) -> Response:
    """What another process answers, piece by piece as it comes.

    Args:
        request: what is asked.
        path: as the dashboard there has it, with its query.
        socket: of the process.
        headers: that are sent besides.
        still: whether whoever asks may still be sent what comes of a stream; None where they always may.

    Raises:
        Refused: it gives no sign of life, or has ended (it may take as long as it wants for an answer); or the path has
            steps to other paths.
    """
    url = httpx.URL(f"http://dashboard{path}")
    if url.raw_path.partition(b"?")[0] != path.partition("?")[0].encode():  # httpx has taken `..` out of it
        raise refuse(404, "unknown_path", f"{request.method} {path.partition('?')[0]!r:.200}: Not Found")
    body = await read_body(request, _MOST)
    sent = {name: value for name, value in request.headers.items() if name not in _NOT_FURTHER} | headers
    timeout = httpx.Timeout(PATIENCE, read=None)
    client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=timeout)
    try:
        asked = client.build_request(request.method, url, headers=sent, content=body)
        answer = await _coming(client, client.send(asked, stream=True))
    except BaseException as error:
        await client.aclose()
        if isinstance(error, httpx.ConnectError) and ended(socket):
            raise refuse(404, "unknown_process", "that process has ended; see api/me", "process") from None
        if isinstance(error, httpx.HTTPError | OSError):
            message = "that process does not answer: it is stopped, its event loop is blocked, or it ends"
            raise Refused(Problem(502, "no_answer", message)) from None
        raise
    back = {name: value for name, value in answer.headers.items() if name not in _NOT_BACK}
    if not answer.headers.get("content-type", "").startswith(EventStream.media_type):
        still = None  # what has an end is one answer
    return StreamingResponse(_pieces(client, answer, still), answer.status_code, back)


async def _pieces(client: httpx.AsyncClient, answer: httpx.Response, still: Still | None) -> AsyncIterator[bytes]:
    pieces = answer.aiter_raw()
    try:
        while (piece := await _coming(client, _next(pieces))) is not None:
            if still is not None and not await still():
                return
            yield piece
    except httpx.HTTPError:
        return  # it has ended, or is stopped: what was sent is all there is
    finally:
        await answer.aclose()
        await client.aclose()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _coming(client: httpx.AsyncClient, awaited: Coroutine[Any, Any, T]) -> T:
    """What another process sends, however long it takes, as long as it lives.

    Raises:
        HTTPError: it has ended, or gives no sign of life.
    """
    task = asyncio.get_running_loop().create_task(awaited)
    try:
        while not (await asyncio.wait((task,), timeout=PATIENCE))[0]:
            await client.head(f"{_THERE}/", timeout=PATIENCE)  # the page, which everybody may have
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
