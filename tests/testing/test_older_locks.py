"""Locks that are older than a run never block it, wherever the program keeps them, and are its own again afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from callboard.testing import simulate

from . import older_locks
from .older_locks import Base, lock, slotted, with_default, with_keyword


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
    "a default": with_default,
    "a keyword's default": with_keyword,
    "by a class method": Bank.of_class,
    "a static method's default": Bank.static,
}


@pytest.mark.parametrize("where", CALLS)
def test_a_lock_that_is_older_than_the_run_does_not_block_it(where: str) -> None:
    call = CALLS[where]
    before = [lock, Base.inherited, *Base.among, slotted.lock, with_default.__defaults__, with_keyword.__kwdefaults__]
    ended: list[float] = []

    async def scenario() -> None:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(3)))
        ended.append(asyncio.get_running_loop().time() - began)

    simulate(scenario, seeds=10)
    assert set(ended) == {3.0}, "one at a time"
    after = [lock, Base.inherited, *Base.among, slotted.lock, with_default.__defaults__, with_keyword.__kwdefaults__]
    assert all(one is other for one, other in zip(before, after, strict=True))


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
    assert ended == ["done"] * 3
