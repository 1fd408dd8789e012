"""The paths of responses and conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from ...server import Server
from . import conversations, endpoints

Endpoint: TypeAlias = Callable[[Server, Request], Awaitable[Response]]

ROUTES: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("POST", "/v1/responses", endpoints.create),
    ("GET", "/v1/responses/{response}", endpoints.retrieve),
    ("DELETE", "/v1/responses/{response}", endpoints.delete),
    ("POST", "/v1/responses/{response}/cancel", endpoints.cancel),
    ("GET", "/v1/responses/{response}/input_items", endpoints.list_input),
    ("POST", "/v1/conversations", conversations.create),
    ("GET", "/v1/conversations/{conversation}", conversations.retrieve),
    ("POST", "/v1/conversations/{conversation}", conversations.update),
    ("DELETE", "/v1/conversations/{conversation}", conversations.delete),
    ("GET", "/v1/conversations/{conversation}/items", conversations.list_items),
    ("POST", "/v1/conversations/{conversation}/items", conversations.add_items),
    ("GET", "/v1/conversations/{conversation}/items/{item}", conversations.retrieve_item),
    ("DELETE", "/v1/conversations/{conversation}/items/{item}", conversations.delete_item),
)
"""Method, path, and what answers."""

OF_AGENTS: Final = (("POST", "/responses", endpoints.create),)
"""Likewise, behind an agent's name."""
