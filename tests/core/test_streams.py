"""Streams: back-pressure, and exactly one end, whoever brings it about."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors import Actor, ActorCrashed, ActorDead, AskTimeout, ChildSpec, NotAStream, System, SystemClosed
from callboard.actors.testing import virtual_time

from .support import Events, on_each_loop, run


class Source(Actor):
    """Streams numbers, and says how far it got and that it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.ended = asyncio.Event()
        self.ends = 0

    def on_receive(self, message: Any) -> Any:
        match message:
            case "me":
                return self
            case "crash":
                raise SystemExit
            case "none":
                return 3
            case int() | tuple():
                return self.numbers(*message) if isinstance(message, tuple) else self.numbers(message)
        return None

    async def numbers(self, count: int, fail: bool = False) -> AsyncIterator[int]:
        try:
            for number in range(count):
                self.made += 1
                yield number
            if fail:
                raise ValueError("middle")
        finally:
            self.ends += 1
            self.ended.set()


async def test_a_stream_of_a_dead_actor_fails_as_an_ask_does() -> None:
    async with System() as system:
        ref = system.spawn(Source)
        await ref.stop()
        with pytest.raises(ActorDead):
            await anext(ref.stream(3))


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 40), buffer=st.integers(1, 8), read=st.integers(0, 40), fail=st.booleans())
@pytest.mark.parametrize("how", ["break", "aclose", "async with", "garbage"])
def test_a_stream_is_read_in_order_runs_at_most_its_buffer_ahead_and_ends_once(
    how: str, count: int, buffer: int, read: int, fail: bool
) -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Source)
            source = await ref.ask("me")
            stream: Any = ref.stream((count, fail), buffer=buffer)
            got: list[int] = []
            failed = False
            try:
                while len(got) < read:
                    got.append(await anext(stream))
                    assert source.made <= len(got) + buffer + 1
            except StopAsyncIteration:
                assert not fail
            except ValueError:
                failed = True
            assert got == list(range(min(count, read)))
            assert failed == (fail and read > count)
            if how == "aclose" or how == "break":
                await stream.aclose()
                await stream.aclose()
                assert [item async for item in stream] == []
            elif how == "async with":
                async with stream:
                    pass
            stream = None
            gc.collect() if how == "garbage" else None
            if source.made:
                await source.ended.wait()
                assert source.ends == 1
            assert await ref.ask("alive") is None

    run(main())


@on_each_loop
async def test_an_error_in_the_middle_is_raised_once_after_the_items_before_it() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream((3, True))
        got = []
        with pytest.raises(ValueError, match="middle"):  # noqa: PT012
            async for item in stream:
                got.append(item)
        assert got == [0, 1, 2]
        assert [item async for item in stream] == []


@pytest.mark.parametrize("how", ["crash", "kill", "stop", "system"])
@on_each_loop
async def test_a_stream_whose_producer_dies_ends_in_an_error_with_the_reason(how: str) -> None:
    system = System()
    async with system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Source, name="source"))
        stream = ref.stream(1000, buffer=2)
        assert await anext(stream) == 0
        rest = asyncio.create_task(_read(stream))
        if how == "crash":
            ref.tell("crash")
        elif how == "kill":
            ref.kill()
        elif how == "stop":
            ref.stop()
        else:
            await system.stop()
        items, error = await rest
        if how == "stop":  # asked for in the mailbox: answers under way are finished
            assert error is None
            assert items == list(range(1, 1000))
        else:
            assert type(error) is (ActorDead if how == "system" else ActorCrashed)
            assert items == list(range(1, 1 + len(items)))
        if how in ("crash", "kill"):
            await events.until("restarted", "source")
            assert [item async for item in ref.stream(2)] == [0, 1]


async def _read(stream: Any) -> tuple[list[int], BaseException | None]:
    items: list[int] = []
    try:
        async for item in stream:
            items.append(item)
    except Exception as error:
        return items, error
    return items, None


@on_each_loop
async def test_a_stream_closed_before_it_was_read_is_empty_and_its_request_is_dropped() -> None:
    async with System() as system:
        stream = system.spawn(Source).stream(5)
        await stream.aclose()
        assert [item async for item in stream] == []


@on_each_loop
async def test_an_answer_that_cannot_be_iterated_is_refused_by_name() -> None:
    async with System() as system:
        ref = system.spawn(Source)
        with pytest.raises(NotAStream, match="int"):
            await anext(ref.stream("none"))
        assert await ref.ask("none") == 3


@virtual_time
async def test_a_stream_that_does_not_begin_in_time_ends_in_a_timeout() -> None:
    class Slow(Actor):
        async def on_receive(self, message: Any) -> Any:
            await asyncio.sleep(100)

    async with System() as system:
        with pytest.raises(AskTimeout):
            await anext(system.spawn(Slow).stream(1, timeout=3))
        assert asyncio.get_running_loop().time() == 3


def test_a_stream_is_read_on_its_systems_loop_only() -> None:
    with System.in_thread() as system:
        stream = system.spawn(Source).stream(3)
        with pytest.raises(SystemClosed):
            asyncio.run(_first(stream))


async def _first(stream: Any) -> Any:
    return await anext(stream)


async def test_a_stream_says_whether_its_next_item_or_its_end_is_at_hand() -> None:
    class Two(Actor):
        async def on_receive(self, message: asyncio.Event) -> Any:
            yield 1
            await message.wait()
            yield 2

    more = asyncio.Event()
    async with System("readiness") as system:
        stream = system.spawn(Two).stream(more)
        assert not stream.ready
        assert await anext(stream) == 1
        assert not stream.ready
        more.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert stream.ready
        assert await anext(stream) == 2
        assert stream.ready
        assert [item async for item in stream] == []
