"""Threads for blocking tools: hung ones starve nobody, and waiting for a thread is nobody's time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from callboard.tools import ToolTimeout, threads, tool


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """What blocking tools wait for; set at the end at the latest."""
    event = threading.Event()
    yield event
    event.set()


async def test_the_time_in_which_a_call_waits_for_a_thread_does_not_count(
    monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.ToolThreads(1, long=None))
    ran = 0

    @tool(timeout=None)
    def hold() -> None:
        go.wait(30)

    @tool(timeout=1.0)
    def quick() -> int:
        nonlocal ran
        ran += 1
        return ran

    holding = asyncio.ensure_future(hold.run())
    waiting = [asyncio.ensure_future(quick.run()) for _ in range(50)]
    await asyncio.sleep(1.1)  # longer than the timeout of those that wait
    assert not any(task.done() for task in waiting)
    go.set()
    results = await asyncio.gather(*waiting)
    assert [result.error for result in results] == [None] * 50
    assert ran == 50
    await holding


async def test_the_time_in_which_it_runs_counts_after_a_wait(
    monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.ToolThreads(1, long=None))
    first, never = threading.Event(), go

    @tool(timeout=None)
    def hold() -> None:
        first.wait(30)

    @tool(timeout=0.01)
    def hang() -> None:
        never.wait(30)

    holding = asyncio.ensure_future(hold.run())
    hanging = asyncio.ensure_future(hang.run())
    await asyncio.sleep(0)
    first.set()
    assert isinstance((await hanging).error, ToolTimeout)
    await holding


async def test_calls_that_run_for_long_let_others_take_their_places(
    monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.ToolThreads(2, long=0.01))

    @tool(timeout=None)
    def hang() -> str:
        go.wait(30)
        return "late"

    @tool
    def quick() -> str:
        return "quick"

    hanging = [asyncio.ensure_future(hang.run()) for _ in range(7)]
    results = await asyncio.gather(*(quick.run() for _ in range(20)))
    assert {result.text for result in results} == {"quick"}
    assert not any(task.done() for task in hanging)
    go.set()
    assert {(await task).text for task in hanging} == {"late"}
    assert {(await quick.run()).text for _ in range(5)} == {"quick"}


async def test_there_are_no_more_threads_than_said(monkeypatch: pytest.MonkeyPatch, go: threading.Event) -> None:
    pool = threads.ToolThreads(1, long=0.0, most=3)
    monkeypatch.setattr(threads, "_threads", pool)
    running = 0
    lock = threading.Lock()

    @tool(timeout=None)
    def hang() -> None:
        nonlocal running
        with lock:
            running += 1
        go.wait(30)

    tasks = [asyncio.ensure_future(hang.run()) for _ in range(10)]
    while running < 3:
        await asyncio.sleep(0)
        pool.relieve()
    for _ in range(20):
        pool.relieve()
    assert running == 3
    go.set()
    await asyncio.gather(*tasks)
    assert running == 10


def test_a_long_call_that_was_given_up_makes_room_for_one(go: threading.Event) -> None:
    pool = threads.ToolThreads(1, long=0.0, most=2)
    begun = threading.Semaphore(0)
    first = threading.Event()

    def hang(until: threading.Event) -> None:
        begun.release()
        until.wait(30)

    given_up = threads.Job(lambda: hang(first))
    pool.submit(given_up)
    assert begun.acquire(timeout=30)
    others = [pool.submit(hang, go) for _ in range(3)]
    pool.relieve()
    assert begun.acquire(timeout=30), "it is a long one by now, beside which another has its turn"
    pool.abandon(given_up)
    first.set()
    given_up.future.result(30)
    pool.relieve()
    assert begun.acquire(timeout=30), "its place was taken"
    pool.relieve()
    assert not begun.acquire(timeout=0.1), "there are more threads than said"
    go.set()
    for other in others:
        other.result(30)


async def test_calls_that_are_given_up_while_they_wait_never_run(
    monkeypatch: pytest.MonkeyPatch, go: threading.Event
) -> None:
    monkeypatch.setattr(threads, "_threads", threads.ToolThreads(1, long=None))
    ran: list[int] = []

    @tool(timeout=None)
    def hold() -> None:
        go.wait(30)

    @tool
    def note(n: int) -> None:
        ran.append(n)

    holding = asyncio.ensure_future(hold.run())
    waiting = [asyncio.ensure_future(note.run({"n": n})) for n in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait({waiting[1]})
    go.set()
    await asyncio.gather(holding, waiting[0], waiting[2])
    assert ran == [0, 2]
