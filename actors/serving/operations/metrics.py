"""The figures of an agency, for Prometheus; those of all workers, whichever is asked."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ....tools.scopes import ADMIN
from ...agents.agency import Agency
from ...observe.errors import TelemetryError
from ...observe.metrics import Family, labelled, read, together, written
from ...observe.prometheus import process_figures, prometheus_text
from ..problems import refuse
from ..server import Server

METRICS: Final = "metrics"
"""The scope of who reads figures and may do nothing else; ``admin`` may, too."""

FOLDER: Final = "CALLBOARD_METRICS"
"""The variable with the folder in which several workers leave their figures for each other."""

EVERY: Final = 5.0
"""Seconds between two times that a worker leaves its figures."""

STALE: Final = 6 * EVERY
"""Seconds after which what a worker has left is not told any more: it has ended, or does nothing."""

logger = logging.getLogger("callboard")


async def metrics(server: Server, request: Request) -> Response:
    """What has been done and how it goes, in Prometheus' form; of all workers, where there are several."""
    await may_watch(server, request)
    telemetry = server.agency.telemetry
    if telemetry is None or not telemetry.metrics:
        raise refuse(404, "no_metrics", "no figures are kept: give the Agency telemetry=Telemetry()")
    own = await _own(server.agency)
    folder = _folder()
    if folder is not None:
        own = together([*labelled((*own, *process_figures()), "worker", _name()), *_of_others(folder)])
    text, content_type = prometheus_text(own)
    return Response(text, media_type=content_type)


async def may_watch(server: Server, request: Request) -> None:
    """Refuse who may not look how an agency does, where it is asked who asks.

    Raises:
        Refused: who asks has neither the scope ``metrics`` nor ``admin``.
    """
    caller = await server.caller(request)
    if server.authenticate and caller.scopes.isdisjoint((METRICS, ADMIN)):
        raise refuse(403, "not_allowed", f"this is for callers with the scope {METRICS} or {ADMIN}")


@asynccontextmanager
async def shared(agency: Agency) -> AsyncIterator[None]:
    """Leave the agency's figures for the other workers, where there are some."""
    folder, telemetry = _folder(), agency.telemetry
    if folder is None or telemetry is None or not telemetry.metrics:
        yield
        return
    file = folder / f"{_name()}.json"
    leaving = asyncio.create_task(_leave(agency, file), name="leave figures")
    try:
        yield
    finally:
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        file.unlink(missing_ok=True)


async def _leave(agency: Agency, file: Path) -> None:
    while True:
        try:
            text = written((*await _own(agency), *process_figures()))
            half = file.with_suffix(".half")
            half.write_text(text)
            half.replace(file)  # nobody reads half of it
        except Exception:  # the next time it may work
            logger.exception("figures cannot be left for other workers in %s", file.parent)
        await asyncio.sleep(EVERY)


async def _own(agency: Agency) -> tuple[Family, ...]:
    """The agency's figures; none once it has stopped, as it does where a process is drained and stays."""
    try:
        return await agency.metrics()
    except TelemetryError:
        if agency.stopping:
            return ()
        raise


def _folder() -> Path | None:
    named = os.environ.get(FOLDER)
    return Path(named) if named else None


def _name() -> str:
    return str(os.getpid())


def _of_others(folder: Path) -> list[Family]:
    found: list[Family] = []
    for file in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError):  # it has ended this moment
            if file.stem != _name() and time.time() - file.stat().st_mtime < STALE:
                found += labelled(read(file.read_text()), "worker", file.stem)
    return found
