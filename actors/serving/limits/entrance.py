"""What every request passes first and last: bounds on its headers, the sending of its answer, and the knowledge of when
it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ...agents.errors import DefinitionError

LEAVE: Final = "callboard.leave"
"""Where in the scope of a connection stands what is called when it is over."""

ANSWER: Final = "callboard.answer"
"""Where in the scope of a request stands its answer, once there is one."""

MOST_HEADERS: Final = 100
"""Headers of a request."""

MOST_BYTES: Final = 32_768
"""Bytes of all of them: payments and tokens stand there, and nothing longer."""

EXPOSED: Final = (
    "callboard-run",
    "location",
    "mcp-session-id",
    "payment-required",
    "payment-response",
    "retry-after",
    "www-authenticate",
    "x-should-retry",
)
"""Headers of answers that a page in a browser may read."""


class Entrance:
    """An application behind the bounds on headers. What it leaves in the scope as the answer is sent from here, when
    all that has led to it is off the stack: a stream may stand for hours, and 1,000 of them do not keep that.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = scope["headers"]
        if len(headers) > MOST_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MOST_BYTES:
            await _refuse(scope, receive, send)
            return
        leave: list[Callable[[], object]] = []
        scope[LEAVE] = leave
        try:
            await self.app(scope, receive, send)
            answer: ASGIApp | None = scope.pop(ANSWER, None)
            if answer is not None:
                await answer(scope, receive, send)
        finally:
            for each in leave:
                each()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    message = f"a request has up to {MOST_HEADERS} headers of {MOST_BYTES:,} bytes together: send less in them"
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "headers_too_large"}
    await JSONResponse({"error": error}, 431, {"connection": "close"})(scope, receive, send)


def entrance(cors: Sequence[str]) -> list[Middleware]:
    """What stands around an application.

    Args:
        cors: the origins whose pages may ask it from a browser.

    Raises:
        DefinitionError: one is no origin.
    """
    if not isinstance(cors, list | tuple):
        raise DefinitionError(f"cors are several origins, not {type(cors).__name__}")
    for origin in cors:
        parts = urlsplit(origin) if isinstance(origin, str) else None
        if parts is None or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin:
            raise DefinitionError(
                f"cors: {origin!r:.80} is no origin; name each as browsers do: https://app.example, without a path"
            )
    if not cors:
        return [Middleware(Entrance)]
    # Who asks is said by a header that a page sets, never by a cookie: without credentials no page can use another's.
    browsers = Middleware(
        CORSMiddleware,
        allow_origins=list(cors),
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
        max_age=600,
    )
    return [browsers, Middleware(Entrance)]
