"""`explore` sees who looks at the runtime: which actors there are, what waits for them, what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard.actors.testing import Simulation, explore

from .actors import Collector

LOOKS: dict[str, Callable[[Simulation], object]] = {
    "find": lambda sim: sim.system.find("late") is not None,
    "tree": lambda sim: [node.name for node in sim.system.tree()],
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_task_looks_before_and_after_another_has_spawned_an_actor(look: str) -> None:
    seen: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        async def spawn() -> None:
            await asyncio.sleep(0)
            sim.system.spawn(Collector, name="late")

        async def see() -> None:
            await asyncio.sleep(0)
            seen.add(repr(LOOKS[look](sim)))

        async with asyncio.TaskGroup() as group:
            group.create_task(spawn(), name="spawn")
            group.create_task(see(), name="see")

    assert explore(scenario).complete
    assert len(seen) == 2


def test_who_looks_for_an_actor_need_not_wait_for_other_work() -> None:
    async def scenario(sim: Simulation) -> None:
        early = sim.system.spawn(Collector, name="early")
        await asyncio.sleep(1)

        async def tell() -> None:
            await asyncio.sleep(0)
            early.tell(1)

        async def see() -> None:
            await asyncio.sleep(0)
            assert sim.system.find("early") is not None

        async with asyncio.TaskGroup() as group:
            group.create_task(tell(), name="tell")
            group.create_task(see(), name="see")

    assert str(explore(scenario)) == "the only schedule holds"


def test_a_task_looks_into_a_mailbox_before_and_after_a_message_comes() -> None:
    seen: set[bool] = set()

    async def scenario(sim: Simulation) -> None:
        collector = sim.system.spawn(Collector, name="collector")
        await asyncio.sleep(1)

        async def tell() -> None:
            await asyncio.sleep(0)
            collector.tell(1)

        async def see() -> None:
            await asyncio.sleep(0)
            seen.add(collector.actor_inbox.empty())

        async with asyncio.TaskGroup() as group:
            group.create_task(tell(), name="tell")
            group.create_task(see(), name="see")

    assert explore(scenario).complete
    assert seen == {True, False}


def test_a_subscriber_comes_before_and_after_what_it_would_be_told_of() -> None:
    told: set[int] = set()

    async def scenario(sim: Simulation) -> None:
        events: list[Any] = []

        async def spawn() -> None:
            await asyncio.sleep(0)
            sim.system.spawn(Collector, name="late")

        async def subscribe() -> None:
            await asyncio.sleep(0)
            sim.system.subscribe(events.append)

        async with asyncio.TaskGroup() as group:
            group.create_task(spawn(), name="spawn")
            group.create_task(subscribe(), name="subscribe")
        await asyncio.sleep(1)
        told.add(sum(event.kind == "started" for event in events))

    assert explore(scenario).complete
    assert told == {0, 1}


@pytest.mark.parametrize("what", ["a deadline", "a timer"])
def test_a_task_looks_at_what_another_moves_or_calls_off_before_and_after_it_does(what: str) -> None:
    seen: set[Any] = set()

    async def scenario(sim: Simulation) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(5, print)
        async with asyncio.timeout(10) as deadline:

            async def change() -> None:
                await asyncio.sleep(0)
                if what == "a timer":
                    timer.cancel()
                else:
                    deadline.reschedule(loop.time() + 20)

            async def see() -> None:
                await asyncio.sleep(0)
                seen.add(timer.cancelled() if what == "a timer" else deadline.when())

            async with asyncio.TaskGroup() as group:
                group.create_task(change(), name="change")
                group.create_task(see(), name="see")
        timer.cancel()

    assert explore(scenario).complete
    assert len(seen) == 2
