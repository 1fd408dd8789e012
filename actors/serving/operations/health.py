"""Whether the process lives, and whether it is to be asked anything."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ...journal.errors import JournalError
from ...journal.store import at_hand
from ..answers import Json
from ..server import Server

PATIENCE: Final = 2.0
"""Seconds in which a journal must answer to count as there."""


async def healthz(server: Server, request: Request) -> Response:
    """200 as long as the event loop turns: whoever gets no answer starts the process again."""
    return Json({"status": "ok"})


async def readyz(server: Server, request: Request) -> Response:
    """200 where requests are to come, 503 with the reason where they are not."""
    status = await _status(server)
    return Json({"status": status}, 200 if status == "ready" else 503, {"cache-control": "no-store"})


async def _status(server: Server) -> str:
    agency = server.agency
    if server.draining or agency.stopping:
        return "draining"
    if agency.system is None:
        return "starting"
    try:
        async with asyncio.timeout(PATIENCE):
            await at_hand(agency.journal.position())
    except (TimeoutError, JournalError):
        return "journal unreachable"
    return "ready"
