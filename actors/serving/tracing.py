"""Requests of clients that trace what they do."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ..agents.agency import Agency


class Traced:
    """An application whose runs are a part of the span that a request names in ``traceparent``.

    Args:
        app: the application.
        agency: whose runs.
    """

    def __init__(self, app: ASGIApp, agency: Agency) -> None:
        self.app = app
        self.agency = agency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        named = [value for name, value in scope.get("headers", ()) if name == b"traceparent"]
        if len(named) != 1:
            await self.app(scope, receive, send)
            return
        with self.agency.part_of(named[0].decode("latin-1")):
            await self.app(scope, receive, send)
