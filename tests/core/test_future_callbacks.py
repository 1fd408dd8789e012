"""Callbacks of a future are called once each, unless they were removed; removing says how many there were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Future, System

from .support import Gate, Hold, on_each_loop, run


class Called:
    """Two functions, and how often each was called."""

    def __init__(self) -> None:
        self.counts = [0, 0]
        self.functions: list[Callable[[Any], None]] = [self.one, self.two]

    def one(self, _: object) -> None:
        self.counts[0] += 1

    def two(self, _: object) -> None:
        self.counts[1] += 1


@on_each_loop
async def test_removing_a_callback_returns_how_many_were_removed() -> None:
    future: Future[int] = Future()
    called = Called()
    assert future.remove_done_callback(called.one) == 0
    future.add_done_callback(called.one)
    assert future.remove_done_callback(called.two) == 0
    assert future.remove_done_callback(called.one) == 1
    assert future.remove_done_callback(called.one) == 0
    for function in (called.one, called.two, called.one, called.one):
        future.add_done_callback(function)
    assert future.remove_done_callback(called.one) == 3
    future.when_done(called.one)
    assert future.remove_done_callback(called.one) == 1
    future.set(1)
    await asyncio.sleep(0)
    assert called.counts == [0, 1]
    assert future.remove_done_callback(called.two) == 0


@on_each_loop
async def test_removing_a_callback_of_an_ask_returns_how_many_were_removed() -> None:
    called = Called()
    async with System() as system:
        hold = Hold()
        ask = system.spawn(Gate).ask(hold)
        await hold.begun.wait()
        for function in (called.one, called.two, called.one):
            ask.add_done_callback(function)
        assert ask.remove_done_callback(called.one) == 2
        assert ask.remove_done_callback(called.one) == 0
        hold.go.set()
        assert await ask == "hold"
        await asyncio.sleep(0)
        assert called.counts == [0, 1]
        assert ask.remove_done_callback(called.two) == 0


@settings(deadline=None, database=None, max_examples=50)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["add", "when done", "remove"]), st.integers(0, 1)), max_size=15),
    end=st.sampled_from(["value", "error", "cancel"]),
)
def test_callbacks_added_and_removed_are_counted_as_asyncios_own_futures_count_them(
    steps: list[tuple[str, int]], end: str
) -> None:
    async def main() -> None:
        future: Future[int] = Future()
        model: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        called, expected = Called(), Called()
        for what, which in steps:
            function, mirror = called.functions[which], expected.functions[which]
            if what == "remove":
                assert future.remove_done_callback(function) == model.remove_done_callback(mirror)
            else:
                (future.add_done_callback if what == "add" else future.when_done)(function)
                model.add_done_callback(mirror)
        if end == "value":
            future.set(1)
            model.set_result(1)
        elif end == "error":
            future.set_exception(ValueError("bad"))
            model.set_exception(ValueError("bad"))
            with pytest.raises(ValueError, match="bad"):
                model.result()
            with pytest.raises(ValueError, match="bad"):
                future.result()
        else:
            future.cancel()
            model.cancel()
        await asyncio.sleep(0)
        assert called.counts == expected.counts

    run(main())
