"""Lets other commands of the same user look at a team: ``callboard tree``, ``top`` and ``dashboard``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from ...agents.agency import Agency
from ...agents.overview.sockets import DASHBOARD, NothingRuns, own_socket, watchable

NEEDS: Final = ("uvicorn", "starlette", "httpx")
"""What the extra ``serve`` brings for a dashboard."""


@asynccontextmanager
async def seen(agency: Agency, group: str = "") -> AsyncIterator[None]:
    """Let this user's programs on this machine look at an agency that runs, while the block does; where the extra
    ``serve`` is installed, in a browser too, from where it can be stopped and helped on. Until somebody looks it costs
    nothing: what the dashboard needs, which takes a while to load, is loaded then.

    Args:
        agency: it.
        group: of the processes that serve the same; empty for one that stands alone.

    Raises:
        DefinitionError: another agency of this process is seen already.
    """
    async with watchable(agency), AsyncExitStack() as stack:
        if all(find_spec(name) is not None for name in NEEDS):
            with suppress(OSError, NothingRuns):  # not being seen is no reason not to run
                await stack.enter_async_context(_openable(agency, group))
        yield


@asynccontextmanager
async def _openable(agency: Agency, group: str) -> AsyncIterator[None]:
    answering: list[Any] = []

    def connected() -> asyncio.Protocol:
        if not answering:
            answering.append(import_module("....serving.dashboard.beside", __name__).Answering(agency, group))
        protocol: asyncio.Protocol = answering[0].connected()
        return protocol

    try:
        with own_socket(f"{os.getpid()}{f'-{group}' if group else ''}{DASHBOARD}") as path:
            listening = await asyncio.get_running_loop().create_unix_server(connected, path)
            try:
                yield
            finally:
                listening.close()
    finally:
        if answering:
            await answering[0].end()
