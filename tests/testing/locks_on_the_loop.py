"""Locks on the loop's own thread: run in a process of their own, since beside other threads older locks are left alone
until a run has a thread of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import System
from callboard.testing import Simulation, SimulationFailed, simulate
from tests.testing.older_locks import Base, lock, with_default


@pytest.mark.parametrize("order", ["contract", "asyncio"])
def test_a_lock_that_is_kept_over_an_await_is_a_deadlock_and_no_hang(order: Any) -> None:
    async def keeps() -> None:
        with lock:
            await asyncio.sleep(1)

    async def scenario() -> None:
        await asyncio.gather(keeps(), keeps())

    with pytest.raises(SimulationFailed, match=r"Deadlock: the loop waits for the Lock \w*lock that nobody releases"):
        simulate(scenario, order=order)
    assert not lock.locked()


def test_a_lock_that_a_scenario_leaves_held_fails_its_run_by_name_and_blocks_no_other() -> None:
    async def scenario() -> None:
        lock.acquire()

    for _ in range(2):
        with pytest.raises(
            SimulationFailed,
            match=r"no leaks: locks still held .*: tests\.testing\.locks_on_the_loop\.lock, by the loop",
        ):
            simulate(scenario)
        assert not lock.locked()


def test_a_lock_that_a_thread_leaves_held_fails_the_run_with_the_name_of_both() -> None:
    async def scenario() -> None:
        await asyncio.to_thread(Base.inherited.acquire)

    says = r"no leaks: locks still held .*: Base\.inherited, by thread \S*acquire"
    with pytest.raises(SimulationFailed, match=says):
        simulate(scenario)


def test_a_lock_that_is_freed_by_another_task_than_took_it_is_not_left_held() -> None:
    async def scenario() -> None:
        lock.acquire()
        await asyncio.create_task(asyncio.to_thread(lock.release))

    simulate(scenario, seeds=5)


def test_a_thread_that_nobody_waits_for_may_hold_a_lock_when_the_run_is_over() -> None:
    async def scenario() -> None:
        working = asyncio.create_task(asyncio.to_thread(with_default))
        await asyncio.sleep(0.5)
        working.cancel()

    simulate(scenario, seeds=5)


def test_a_process_that_is_killed_takes_its_locks_along() -> None:
    async def program(system: System) -> None:
        with lock:
            await asyncio.sleep(100)

    async def scenario(sim: Simulation) -> None:
        worker = sim.process("worker", program)
        await asyncio.sleep(1)
        assert lock.locked()
        worker.kill()

    simulate(scenario, seeds=2)


def test_a_lock_that_is_held_outside_of_the_run_is_free_in_it_and_held_afterwards() -> None:
    async def scenario() -> None:
        with lock:
            await asyncio.sleep(1)

    with lock:
        simulate(scenario, seeds=2)
        assert lock.locked()
