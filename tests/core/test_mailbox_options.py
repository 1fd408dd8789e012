"""The capacity of a mailbox and the time to stop: where they may be set, and what is refused."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, ChildSpec, MailboxFull, SpecError, System
from callboard.actors.testing import virtual_time

from .support import Echo, Gate, Hold, on_each_loop

CAPACITIES: list[Any] = [None, 0, -1, True, False, "100", "", [10], -math.inf, math.nan]
TIMES: list[Any] = [None, -1, -0.5, True, False, "5", [5], math.nan]
WAYS = ["class", "self"]


def kind_with(option: str, value: Any, way: str) -> type[Actor]:
    """An actor class with an option set on the class, or on the actor while it is constructed."""
    if way == "class":
        return type("Odd", (Gate,), {option: value})

    class Odd(Gate):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, option, value)

    return Odd


async def fill(ref: ActorRef[Any], most: int) -> int:
    """How many messages the mailbox takes beside the one at work."""
    hold = Hold()
    ref.tell(hold)
    await hold.begun.wait()
    taken = 0
    try:
        for _ in range(most):
            ref.tell("waits")
            taken += 1
    except MailboxFull:
        pass
    hold.go.set()
    while True:  # the next one who sends finds an empty mailbox
        try:
            await ref.ask("emptied")
            return taken
        except MailboxFull:
            await asyncio.sleep(0)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", CAPACITIES, ids=repr)
@on_each_loop
async def test_a_capacity_that_is_no_number_of_messages_is_refused_when_the_actor_is_spawned(
    value: Any, way: str
) -> None:
    await refused("mailbox_capacity", value, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", TIMES, ids=repr)
@on_each_loop
async def test_a_shutdown_time_that_is_no_time_is_refused_when_the_actor_is_spawned(value: Any, way: str) -> None:
    await refused("shutdown_timeout", value, way)


async def refused(option: str, value: Any, way: str) -> None:
    kind = kind_with(option, value, way)

    class Parent(Actor):
        def on_receive(self, message: Any) -> Any:
            return self.spawn(message)

    async with System() as system:
        parent = system.spawn(Parent)
        naming = f"(?s)Odd.*{re.escape(repr(value))}|{re.escape(repr(value))}.*Odd"
        with pytest.raises(SpecError, match=naming) as caught:
            system.spawn(kind, name="odd")
        assert option in str(caught.value)
        with pytest.raises(SpecError, match=naming):
            system.spawn(ChildSpec(kind, name="odd"))
        with pytest.raises(SpecError, match=naming):
            await parent.ask(kind)
        assert system.find("odd") is None, "nothing of it is left"
        assert [node.kind for node in system.tree()] == ["Parent"]
        assert await system.spawn(Echo, name="odd").ask(1) == 1, "its name is free"


# -- what is taken -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("capacity", [1, 2, 7])
@on_each_loop
async def test_a_capacity_counts_whether_it_is_set_on_the_class_or_on_the_actor(capacity: int, way: str) -> None:
    async with System() as system:
        assert await fill(system.spawn(kind_with("mailbox_capacity", capacity, way)), 20) == capacity
        spec = ChildSpec(kind_with("mailbox_capacity", capacity, way), name="supervised")
        assert await fill(system.supervise(spec), 20) == capacity
        factory = ChildSpec(lambda: kind_with("mailbox_capacity", capacity, way)(), name="made by a function")
        assert await fill(system.supervise(factory), 20) == capacity


@on_each_loop
async def test_a_capacity_that_the_constructor_computes_counts_for_each_actor_by_itself() -> None:
    class Sized(Gate):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.mailbox_capacity = size  # type: ignore[misc,unused-ignore]

    async with System() as system:
        sizes = [1, 5, 3]
        refs = [system.spawn(Sized, size) for size in sizes]
        assert [await fill(ref, 20) for ref in refs] == sizes


@pytest.mark.parametrize("way", WAYS)
@on_each_loop
async def test_an_infinite_capacity_is_no_bound(way: str) -> None:
    async with System() as system:
        ref = system.spawn(kind_with("mailbox_capacity", math.inf, way))
        assert await fill(ref, 100_500) == 100_500
        ref.kill()
        await ref.terminated()


@on_each_loop
async def test_the_default_bound_is_a_hundred_thousand() -> None:
    async with System() as system:
        ref = system.spawn(Gate)
        assert await fill(ref, 100_500) == 100_000
        ref.kill()
        await ref.terminated()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seconds", [0, 0.0, 2.5])
@virtual_time
async def test_a_shutdown_time_counts_whether_it_is_set_on_the_class_or_on_the_actor(seconds: float, way: str) -> None:
    system = System()
    async with system:
        ref, hold = system.spawn(kind_with("shutdown_timeout", seconds, way)), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        await system.stop()
        assert asyncio.get_running_loop().time() == seconds
        assert hold.cancelled.is_set()


@on_each_loop
async def test_a_put_waits_at_the_capacity_that_was_set_on_the_actor() -> None:
    async with System() as system:
        ref, hold = system.spawn(kind_with("mailbox_capacity", 1, "self")), Hold()
        ref.tell(hold)
        await hold.begun.wait()
        ref.tell("waits")
        put = asyncio.create_task(ref.put("waits for room"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not put.done()
        hold.go.set()
        await put


@on_each_loop
async def test_the_capacity_of_a_restarted_actor_is_that_of_the_new_incarnation() -> None:
    sizes = iter([1, 4])

    class Grows(Gate):
        def __init__(self) -> None:
            super().__init__()
            self.mailbox_capacity = next(sizes)  # type: ignore[misc,unused-ignore]

    async with System() as system:
        ref = system.supervise(ChildSpec(Grows, name="grows"))
        assert await fill(ref, 20) == 1
        await ref.ask("sync")
        ref.kill()
        assert await ref.ask("up again") == "up again"
        assert await fill(ref, 20) == 4
