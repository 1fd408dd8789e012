"""Runs that another process works on: seen, awaited, cancelled, interrupted and steered by way of the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callboard.actors.agents.errors import ConversationBusy, ConversationIdle, RunCancelled, UnknownRun
from tests import warm
from tests.postgres import Server, postgres

from .held import Held

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a journal that processes share."""
    if request.param == "sqlite":
        yield str(tmp_path / "j.db")
    else:
        server: Server = request.getfixturevalue("postgres")
        server.execute("DROP SCHEMA IF EXISTS callboard CASCADE")
        yield server.url
        server.execute("DROP SCHEMA IF EXISTS callboard CASCADE")


class Worker:
    """Another process with the same journal."""

    def __init__(self, process: warm.Program) -> None:
        self.process = process

    def tell(self, command: str) -> None:
        self.process.stdin.write(f"{command}\n")

    async def says(self) -> str:
        """The next line that it prints."""
        return (await asyncio.to_thread(self.process.stdout.readline)).strip()


@asynccontextmanager
async def worker(journal: str) -> AsyncIterator[Worker]:
    with warm.Program("-m", "tests.agents.worker_to_talk_to", journal) as process:
        other = Worker(process)
        assert await other.says() == "READY"
        yield other
        if process.returncode is None:
            other.tell("end")
            assert await asyncio.to_thread(process.wait) == 0


async def started(other: Worker, text: str = "hold on", run_id: str = "r1") -> None:
    other.tell(f"start {run_id} {text}")
    assert {await other.says(), await other.says()} == {f"STARTED {run_id}", "BEGUN"}


async def test_a_run_over_there_is_followed_and_awaited(shared: str) -> None:
    async with worker(shared) as other, Held().agency(shared) as agency:
        await started(other)
        handle = await agency.handle("r1")
        assert await handle.status() == "running"
        types = []
        async for record in handle.events():
            types.append(record.type)
            if record.type == "tools_started":
                other.tell("go")
        assert types == ["accepted", "started", "completed", "tools_started", "tool_returned", "completed", "ended"]
        assert (await handle).text == "heard hold on"
        assert await other.says() == "ANSWER r1 heard hold on"
        assert (await (await agency.handle("r1"))).text == "heard hold on"
        with pytest.raises(UnknownRun):
            await agency.handle("r2")


async def test_asking_for_it_here_waits_for_the_one_over_there(shared: str) -> None:
    here = Held(open=True)
    async with worker(shared) as other, here.agency(shared) as agency:
        await started(other)
        handle = await agency.start_run("hold on", conversation="c", run_id="r1")
        assert await handle.status() == "running"
        waiting = asyncio.create_task(agency.run("hold on", conversation="c", run_id="r1"))
        other.tell("go")
        assert (await handle).text == "heard hold on"
        assert (await waiting).text == "heard hold on"
        assert here.asked == 0


async def test_it_is_cancelled_from_here(shared: str) -> None:
    async with worker(shared) as other, Held().agency(shared) as agency:
        await started(other)
        other.tell("start r2 behind it")
        assert await other.says() == "STARTED r2"
        behind, handle = await agency.handle("r2"), await agency.handle("r1")
        assert await behind.status() == "queued"
        await behind.cancel()
        with pytest.raises(RunCancelled, match="before it began"):
            await behind
        await handle.cancel("enough")
        with pytest.raises(RunCancelled, match="enough") as caught:
            await handle
        assert caught.value.partial is not None
        assert len(caught.value.partial.steps) == 1
        assert {await other.says(), await other.says()} == {"ERROR r1 RunCancelled", "ERROR r2 RunCancelled"}


async def test_it_is_steered_from_here(shared: str) -> None:
    async with worker(shared) as other, Held().agency(shared) as agency:
        await started(other)
        await agency.steer("c", "hurry up")
        await agency.steer("c", "be brief")
        other.tell("go")
        assert await other.says() == "ANSWER r1 heard hold on, hurry up, be brief"
        with pytest.raises(ConversationIdle):
            await agency.steer("c", "too late")


@pytest.mark.parametrize(("mode", "heard"), [("interrupt", "hold on, stop"), ("rollback", "stop")])
async def test_a_newer_message_here_ends_the_run_over_there(shared: str, mode: str, heard: str) -> None:
    async with worker(shared) as other, Held().agency(shared) as agency:
        await started(other)
        with pytest.raises(ConversationBusy, match="at work"):
            await agency.run("no", conversation="c", when_busy="reject")
        answer = await agency.run("stop", conversation="c", when_busy=mode)  # type: ignore[call-overload]
        assert answer.text == f"heard {heard}"
        assert await other.says() == "ERROR r1 RunCancelled"


async def test_a_run_whose_process_is_killed_is_answered_here(shared: str) -> None:
    async with worker(shared) as other, Held(open=True).agency(shared) as agency:
        await started(other)
        await agency.steer("c", "hurry up")
        handle = await agency.handle("r1")
        reading = asyncio.create_task(_types(handle.events()))
        other.process.kill()
        assert (await handle).text == "heard hold on, hurry up"
        types = await reading
        assert types.count("ended") == 1
        assert "resumed" in types


async def _types(records: AsyncIterator[object]) -> list[str]:
    return [record.type async for record in records]  # type: ignore[attr-defined]
