"""How an agency does, for those who watch over it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..answers import Json
from ..server import Server
from .metrics import may_watch


async def agency_health(server: Server, request: Request) -> Response:
    """How providers and models do, the journal, and what the process uses of its machine."""
    await may_watch(server, request)
    health = await server.agency.health()
    pools: dict[str, Any] = {name: None if one is None else asdict(one) for name, one in health.pools.items()}
    told = {
        "available": health.available,
        "pools": pools,
        "journal_lag": health.journal_lag,
        "resources": asdict(health.resources),
    }
    return Json(told, headers={"cache-control": "no-store"})
