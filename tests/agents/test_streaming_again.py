"""Asking for a run again while it is streamed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from callboard import Agency
from callboard.actors.agents.errors import RunCancelled
from callboard.actors.agents.events import RunEvent, RunFinished, TextDelta, ToolFinished, ToolStarted

from .held import Held
from .journals import journal
from .support import until

__all__ = ["journal"]


async def read(agency: Agency, into: list[RunEvent], run_id: str = "r1") -> None:
    async with aclosing(agency.run_streaming("hold on", conversation="c", run_id=run_id)) as events:
        async for event in events:
            into.append(event)


def kinds(events: list[RunEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_both_readers_get_what_happens_from_where_they_joined_and_the_answer(journal: Any) -> None:
    held = Held()
    first: list[RunEvent] = []
    second: list[RunEvent] = []
    async with held.agency(journal) as agency:
        one = asyncio.create_task(read(agency, first))
        await held.begun.wait()
        await until(lambda: any(isinstance(event, ToolStarted) for event in first))
        two = asyncio.create_task(read(agency, second))
        await until(lambda: agency._runtime.register.open()[0].waiters == 2)
        held.go.set()
        await asyncio.gather(one, two)
    joined = kinds(first).index("ToolFinished")
    assert second == first[joined:]
    assert isinstance(second[-1], RunFinished)
    assert second[-1].answer is not None
    assert second[-1].answer.text == "heard hold on"
    assert "".join(event.text for event in second if isinstance(event, TextDelta)) == "heard hold on"
    assert held.asked == 2


@pytest.mark.parametrize("leaves", ["the first", "the second"])
async def test_leaving_one_iteration_leaves_the_run_to_the_other(leaves: str, journal: Any) -> None:
    held = Held()
    told: tuple[list[RunEvent], list[RunEvent]] = ([], [])
    async with held.agency(journal) as agency:
        tasks = [asyncio.create_task(read(agency, told[0]))]
        await held.begun.wait()
        tasks.append(asyncio.create_task(read(agency, told[1])))
        await until(lambda: agency._runtime.register.open()[0].waiters == 2)
        leaving = 0 if leaves == "the first" else 1
        tasks[leaving].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[leaving]
        held.go.set()
        await tasks[1 - leaving]
        assert any(isinstance(event, ToolFinished) for event in told[1 - leaving])
        last = told[1 - leaving][-1]
        assert isinstance(last, RunFinished)
        assert last.error is None
        assert held.asked == 2


async def test_the_run_is_cancelled_when_the_last_one_leaves(journal: Any) -> None:
    held = Held()
    async with held.agency(journal) as agency:
        tasks = [asyncio.create_task(read(agency, [])), asyncio.create_task(read(agency, []))]
        await held.begun.wait()
        await until(lambda: agency._runtime.register.open()[0].waiters == 2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        with pytest.raises(RunCancelled):
            await agency.run("hold on", conversation="c", run_id="r1")


async def test_a_background_run_is_looked_at_as_a_stream_and_goes_on_without_it(journal: Any) -> None:
    held = Held()
    events: list[RunEvent] = []
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c", run_id="r1")
        await held.begun.wait()
        async with aclosing(agency.run_streaming("hold on", conversation="c", run_id="r1")) as stream:
            reading = asyncio.ensure_future(anext(stream))
            await until(lambda: agency._runtime.register.open()[0].waiters == 1)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await handle.status() == "running"
        held.go.set()
        assert (await handle).text == "heard hold on"
        await read(agency, events)
        assert kinds(events) == ["RunFinished"], "it had ended before"
        assert isinstance(events[0], RunFinished)
        assert events[0].answer is not None
        assert events[0].answer.text == "heard hold on"


async def test_a_failed_run_asked_for_again_ends_its_stream_in_the_same_error(journal: Any) -> None:
    held = Held()
    events: list[RunEvent] = []
    async with held.agency(journal) as agency:
        handle = await agency.start_run("hold on", conversation="c", run_id="r1")
        await held.begun.wait()
        await handle.cancel()
        with pytest.raises(RunCancelled):
            await read(agency, events)
        assert isinstance(events[-1], RunFinished)
        assert isinstance(events[-1].error, RunCancelled)
