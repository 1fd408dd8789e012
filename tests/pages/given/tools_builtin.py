"""What the examples of the page about the tools that come along take for granted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

from callboard import Completion, Message
from callboard.providers.simulated import SimulatedProvider

Path("shop").mkdir()


@asynccontextmanager
async def around() -> AsyncIterator[None]:
    async with SimulatedProvider(
        Completion(Message("assistant", "They look at last year's prices."), "stop")
    ) as server:
        for vendor in ("OPENAI", "ANTHROPIC"):
            os.environ |= {f"{vendor}_API_KEY": "none", f"{vendor}_BASE_URL": f"{server.base_url}"}
        yield


@asynccontextmanager
async def McpServer(command: list[str]) -> AsyncIterator[SimpleNamespace]:  # noqa: N802 (as the page has it)
    yield SimpleNamespace(tools=())
