"""A conversation is released at whatever moment of its run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from callboard import Agency, Agent, RunCancelled
from tests.agents.support import function


async def test_one_whose_run_is_at_its_end_is_released_without_a_crash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its end is being written, and is in no queue any more."""
    agent = Agent("A")
    async with Agency(agent, model=function(lambda request: "x"), journal=tmp_path / "j.db") as agency:
        for passes in range(60):
            run = asyncio.create_task(agency.run("?", conversation=f"c{passes}"))
            for _ in range(passes):
                await asyncio.sleep(0)
            await agency.release(f"c{passes}")
            with suppress(RunCancelled):
                assert (await run).text == "x"
    assert not [record.getMessage() for record in caplog.records if "crashed" in record.getMessage()]
