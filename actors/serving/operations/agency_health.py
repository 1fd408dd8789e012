"""How an agency does, for those who watch over it."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from ..answers import Json
from ..server import Server
from .metrics import may_watch


async def agency_health(server: Server, request: Request) -> Response:
    """How providers and models do, the journal, and what the process uses of its machine."""
    await may_watch(server, request)
    health = await server.agency.health()
    told = {"available": health.available, **asdict(health)}  # an agency of a cluster says more
    return Json(told, headers={"cache-control": "no-store"})
