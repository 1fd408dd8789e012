"""Priorities hold in the mailbox that a permanent child takes over from the incarnation that has stopped itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec, System

from .support import Events, Log, on_each_loop


class Works(Actor):
    """Logs what it handles; a `Wait` holds it up until the test lets it go, and may stop it."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    async def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Wait):
            self.log(message)
            return message
        self.log(message.name)
        message.begun.set()
        if message.stops:
            self.stop()
        await message.go.wait()
        return None


class Wait:
    def __init__(self, name: str, stops: bool = False) -> None:
        self.name = name
        self.stops = stops
        self.begun = asyncio.Event()
        self.go = asyncio.Event()


@pytest.mark.parametrize("first", [0, 1])
@on_each_loop
async def test_after_a_permanent_child_has_stopped_itself_what_waits_goes_by_its_priority(first: int) -> None:
    log, stops = Log(), Wait("stops", stops=True)
    async with System() as system:
        ref = system.supervise(ChildSpec(Works, (log,), name="works"))
        ref.tell(stops, priority=first)
        await stops.begun.wait()
        for number in range(3):
            ref.tell(f"low{number}", priority=5)
            ref.tell(f"middle{number}")
            ref.tell(f"high{number}", priority=-5)
        stops.go.set()
        await ref.ask("last", priority=9)
        (node,) = system.tree()
        assert node.restarts == 1
    handled = log.lines[1:]
    waited = [line for line in handled if line != "last"]
    assert sorted(waited) == sorted(f"{kind}{number}" for kind in ("low", "middle", "high") for number in range(3))
    for kind in ("low", "middle", "high"):
        assert [line for line in waited if line.startswith(kind)] == [f"{kind}{number}" for number in range(3)]
    assert handled == [f"{kind}{number}" for kind in ("high", "middle", "low") for number in range(3)] + ["last"]


@pytest.mark.parametrize("waiting", [0, 1, -1])
@on_each_loop
async def test_after_a_permanent_child_has_stopped_itself_what_comes_goes_by_its_priority(waiting: int) -> None:
    log, stops, holds = Log(), Wait("stops", stops=True), Wait("holds")
    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(Works, (log,), name="works"))
        ref.tell(stops)
        await stops.begun.wait()
        ref.tell(holds, priority=waiting)
        ref.tell("waited", priority=1)
        stops.go.set()
        await events.until("started", "works", 2)
        await holds.begun.wait()
        for number in range(4):
            ref.tell(f"low{number}", priority=9)
            ref.tell(f"high{number}", priority=-9)
        holds.go.set()
        await ref.ask("last", priority=99)
    assert log.lines == [
        "stops",
        "holds",
        *(f"high{number}" for number in range(4)),
        "waited",
        *(f"low{number}" for number in range(4)),
        "last",
    ]


@on_each_loop
async def test_after_a_permanent_child_has_stopped_itself_often_priorities_still_hold() -> None:
    log = Log()
    async with System() as system:
        ref = system.supervise(ChildSpec(Works, (log,), name="works"))
        for _ in range(3):
            stops = Wait("stops", stops=True)
            ref.tell(stops, priority=3)
            await stops.begun.wait()
            ref.tell("low", priority=9)
            ref.tell("high", priority=-9)
            ref.tell("middle")
            stops.go.set()
            await ref.ask("last", priority=99)
    assert log.lines == ["stops", "high", "middle", "low", "last"] * 3


@on_each_loop
async def test_messages_without_priorities_keep_their_order_through_a_childs_own_stop() -> None:
    log, stops = Log(), Wait("stops", stops=True)
    async with System() as system:
        ref = system.supervise(ChildSpec(Works, (log,), name="works"))
        ref.tell(stops)
        await stops.begun.wait()
        for number in range(5):
            ref.tell(number)
        stops.go.set()
        await ref.ask("last")
    assert log.lines == ["stops", *range(5), "last"]
