"""A handler that is an async generator: streamed it is read, told it runs to its end, asked it is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import actors
from callboard.actors import Actor, ChildSpec, CoreError, System
from callboard.actors.testing import virtual_time

from .support import Events, Log


class Written(Actor):
    """Its handler is the generator."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        self.log("begin", message)
        try:
            for number in range(3):
                await asyncio.sleep(1)
                yield number
            if message == "fail":
                raise ValueError("failed")
            self.log("end", message)
        finally:
            self.log("finally", message)


class Returned(Written):
    """Its handler returns the generator."""

    def on_receive(self, message: Any) -> Any:
        return super().on_receive(message)


class ReturnedLater(Written):
    """Its handler returns the generator after it has waited."""

    async def on_receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return super().on_receive(message)


class Method(Written):
    """The generator is called through a proxy."""

    def on_receive(self, message: Any) -> Any:
        return message

    def items(self, message: Any) -> Any:
        return super().on_receive(message)


KINDS = [Written, Returned, ReturnedLater]


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_a_told_generator_runs_to_its_end_and_its_items_are_dropped(kind: type[Written]) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(kind, log)
        ref.tell("one")
        await asyncio.sleep(10)
        assert log.lines == [("begin", "one"), ("end", "one"), ("finally", "one")]
        assert system.dead_letters.count == 0
        assert ref.is_alive()


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_a_told_generator_runs_beside_the_mailbox(kind: type[Written]) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(kind, log)
        for message in ("one", "two", "three"):
            ref.tell(message)
        await asyncio.sleep(3.5)
        assert log.of("begin") == ["one", "two", "three"]
        assert log.of("end") == ["one", "two", "three"], "they took their three seconds side by side"


@virtual_time
async def test_a_deferred_call_of_a_generator_runs_to_its_end_too() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Method, log)
        ref.proxy().items.defer("one")
        await asyncio.sleep(10)
        assert log.of("end") == ["one"]
        assert await ref.ask("alive") == "alive"


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_a_told_generator_that_fails_crashes_its_actor(kind: type[Written]) -> None:
    log = Log()
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(kind, (log,), name="source"))
        ref.tell("fail")
        await events.until("restarted", "source")
        assert events.count("crashed", "source") == 1
        assert ["failed" in event.detail for event in events.all if event.kind == "crashed"] == [True]
        assert log.of("finally") == ["fail"]


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_a_told_generator_dies_with_the_incarnation_that_began_it(kind: type[Written]) -> None:
    log = Log()
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(kind, (log,), name="source"))
        ref.tell("one")
        await asyncio.sleep(1.5)
        ref.kill()
        await events.until("restarted", "source")
        await asyncio.sleep(10)
        assert log.lines == [("begin", "one"), ("finally", "one")]


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_an_ask_is_told_that_the_handler_is_a_stream_and_the_generator_is_not_iterated(
    kind: type[Written],
) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(kind, log, name="source")
        with pytest.raises(actors.StreamExpected, match="source") as caught:  # type: ignore[attr-defined,unused-ignore]
            await ref.ask("one", timeout=100)
        assert isinstance(caught.value, CoreError)
        assert isinstance(caught.value, TypeError)
        await asyncio.sleep(10)
        assert log.lines == []
        assert ref.is_alive()
        assert [item async for item in ref.stream("two")] == [0, 1, 2]


@virtual_time
async def test_a_call_of_a_generator_through_a_proxy_is_told_the_same() -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(Method, log)
        with pytest.raises(actors.StreamExpected):  # type: ignore[attr-defined,unused-ignore]
            await ref.proxy().items("one")
        assert log.lines == []
        assert await ref.ask("alive") == "alive"


@pytest.mark.parametrize("kind", KINDS)
@virtual_time
async def test_a_streamed_generator_is_read_as_ever(kind: type[Written]) -> None:
    log = Log()
    async with System() as system:
        ref = system.spawn(kind, log)
        assert [item async for item in ref.stream("one")] == [0, 1, 2]
        with pytest.raises(ValueError, match="failed"):
            assert [item async for item in ref.stream("fail")] == []
        assert ref.is_alive()
        assert log.of("finally") == ["one", "fail"]


def test_the_refusal_is_among_the_public_names() -> None:
    assert "StreamExpected" in actors.__all__
