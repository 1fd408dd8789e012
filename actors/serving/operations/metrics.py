"""The figures of an agency, for Prometheus."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ....tools.scopes import ADMIN
from ...observe.metrics import prometheus_text
from ..problems import refuse
from ..server import Server

METRICS: Final = "metrics"
"""The scope of who reads figures and may do nothing else; ``admin`` may, too."""


async def metrics(server: Server, request: Request) -> Response:
    """What the process has done and how it does, in Prometheus' form."""
    caller = await server.caller(request)
    if server.authenticate and caller.scopes.isdisjoint((METRICS, ADMIN)):
        raise refuse(403, "not_allowed", f"figures are for callers with the scope {METRICS} or {ADMIN}")
    telemetry = server.agency.telemetry
    if telemetry is None or not telemetry.metrics:
        raise refuse(404, "no_metrics", "no figures are kept: give the Agency telemetry=Telemetry()")
    text, content_type = prometheus_text(await server.agency.metrics())
    return Response(text, media_type=content_type)
