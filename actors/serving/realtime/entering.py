"""Who may open a WebSocket.

A browser lets every page open one to everywhere, and a page cannot set headers for it: so the page's origin is looked
at, and who asks may be said by a subprotocol, or by the first message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from ...agents.caller import Caller
from ..limits.entrance import LEAVE
from ..problems import Problem, Refused, refuse
from ..server import Server

PROTOCOL: Final = "callboard.v1"
"""The subprotocol's name."""

BEARER: Final = "callboard.bearer."
"""How a subprotocol begins that is a key or token."""


class Entrant:
    """Somebody who has connected.

    Args:
        server: to whom.
        websocket: by what.

    Attributes:
        said: whether they have said who they are, or brought what may say it.
    """

    def __init__(self, server: Server, websocket: WebSocket) -> None:
        self._server = server
        self._scope: dict[str, Any] = dict(websocket.scope)
        offered = next((one for one in websocket.scope.get("subprotocols", ()) if one.startswith(BEARER)), "")
        if offered:
            self.say(offered.removeprefix(BEARER))
        self.said = "authorization" in HTTPConnection(self._scope).headers

    def say(self, token: str) -> None:
        """They give a key or token, in place of one that they gave before."""
        others = [header for header in self._scope["headers"] if header[0] != b"authorization"]
        given = f"Bearer {token}".encode("latin-1", "replace")
        self._scope["headers"] = [*others, (b"authorization", given)]
        self.said = True

    async def caller(self) -> tuple[Caller, HTTPConnection, Callable[[], None]]:
        """Who they are now: a key may have been revoked since. It counts as a request.

        Returns:
            who, by which connection, and what is to be called when that request is over.

        Raises:
            Refused: nobody who may.
            QuotaExceeded: they have asked too often.
        """
        leave: list[Callable[[], object]] = []

        def over() -> None:
            while leave:
                leave.pop()()

        connection = HTTPConnection({**self._scope, LEAVE: leave})
        try:
            return await self._server.caller(connection), connection, over
        except BaseException:
            over()
            raise


def check_origin(websocket: WebSocket, origins: Sequence[str]) -> None:
    """Look which page it is that connects; what is no browser names none.

    Args:
        websocket: by what.
        origins: of the pages that may, besides the server's own.

    Raises:
        Refused: it is another one.
    """
    for origin in websocket.headers.getlist("origin"):
        own = urlsplit(origin).netloc
        if origin not in origins and (not own or own != websocket.headers.get("host")):
            raise refuse(403, "origin_refused", f"pages of {origin!r:.100} may not connect: name it in serve(cors=…)")


async def deny(websocket: WebSocket, problem: Problem) -> None:
    """Refuse a connection before it is one: with a status, which browsers do not show to pages."""
    body = {"code": problem.code, "detail": problem.message, "status": problem.status}
    await websocket.send_denial_response(JSONResponse(body, problem.status, problem.all_headers))


def is_stranger(error: Exception) -> bool:
    """Whether somebody was refused for not having said who they are."""
    return isinstance(error, Refused) and error.problem.status == 401
