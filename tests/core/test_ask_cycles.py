"""Actors that wait for each other are told so, also when a handler had really waited before it asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, AskCycle, System
from callboard.actors.testing import Simulation, simulate

from .support import on_each_loop


class Suspends(Actor):
    """Waits in the way the message says, then asks the next of a ring."""

    following: ActorRef[Any]
    event: asyncio.Event

    async def on_receive(self, message: tuple[list[str], int]) -> Any:
        waits, left = message
        if left == 0:
            return "end"
        await self.wait(waits[0])
        return await self.following.ask((waits[1:] + waits[:1], left - 1))

    async def wait(self, how: str) -> None:
        match how:
            case "sleeps":
                await asyncio.sleep(0)
            case "sleeps longer":
                await asyncio.sleep(0.001)
            case "waits":
                event = asyncio.Event()
                asyncio.get_running_loop().call_soon(event.set)
                await event.wait()
            case "waits with a timeout":
                async with asyncio.timeout(1000):
                    await asyncio.sleep(0)
            case _:
                return


HOW = ["sleeps", "sleeps longer", "waits", "waits with a timeout"]


def ring_of(system: System, size: int) -> list[ActorRef[Any]]:
    ring = [system.spawn(Suspends, name=f"ring{number}") for number in range(size)]
    for number, ref in enumerate(ring):
        ref.proxy().following = ring[(number + 1) % size]
    return ring


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("which", ["first", "all", "last"])
@on_each_loop
async def test_a_circle_of_asks_is_told_of_when_handlers_had_suspended_before_they_asked(
    size: int, how: str, which: str
) -> None:
    async with System() as system:
        ring = ring_of(system, size)
        waits = [
            how if which == "all" or number == (0 if which == "first" else size - 1) else "" for number in range(size)
        ]
        with pytest.raises(AskCycle) as caught:
            await ring[0].ask((waits, 100))
        for ref in ring:
            assert ref.name in str(caught.value)
        for ref in ring:
            assert await ref.ask((waits, 0)) == "end"


@on_each_loop
async def test_a_chain_of_asks_without_a_circle_is_answered_when_handlers_had_suspended() -> None:
    async with System() as system:
        ring = ring_of(system, 4)
        for left in range(4):
            assert await ring[0].ask((["sleeps", "waits"], left)) == "end"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_circle_of_asks_after_a_real_wait_is_told_of_under_any_schedule(size: int) -> None:
    async def scenario(sim: Simulation) -> None:
        ring = ring_of(sim.system, size)
        with pytest.raises(AskCycle):
            await ring[0].ask((["sleeps longer", "sleeps", "waits"], 100))
        assert await ring[0].ask(([""], 0)) == "end"

    simulate(scenario, seeds=30)
