"""A large flow whose failure needs little: 50 clients with 10 messages each, of which some have to be overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from callboard.testing import Simulation

from .actors import Collector
from .gallery import Scenario

CLIENTS, EACH = 50, 10


def scenario_of(overtaken: Sequence[int]) -> Scenario:
    """Return a scenario that fails where all of these clients are overtaken, each by the one two places before it."""

    async def scenario(sim: Simulation) -> None:
        sinks = [sim.system.spawn(Collector, name=f"sink{number}") for number in range(CLIENTS)]

        async def client(number: int) -> None:
            for step in range(EACH):
                await asyncio.sleep(0)
                sinks[(number + step) % CLIENTS].tell((number, step))

        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(client(number), name=f"client{number}")
        await sim.idle()
        for number in overtaken:
            seen = await sinks[number].ask("seen")
            if seen.index((number, 0)) < seen.index((number - 2, 2)):
                return
        raise AssertionError("all were overtaken")

    return scenario
