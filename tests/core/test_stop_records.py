"""What a stop that has to kill writes into the log: only what is so."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from callboard.actors import Actor, System
from callboard.actors.testing import virtual_time

from .support import on_each_loop


class Long(Actor):
    """Waits, without end, in the place it was told."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    async def on_start(self) -> None:
        await self.long("on_start")

    async def on_stop(self) -> None:
        await self.long("on_stop")

    async def on_receive(self, message: Any) -> None:
        if message == "pipe":
            self.pipe(self.long("pipe"))
        await self.long("on_receive")

    async def long(self, where: str) -> None:
        if where == self.where:
            await asyncio.Event().wait()


WHERE = ["on_start", "on_stop", "on_receive", "pipe"]


async def stop_in(seconds: float, where: str) -> None:
    system = System().start()
    ref = system.spawn(Long, where)
    if where != "on_start":
        await ref.started()
    if where in ("on_receive", "pipe"):
        ref.tell(where)
    await asyncio.sleep(0)
    await system.stop(seconds)
    assert not ref.is_alive()


@pytest.mark.parametrize("seconds", [0, 0.3, 3])
@pytest.mark.parametrize("where", WHERE)
@virtual_time
async def test_a_stop_that_kills_names_no_tasks_where_none_are_left(
    seconds: float, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    await stop_in(seconds, where)
    assert [record.getMessage() for record in caplog.records if "tasks" in record.getMessage()] == []


@pytest.mark.parametrize("where", WHERE)
@on_each_loop
async def test_a_stop_without_time_names_no_tasks_where_none_are_left(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "callboard")
    for seconds in (0, 0.005):
        await stop_in(seconds, where)
    assert [record.getMessage() for record in caplog.records if "tasks" in record.getMessage()] == []
