"""`explore` where a mailbox is more than a line: priorities, and no room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, Mailbox, MailboxFull, Overflow
from callboard.actors.testing import Simulation, explore

from .actors import Collector

Send = Callable[[ActorRef[Any], list[Any]], Coroutine[Any, Any, None]]


def two(first: Send, second: Send, ends: set[Any], mailbox: Mailbox | None = None) -> Callable[[Simulation], Any]:
    """Two tasks send to one collector; what it took, and what each task has to say, comes into ``ends``."""

    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()
        collector = sim.system.spawn(Collector, name="collector", mailbox=mailbox)
        await asyncio.sleep(1)
        said: tuple[list[Any], list[Any]] = [], []
        async with asyncio.TaskGroup() as group:
            group.create_task(first(collector, said[0]), name="first")
            group.create_task(second(collector, said[1]), name="second")
        await asyncio.sleep(1)
        ends.add((tuple(await collector.ask("seen")), *map(tuple, said)))

    return scenario


def tell(message: Any, priority: int = 0) -> Send:
    async def send(ref: ActorRef[Any], said: list[Any]) -> None:
        try:
            ref.tell(message, priority=priority)
        except MailboxFull:
            said.append("full")

    return send


def put(*messages: Any) -> Send:
    async def send(ref: ActorRef[Any], said: list[Any]) -> None:
        for message in messages:
            await ref.put(message)
            await asyncio.sleep(0)

    return send


@pytest.mark.parametrize(("first", "second"), [(5, 0), (0, -5), (5, 1)])
def test_what_goes_first_comes_before_and_after_what_lay_there_was_taken_up(first: int, second: int) -> None:
    ends: set[Any] = set()
    assert explore(two(tell("early", first), tell("urgent", second), ends)).complete
    assert {taken for taken, *_ in ends} == {("early", "urgent"), ("urgent", "early")}


def test_of_three_priorities_each_order_that_can_be_is_seen() -> None:
    ends: set[Any] = set()

    async def both(ref: ActorRef[Any], said: list[Any]) -> None:
        ref.tell("middle", priority=1)
        await asyncio.sleep(0)
        ref.tell("late", priority=2)

    assert explore(two(both, tell("urgent"), ends)).complete
    assert {taken for taken, *_ in ends} == {
        ("middle", "late", "urgent"),
        ("middle", "urgent", "late"),
        ("urgent", "middle", "late"),
    }


@pytest.mark.parametrize(
    ("overflow", "full"),
    [
        ("refuse", (("one",), (), ("full",))),
        ("drop_oldest", (("other",), (), ())),
        ("drop_newest", (("one",), (), ())),
    ],
)
def test_a_message_comes_while_there_is_no_room_and_when_there_is_some(overflow: Overflow, full: Any) -> None:
    ends: set[Any] = set()
    assert explore(two(tell("one"), tell("other"), ends, Mailbox(1, overflow))).complete
    assert ends == {full, (("one", "other"), (), ())}


def test_those_who_wait_for_room_come_in_every_order() -> None:
    ends: set[Any] = set()
    assert explore(two(put("a1", "a2"), put("b1"), ends, Mailbox(1))).complete
    assert {taken for taken, *_ in ends} == {("a1", "a2", "b1"), ("a1", "b1", "a2")}


def test_who_is_refused_is_so_whichever_actor_sends() -> None:
    class Sender(Actor):
        def __init__(self, to: ActorRef[Any]) -> None:
            super().__init__()
            self.to = to
            self.refused = 0

        def on_receive(self, message: Any) -> int:
            if message == "refused":
                return self.refused
            try:
                self.to.tell(message)
            except MailboxFull:
                self.refused += 1
            return self.refused

    refused: set[Any] = set()

    async def scenario(sim: Simulation) -> None:
        collector = sim.system.spawn(Collector, name="collector", mailbox=Mailbox(1))
        senders = [sim.system.spawn(Sender, collector, name=name) for name in ("one", "other")]
        for sender in senders:
            sender.tell(1)
        await asyncio.sleep(1)
        refused.add(tuple([await sender.ask("refused") for sender in senders]))

    assert explore(scenario).complete
    assert refused == {(0, 0), (0, 1), (1, 0)}
