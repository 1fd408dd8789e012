"""An agency with a file may be built on one thread and live on another, and leaves nothing open behind it."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer
from callboard.actors.agents.errors import AgencyClosed, AgentError, UnknownAgent

from .support import echo, function, outcome, passes


def built(journal: Path | None) -> Agency:
    """An agency as an application's start-up code makes it."""
    return Agency(Agent("A", "a"), model=function(echo), journal=journal)


def elsewhere(work: Callable[[], Any]) -> Any:
    """Do it on a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=30)


async def one_run(agency: Agency, question: str) -> list[str]:
    """A whole life: start, a run, stop."""
    async with agency:
        answer = await outcome(agency.run(question, conversation="c"))
        assert isinstance(answer, Answer), repr(answer)
        return [message.text for message in answer.messages]


def test_an_agency_built_here_lives_and_stops_on_the_loop_of_another_thread(tmp_path: Path) -> None:
    agency = built(tmp_path / "j.db")
    assert elsewhere(lambda: asyncio.run(one_run(agency, "one"))) == ["one", "to one"]
    again = built(tmp_path / "j.db")
    expected = ["one", "to one", "two", "to two"]
    assert elsewhere(lambda: asyncio.run(one_run(again, "two"))) == expected, "the file cannot be used again"


def test_an_agency_built_on_another_thread_lives_and_stops_here(tmp_path: Path) -> None:
    agency = elsewhere(lambda: built(tmp_path / "j.db"))
    assert asyncio.run(one_run(agency, "one")) == ["one", "to one"]
    assert asyncio.run(one_run(built(tmp_path / "j.db"), "two")) == ["one", "to one", "two", "to two"]


def test_process_sync_on_another_thread_uses_an_agency_with_a_file(tmp_path: Path) -> None:
    agency = built(tmp_path / "j.db")
    assert elsewhere(lambda: agency.process_sync("one", conversation="c")) == "to one"
    assert asyncio.run(one_run(built(tmp_path / "j.db"), "two")) == ["one", "to one", "two", "to two"]


def test_sixteen_threads_ask_an_agency_that_was_built_on_another_one(tmp_path: Path) -> None:
    agency = built(tmp_path / "j.db")
    started, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with agency:
            started.set()
            await asyncio.to_thread(done.wait)

    with ThreadPoolExecutor(17) as pool:
        server = pool.submit(lambda: asyncio.run(serve()))
        try:
            while not started.wait(0.01):
                assert not server.done(), f"it did not start: {server.exception()!r}"
            asked = [pool.submit(agency.process_sync, f"{n}", conversation=f"c{n}") for n in range(16)]
            answers = [one.result(timeout=30) for one in asked]
        finally:
            done.set()
        server.result(timeout=30)
    assert answers == [f"to {n}" for n in range(16)]


def test_an_agency_that_was_never_started_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            agency = built(tmp_path / "j.db")
            del agency
            gc.collect()
    assert set(threading.enumerate()) - before == set(), "a thread waits for an agency that nobody has"
    assert asyncio.run(one_run(built(tmp_path / "j.db"), "one")) == ["one", "to one"]


def test_an_agency_that_was_stopped_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    agency = built(tmp_path / "j.db")
    asyncio.run(one_run(agency, "one"))
    assert set(threading.enumerate()) - before == set()


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("number", range(6))
async def test_a_run_asked_for_while_the_agency_starts_is_answered_or_refused_as_closed(
    tmp_path: Path, number: int, durable: bool
) -> None:
    agency = built(tmp_path / "j.db" if durable else None)
    starting = asyncio.ensure_future(agency.start())
    await passes(number)
    ended = await outcome(agency.run("?"))
    await starting
    await agency.stop()
    assert not isinstance(ended, UnknownAgent), f"asked after {number} passes, it says that nobody has that name"
    assert isinstance(ended, AgencyClosed) if isinstance(ended, AgentError) else ended.text == "to ?"
