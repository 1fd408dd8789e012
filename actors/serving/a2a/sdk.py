"""The SDK's routes for one agent. This file and those it imports need the package ``a2a-sdk``."""

from __future__ import annotations

from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from a2a.server.routes.common import ServerCallContextBuilder
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from ..server import Server
from .answering import hush, quietly
from .card import card_of
from .handler import Runs
from .paths import CALLER
from .push import Pushes


class _Context(ServerCallContextBuilder):
    """What our answers are handed of a request."""

    def build(self, request: Request) -> ServerCallContext:
        return ServerCallContext(
            state={"headers": dict(request.headers), "caller": request.scope[CALLER], "request": request},
            requested_extensions=get_requested_extensions(request.headers.getlist(HTTP_EXTENSION_HEADER)),
        )


hush()


def routes_of(server: Server, agent: str, pushes: Pushes | None) -> Router:
    """Where an agent is asked: JSON-RPC at its root, and REST."""
    handler, context = Runs(server, agent, pushes), _Context()
    return Router(
        [
            *create_jsonrpc_routes(handler, "/", context, enable_v0_3_compat=True),
            *create_rest_routes(handler, context, enable_v0_3_compat=True),
        ],
        redirect_slashes=False,
    )


async def answered(router: Router, scope: Scope, receive: Receive, send: Send) -> None:
    """Have a request answered."""
    with quietly():
        await router(scope, receive, send)


def card_body(server: Server, agent: str, base: str, *, pushes: bool) -> dict[str, object]:
    """An agent's card as it is sent: with the fields of 0.3 besides."""
    found: dict[str, object] = agent_card_to_dict(card_of(server, agent, base, pushes=pushes))
    return found
