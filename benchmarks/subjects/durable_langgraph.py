"""LangGraph's SQLite saver, putting checkpoints with as much in them as the event that our journal appends."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.harness.model import Sample

from .clock import Cpu

SCALE = 1.0
EVENT = {
    "account": "0192f0c1-2b3c-7d4e-8f90-abcdef012345",
    "amount": 25,
    "text": "rent for the month of December, paid late",
}


def put(n: int) -> list[Sample]:
    """One checkpoint of a thread after the other, each waited for."""

    async def main(path: Path) -> list[Sample]:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            await saver.setup()
            where: Any = {"configurable": {"thread_id": "thread", "checkpoint_ns": ""}}
            cpu = Cpu()
            started = time.perf_counter()
            for step in range(n):
                checkpoint: Any = empty_checkpoint()
                checkpoint["channel_values"] = {"last": EVENT}
                where = await saver.aput(where, checkpoint, {"source": "loop", "step": step, "parents": {}}, {})
            seconds = time.perf_counter() - started
            return [cpu.per(n, "put", "_cpu"), Sample(seconds / n * 1e6, "µs", "_wall")]

    with tempfile.TemporaryDirectory(dir=os.environ.get("CALLBOARD_BENCH_FOLDER")) as folder:
        return asyncio.run(main(Path(folder) / "checkpoints.db"))


SCENARIOS: dict[str, Callable[[int], list[Sample]]] = {"put": put}
