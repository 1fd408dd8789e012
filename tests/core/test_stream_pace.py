"""A stream's producer is as far ahead of its readers as the buffer is long, and not one item more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from callboard.actors import Actor, Stream, System
from callboard.actors.testing import virtual_time

COUNT = 40


class Generates(Actor):
    """Its handler is an async generator, which counts what it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    async def on_receive(self, message: Any) -> Any:
        for number in range(COUNT):
            self.made += 1
            yield number

    def how_many(self) -> int:
        return self.made


class Returns(Generates):
    """Its handler returns a generator."""

    def on_receive(self, message: Any) -> Any:
        return self.numbers()

    async def numbers(self) -> AsyncIterator[int]:
        for number in range(COUNT):
            self.made += 1
            yield number


class Waits(Returns):
    """The generator waits before each item."""

    async def numbers(self) -> AsyncIterator[int]:
        for number in range(COUNT):
            await asyncio.sleep(0.001)
            self.made += 1
            yield number


class Iterates(Returns):
    """The handler returns an iterator that is no generator."""

    def on_receive(self, message: Any) -> Any:
        return self

    def __aiter__(self) -> Iterates:
        return self

    async def __anext__(self) -> int:
        if self.made == COUNT:
            raise StopAsyncIteration
        self.made += 1
        return self.made - 1


KINDS = [Generates, Returns, Waits, Iterates]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_buffer = pytest.mark.parametrize("buffer", [1, 3, 16])


async def settled() -> None:
    """Wait until nothing more happens by itself."""
    await asyncio.sleep(10)


@each_kind
@each_buffer
@virtual_time
async def test_the_producer_of_a_stream_is_exactly_its_buffer_ahead_of_a_reader_that_takes_its_time(
    buffer: int, kind: type[Generates]
) -> None:
    async with System() as system:
        ref = system.spawn(kind)
        stream: Stream[int] = ref.stream("go", buffer=buffer)
        for read in range(COUNT + 1):
            await settled()
            assert await ref.proxy().how_many() == min(COUNT, read + buffer), f"after {read} items"
            if read < COUNT:
                assert await anext(stream) == read
        assert [item async for item in stream] == []


@each_kind
@each_buffer
@virtual_time
async def test_the_producer_of_a_stream_is_its_buffer_ahead_after_a_reader_that_waited_for_it(
    buffer: int, kind: type[Generates]
) -> None:
    async with System() as system:
        ref = system.spawn(kind)
        stream: Stream[int] = ref.stream("go", buffer=buffer)
        read = 0
        while read < COUNT:
            for _ in range(buffer + 2):  # more than were made in advance: the last ones are waited for
                if read < COUNT:
                    assert await anext(stream) == read
                    read += 1
            await settled()
            assert await ref.proxy().how_many() == min(COUNT, read + buffer), f"after {read} items"


@each_kind
@each_buffer
@virtual_time
async def test_the_producer_of_a_stream_is_its_buffer_ahead_of_all_its_readers_together(
    buffer: int, kind: type[Generates]
) -> None:
    async with System() as system:
        ref = system.spawn(kind)
        stream: Stream[int] = ref.stream("go", buffer=buffer)
        waiting = [asyncio.create_task(anext(stream)) for _ in range(3)]
        await settled()
        assert sorted(task.result() for task in waiting) == [0, 1, 2]
        assert await ref.proxy().how_many() == 3 + buffer
        waiting = [asyncio.create_task(anext(stream)) for _ in range(3)]
        await settled()
        assert sorted(task.result() for task in waiting) == [3, 4, 5]
        assert await ref.proxy().how_many() == 6 + buffer
        await stream.aclose()


@each_kind
@virtual_time
async def test_a_stream_that_is_left_early_makes_nothing_more(kind: type[Generates]) -> None:
    async with System() as system:
        ref = system.spawn(kind)
        async with ref.stream("go", buffer=3) as stream:
            assert await anext(stream) == 0
            await settled()
        await settled()
        assert await ref.proxy().how_many() == 4
