"""Locks that are older than a run never block it, wherever the program keeps them, and are its own again afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard.testing import simulate

from . import older_locks
from .older_locks import (
    Base,
    bound,
    chain,
    counted,
    error,
    frozen,
    lock,
    pair,
    private,
    ring,
    slotted,
    space,
    view,
    with_default,
    with_keyword,
)


class Bank(Base):
    """Has its locks from another module's class."""


def holds(guard: Callable[[], Any]) -> Callable[[], None]:
    def call() -> None:
        with guard():
            time.sleep(1)

    return call


CALLS: dict[str, Callable[[], None]] = {
    "imported": holds(lambda: lock),
    "another module's": holds(lambda: older_locks.lock),
    "an inherited attribute": holds(lambda: Bank.inherited),
    "a condition of a class": holds(lambda: Bank.condition),
    "in a dict of a class": holds(lambda: Bank.by_name["x"]),
    "in a tuple": holds(lambda: Bank.among[0]),
    "in a slot": holds(lambda: slotted.lock),
    "in a private slot": private.work,
    "of a frozen dataclass": holds(lambda: frozen.lock),
    "in a named tuple": holds(lambda: pair.lock),
    "in a deque": holds(lambda: ring[0]),
    "in a namespace": holds(lambda: space.lock),
    "in a view of a dict": holds(lambda: view["lock"]),
    "in a chain of dicts": holds(lambda: chain["lock"]),
    "an argument of an exception": holds(lambda: error.args[0]),
    "arguments of a partial": bound,
    "an attribute of a function": counted,
    "a default": with_default,
    "a keyword's default": with_keyword,
    "by a class method": Bank.of_class,
    "a static method's default": Bank.static,
}


@pytest.mark.parametrize("where", CALLS)
def test_a_lock_that_is_older_than_the_run_does_not_block_it(where: str) -> None:
    call = CALLS[where]
    before = kept()
    ended: list[float] = []

    async def scenario() -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(3)))
        ended.append(asyncio.get_running_loop().time() - began)

    simulate(scenario, seeds=10)
    assert set(ended) == {3.0}, "one at a time"
    assert all(one is other for one, other in zip(before, kept(), strict=True))


def kept() -> list[Any]:
    """What the program has of its own."""
    return [
        *(lock, Base.inherited, *Base.among, slotted.lock, with_default.__defaults__, with_keyword.__kwdefaults__),
        *(frozen.lock, pair, ring[0], space.lock, view["lock"], chain["lock"], error.args[0], bound.args[0]),
        *(bound.keywords["other"], vars(counted)["lock"]),
    ]


# -- on the loop's own thread ------------------------------------------------------------------------------------------


def test_an_older_lock_that_another_thread_has_is_not_free_in_a_run() -> None:
    taken, done = threading.Event(), threading.Event()

    def holds() -> None:
        with lock:
            taken.set()
            done.wait()

    async def scenario() -> None:
        assert not lock.acquire(blocking=False)

    other = threading.Thread(target=holds)
    other.start()
    taken.wait()
    try:
        assert simulate(scenario, seeds=3).ok
    finally:
        done.set()
        other.join()


def test_locks_on_the_loop_hold_up_nobody_in_a_process_without_other_threads() -> None:
    file = Path(__file__).with_name("locks_on_the_loop.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=file.parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


class Nothing:
    """A proxy for nothing, as Flask's is outside of a request: it raises at every look."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("not within a request")


proxy = Nothing()


def test_a_proxy_for_nothing_is_in_no_thread_s_way() -> None:
    ended: list[str] = []

    async def scenario() -> None:
        await asyncio.to_thread(ended.append, "done")

    simulate(scenario, seeds=3)
    assert set(ended) == {"done"}
