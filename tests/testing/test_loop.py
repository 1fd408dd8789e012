"""The simulation loop: time, order, the fence, and what it says when nothing can go on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.testing import Deadlock, EscapedSimulation, SimulationLoop, StepBudgetSpent
from callboard.actors.testing.schedules.sampling import POS, Uniform, schedule

seeds = st.integers(0, 10_000)
Main = Callable[[], Coroutine[Any, Any, Any]]


def run(main: Main, seed: int | None = None, **options: Any) -> Any:
    loop = SimulationLoop(None if seed is None else schedule("mix", seed), **options)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.abandon()


def test_a_long_sleep_takes_only_virtual_time() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run(main) == 86_400


@given(seed=seeds)
def test_the_same_seed_gives_the_same_interleaving(seed: int) -> None:
    async def main() -> list[tuple[int, int]]:
        log: list[tuple[int, int]] = []

        async def worker(number: int) -> None:
            for step in range(4):
                await asyncio.sleep(0)
                log.append((number, step))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(worker(number))
        return log

    assert run(main, seed) == run(main, seed)


def test_different_seeds_give_different_interleavings() -> None:
    async def main() -> tuple[int, ...]:
        log: list[int] = []

        async def worker(number: int) -> None:
            await asyncio.sleep(0)
            log.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(worker(number))
        return tuple(log)

    assert len({run(main, seed) for seed in range(60)}) > 10


@given(seed=seeds)
def test_siblings_start_in_the_order_they_were_created(seed: int) -> None:
    async def main() -> list[int]:
        started: list[int] = []

        async def child(number: int) -> None:
            started.append(number)
            await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(child(number))
        return started

    assert run(main, seed) == list(range(6))


@given(seed=seeds)
def test_callbacks_that_belong_to_no_task_run_first_in_first_out(seed: int) -> None:
    async def main() -> list[int]:
        log: list[int] = []

        async def noise() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(noise())
            for number in range(8):
                asyncio.get_running_loop().call_soon(log.append, number)
                await asyncio.sleep(0)
        return log

    assert run(main, seed) == list(range(8))


@given(seed=seeds, delays=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=8))
def test_timers_fire_in_the_order_of_their_times_then_of_their_setting(seed: int, delays: list[float]) -> None:
    async def main() -> list[int]:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        for number, delay in enumerate(delays):
            loop.call_later(delay, fired.append, number)
        await asyncio.sleep(5)
        return fired

    assert run(main, seed) == sorted(range(len(delays)), key=lambda number: delays[number])


@given(seed=seeds)
def test_in_asyncio_order_no_seed_changes_anything(seed: int) -> None:
    async def main() -> list[tuple[int, int]]:
        log: list[tuple[int, int]] = []

        async def worker(number: int) -> None:
            for step in range(3):
                log.append((number, step))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(worker(number))
        return log

    assert run(main, seed, order="asyncio") == asyncio.run(main())


def test_a_task_cancelled_before_its_first_step_never_runs() -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def child() -> None:
            log.append("ran")

        task = asyncio.get_running_loop().create_task(child())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return log

    assert run(main) == []


def test_a_task_group_cancels_its_tasks_in_one_order() -> None:
    async def main() -> list[int]:
        cancelled: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        async def fail() -> None:
            await asyncio.sleep(1)
            raise ValueError

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(30):
                    group.create_task(child(number))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await together()
        return cancelled

    # The group keeps its tasks in a set; small numbers as hashes make that the order of creation.
    assert run(main) == list(range(30))


def test_a_rate_limiter_whose_timers_are_due_at_once_does_not_stop_the_clock() -> None:
    async def main() -> float:
        await asyncio.sleep(0.1)
        limiter = AsyncLimiter(3, 1.0)
        for _ in range(20):
            async with limiter:
                pass
        return asyncio.get_running_loop().time()

    assert 4 < run(main) < 8


def test_a_callback_that_sets_itself_for_now_does_not_stop_the_clock() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_later(0, again)

        again()
        await asyncio.sleep(0.0005)

    run(main, max_steps=1_000_000)


def test_a_function_for_an_executor_runs_inline_as_a_step_of_its_own() -> None:
    async def main() -> tuple[int, list[int]]:
        here = threading.get_ident()
        log: list[int] = []
        with ThreadPoolExecutor(1) as one:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(one, log.append, number) for number in range(5)))
        return await asyncio.to_thread(threading.get_ident) - here, log

    for seed in range(20):
        assert run(main, seed) == (0, [0, 1, 2, 3, 4])


async def _open_connection() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


async def _popen() -> None:
    subprocess.Popen(["true"])  # noqa: ASYNC220


async def _thread() -> None:
    threading.Thread(target=int).start()


async def _socket() -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", 9))


async def _written() -> None:
    Path("written.txt").write_text("to stay")  # noqa: ASYNC240


async def _removed() -> None:
    os.remove("removed.txt")


async def _made_below() -> None:
    os.makedirs("made/below")


async def _written_in_a_thread() -> None:
    await asyncio.to_thread(open, "written.txt", "a")


async def _temporary() -> None:
    with tempfile.TemporaryDirectory():
        pass


FILES = [_written, _removed, _made_below, _written_in_a_thread, _temporary]


@pytest.mark.parametrize("main", [_open_connection, _subprocess, _popen, _thread, _socket, *FILES])
def test_what_is_real_is_refused_by_name(main: Main) -> None:
    with pytest.raises(EscapedSimulation, match="inside a simulation"):
        run(main)


def test_files_are_read_but_not_changed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")

    async def main() -> str:
        with contextlib.suppress(EscapedSimulation):
            (tmp_path / "kept").write_text("changed")
        with contextlib.suppress(EscapedSimulation):
            (tmp_path / "kept").rename(tmp_path / "moved")
        with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230
            nowhere.write("nothing")
        return (tmp_path / "kept").read_text()

    assert run(main) == "kept"
    (tmp_path / "kept").write_text("after the run")


def test_after_the_simulation_threads_start_again() -> None:
    async def main() -> None:
        await asyncio.sleep(1)

    run(main)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def test_a_call_from_another_thread_is_refused() -> None:
    loop = SimulationLoop()
    caught: list[BaseException] = []

    def call() -> None:
        try:
            loop.call_soon_threadsafe(int)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    loop.abandon()
    assert [type(error) for error in caught] == [EscapedSimulation]


def test_waiting_for_what_never_comes_is_a_deadlock() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(main)


def test_going_round_for_ever_spends_the_step_budget() -> None:
    async def main() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(StepBudgetSpent, match="100 steps"):
        run(main, max_steps=100)


def test_idle_waits_for_all_that_can_run_but_not_for_time() -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def worker() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            log.append("worked")
            await asyncio.sleep(1)
            log.append("slept")

        task = asyncio.create_task(worker())
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        await loop.idle()
        seen = list(log)
        await task
        return seen

    assert run(main, 1) == ["worked"]


@pytest.mark.parametrize("make", [Uniform, POS])
def test_each_ready_lane_may_go_first(make: Callable[[random.Random], Any]) -> None:
    async def main() -> str:
        first: list[str] = []

        async def worker(name: str) -> None:
            await asyncio.sleep(0)
            first.append(name)

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(worker(name))
        return first[0]

    def winner(seed: int) -> Any:
        loop = SimulationLoop(make(random.Random(seed)))
        try:
            return loop.run_until_complete(main())
        finally:
            loop.abandon()

    assert {winner(seed) for seed in range(400)} == {"a", "b", "c"}
