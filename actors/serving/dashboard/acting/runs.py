"""Cancelling a run, and draining the process."""

from __future__ import annotations

import asyncio
import os

from starlette.requests import Request
from starlette.responses import Response

from ...answers import Json
from ...operations.draining import drain
from ...operations.problem_json import body_of, query_of
from ..board import Board
from .log import acting


async def cancel_run(board: Board, request: Request) -> Response:
    """Have a run end in `RunCancelled`. One that has ended stays as it is."""
    caller = await board.who(request, "act")
    query_of(request)
    reason = (await body_of(board.server, request, "reason")).text("reason", "")
    run = request.path_params["run"]
    handle = await board.agency.handle(run)
    async with acting(board, caller, "cancel", run, reason=reason):
        await handle.cancel(reason or "cancelled on the dashboard")
    return Json({"run": run, "agent": handle.agent, "status": await handle.status()})


async def drain_process(board: Board, request: Request) -> Response:
    """Have this process take nothing more, wait for what is under way, and stop its agency."""
    caller = await board.who(request, "act")
    query_of(request)
    reason = (await body_of(board.server, request, "reason")).text("reason", "")
    process = os.getpid()
    async with acting(board, caller, "drain", f"process {process}", reason=reason):
        begun = asyncio.get_running_loop().create_task(drain(board.server), name="drain on the dashboard")
        _DRAINS.add(begun)
        begun.add_done_callback(_DRAINS.discard)
    return Json({"draining": True, "process": process}, 202)


_DRAINS: set[asyncio.Task[None]] = set()
