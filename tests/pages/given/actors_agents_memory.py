"""What the examples of the page about memory take for granted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from callboard import Memory
from tests.agents.documents.support import pdf

Path("handbook.pdf").write_bytes(pdf(["Refunds take five days."]))


@asynccontextmanager
async def around() -> AsyncIterator[dict[str, Any]]:
    with Memory("memory.db") as memory:
        yield {"memory": memory}
