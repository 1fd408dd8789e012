"""Several readers of one stream, and the end of a producer that does not want to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorCrashed, ChildSpec, Stream, System
from callboard.actors.testing import Simulation, run_virtual, simulate, virtual_time

from .support import Hold, Log, on_each_loop


class Source(Actor):
    """Streams numbers; says in between that it has ended."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__()
        self.log = log or Log()

    async def on_receive(self, message: Any) -> Any:
        return self.numbers(*message) if isinstance(message, tuple) else message

    async def numbers(self, count: int, pause: float = 0, fail: bool = False) -> AsyncIterator[int]:
        try:
            for number in range(count):
                if pause:
                    await asyncio.sleep(pause)
                yield number
            if fail:
                raise ValueError("at the end")
        finally:
            self.log("ended")


async def read(stream: Stream[Any], work: float, got: list[int]) -> str:
    """Read to the end, with some work after each item; return how it ended."""
    try:
        async for item in stream:
            got.append(item)
            if work:
                await asyncio.sleep(work)
            elif len(got) % 2:
                await asyncio.sleep(0)
    except ValueError:
        return "failed"
    return "ended"


# -- several readers ---------------------------------------------------------------------------------------------------

READERS = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=5)


@settings(deadline=None, database=None, max_examples=80)
@given(count=st.integers(0, 30), buffer=st.integers(1, 8), works=READERS, pause=st.sampled_from([0.0, 1.0]))
def test_readers_of_one_stream_share_its_items_each_to_exactly_one_of_them(
    count: int, buffer: int, works: list[float], pause: float
) -> None:
    async def main() -> None:
        async with System() as system:
            log = Log()
            stream = system.spawn(Source, log).stream((count, pause), buffer=buffer)
            got: list[list[int]] = [[] for _ in works]
            ends = await asyncio.gather(*(read(stream, work, items) for work, items in zip(works, got, strict=True)))
            assert ends == ["ended"] * len(works)
            assert sorted(item for items in got for item in items) == list(range(count)), "each item once"
            assert all(items == sorted(items) for items in got), "to each reader in order"
            assert log.lines == ["ended"]

    run_virtual(main())


@settings(deadline=None, database=None, max_examples=25)
@given(count=st.integers(0, 8), buffer=st.integers(1, 3), readers=st.integers(2, 3))
def test_readers_of_one_stream_share_its_items_under_any_schedule(count: int, buffer: int, readers: int) -> None:
    async def scenario(sim: Simulation) -> None:
        stream = sim.system.spawn(Source, name="source").stream((count,), buffer=buffer)
        got: list[list[int]] = [[] for _ in range(readers)]
        ends = await asyncio.gather(*(read(stream, 0, items) for items in got))
        assert ends == ["ended"] * readers
        assert sorted(item for items in got for item in items) == list(range(count))

    simulate(scenario, seeds=10)


@on_each_loop
async def test_two_readers_of_a_stream_both_end_with_it() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream((5,), buffer=2)
        first: list[int] = []
        second: list[int] = []
        assert list(await asyncio.gather(read(stream, 0, first), read(stream, 0, second))) == ["ended", "ended"]
        assert sorted(first + second) == [0, 1, 2, 3, 4]
        assert [item async for item in stream] == []


@virtual_time
async def test_readers_that_wait_are_served_in_the_order_they_came() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream((3, 1.0))
        order: list[tuple[str, int]] = []

        async def one(name: str) -> None:
            order.append((name, await anext(stream)))

        await asyncio.gather(one("a"), one("b"), one("c"))
        assert order == [("a", 0), ("b", 1), ("c", 2)]


@virtual_time
async def test_readers_that_wait_at_the_end_are_all_told_that_there_is_nothing_more() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream((2, 1.0))
        reads = [asyncio.ensure_future(stream.__anext__()) for _ in range(5)]
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert outcomes[:2] == [0, 1]
        assert all(isinstance(outcome, StopAsyncIteration) for outcome in outcomes[2:])


@virtual_time
async def test_an_error_at_the_end_of_a_stream_ends_every_reader_and_at_least_one_of_them_in_it() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream((4, 1.0, True))
        got: list[list[int]] = [[], [], []]
        ends = await asyncio.gather(*(read(stream, 0, items) for items in got))
        assert "failed" in ends
        assert set(ends) <= {"failed", "ended"}
        assert sorted(item for items in got for item in items) == [0, 1, 2, 3]


@virtual_time
async def test_readers_that_wait_are_told_when_the_stream_is_closed() -> None:
    async with System() as system:
        log = Log()
        stream = system.spawn(Source, log).stream((3, 100.0))
        readers = [asyncio.create_task(read(stream, 0, [])) for _ in range(2)]
        await asyncio.sleep(1)
        await stream.aclose()
        assert [await reader for reader in readers] == ["ended", "ended"]
        assert asyncio.get_running_loop().time() == 1
        await asyncio.sleep(1)
        assert log.lines == ["ended"]


# -- a producer that swallows its cancellation -------------------------------------------------------------------------


class Deaf(Actor):
    """Streams, swallows every cancellation, and notes when its `finally` runs."""

    shutdown_timeout = 3.0

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Hold):
            return self.deaf(message)
        return message

    async def deaf(self, hold: Hold) -> AsyncIterator[int]:
        try:
            yield 1
            hold.begun.set()
            while True:
                try:
                    await asyncio.sleep(1e6)
                except asyncio.CancelledError:
                    self.log("swallowed")
        finally:
            self.log("finally", asyncio.get_running_loop().time())


@pytest.mark.parametrize("how", ["aclose", "cancel the reader", "kill", "stop", "system", "system at once"])
@virtual_time
async def test_the_finally_of_a_producer_that_had_to_be_closed_runs(how: str) -> None:
    log = Log()
    system = System()
    async with system:
        ref, hold = system.supervise(ChildSpec(Deaf, (log,), name="deaf", shutdown=3.0)), Hold()
        stream = ref.stream(hold, buffer=1)
        assert await anext(stream) == 1
        reading = asyncio.create_task(read(stream, 0, []))
        await hold.begun.wait()
        await asyncio.sleep(0)  # the reader has begun, too
        match how:
            case "aclose":
                await stream.aclose()
                await asyncio.sleep(5)
            case "cancel the reader":
                reading.cancel()
                await asyncio.sleep(5)
            case "kill":
                ref.kill()
                await asyncio.sleep(5)
            case "stop":
                stopping = ref.stop()  # waits for the stream to end
                await stream.aclose()
                await stopping
            case "system":
                await system.stop()
            case _:
                await system.stop(timeout=0)
        assert len(log.of("finally")) == 1
        assert log.of("finally")[0] <= 5
        await asyncio.gather(reading, return_exceptions=True)


@virtual_time
async def test_a_producer_closed_by_force_ends_its_reader_in_an_error_or_at_the_end() -> None:
    log = Log()
    async with System() as system:
        ref, hold = system.spawn(Deaf, log), Hold()
        stream = ref.stream(hold, buffer=1)
        assert await anext(stream) == 1
        waiting = asyncio.create_task(read(stream, 0, []))
        await hold.begun.wait()
        ref.kill()
        with pytest.raises(ActorCrashed):
            await waiting
        await ref.terminated()
        assert len(log.of("finally")) == 1
