"""A search within another, or beside one in another thread: refused by name, or apart; and nothing stays replaced."""

from __future__ import annotations

import asyncio
import gc
import logging
import queue
import random
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from callboard import Actor
from callboard.testing import Simulation, SimulationFailed, explore, linearizable, run_virtual, simulate

NOW: tuple[Callable[[], Any], ...] = (
    lambda: threading.Lock,
    lambda: threading.RLock,
    lambda: time.sleep,
    lambda: time.monotonic,
    lambda: queue.SimpleQueue,
    lambda: random.seed,
    lambda: random.Random.seed,
    lambda: selectors.DefaultSelector.select,
    gc.isenabled,
    lambda: logging.getLogger("callboard").disabled,
)


def now() -> list[Any]:
    """Return what a search changes for the whole process."""
    return [each() for each in NOW]


AT_FIRST = now()
"""Before any search of this process."""
AT_FIRST[NOW.index(gc.isenabled)] = True  # it is off while tests are collected, and only then


class Echo(Actor):
    async def on_receive(self, message: object) -> object:
        await asyncio.sleep(1)
        return message


async def asks(sim: Simulation) -> None:
    echo = sim.system.spawn(Echo, name="echo")
    await asyncio.gather(*(echo.ask(number) for number in range(5)))


def searches(*_: object) -> Any:
    simulate(asks, seeds=1)


def explores(*_: object) -> Any:
    explore(asks)


@pytest.mark.parametrize("within", [searches, explores])
def test_a_search_within_a_run_is_refused_by_name_and_leaves_nothing_replaced(within: Callable[..., Any]) -> None:
    async def in_a_thread() -> None:
        await asyncio.to_thread(within)

    for scenario, invariants in (
        (asks, [within]),
        (asks, [linearizable(within, actor="echo")]),
        (in_a_thread, []),
    ):
        name = within.__name__.replace("searches", "simulate").replace("explores", "explore")
        with pytest.raises(SimulationFailed, match=rf"{name}\(\) within a run"):
            simulate(scenario, seeds=1, invariants=invariants)
        with pytest.raises(SimulationFailed, match=rf"{name}\(\) within a run"):
            explore(scenario, invariants=invariants)
        assert now() == AT_FIRST
    simulate(asks, seeds=1)


def test_an_invariant_may_run_a_coroutine_in_virtual_time() -> None:
    async def nothing() -> None:
        await asyncio.sleep(3600)

    def in_virtual_time(_: object) -> None:
        run_virtual(nothing())

    simulate(asks, seeds=2, invariants=[in_virtual_time])
    assert now() == AT_FIRST


def test_searches_in_several_threads_at_once_leave_the_process_as_it_was() -> None:
    async def meet(sim: Simulation) -> None:
        await asks(sim)

    state = random.getstate()
    first_is_in, second_is_in, first_is_over = (threading.Event() for _ in range(3))
    found = []

    def once(told: threading.Event, awaited: threading.Event) -> Callable[[object], None]:
        def invariant(_: object) -> None:
            told.set()
            while not awaited.is_set() and all(thread.is_alive() for thread in threads):
                pass  # a lock of a run's would take it for a deadlock

        return invariant

    def first() -> None:
        simulate(meet, seeds=1, invariants=[once(first_is_in, second_is_in)])
        first_is_over.set()

    def second() -> None:
        first_is_in.wait()
        simulate(meet, seeds=1, invariants=[once(second_is_in, first_is_over)])
        found.append(True)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found
    assert now() == AT_FIRST
    assert random.getstate() == state
