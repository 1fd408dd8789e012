"""What one actor costs does not depend on how many others there are."""

from __future__ import annotations

from functools import cache

import pytest

from callboard.actors import Actor, System
from tests.core_leaks.counting import Work, counted

FEW, MANY = 100, 100_000
# Bytes of new memory in one operation. A copy of a list of 100,000 refs alone takes 800,000.
PEAK = 50_000
# Instructions. The loop may wake once more or less; one instruction for each of 100,000 others would be far above.
SLACK = 2_000


class Idle(Actor):
    pass


async def lives_of_one_among(others: int) -> dict[str, Work]:
    """The work of each step of one actor's life, beside ``others`` idle ones."""
    work = {}
    async with System("crowd") as system:
        crowd = [system.spawn(Idle) for _ in range(others)]
        unnamed = crowd[others // 2]
        await system.spawn(Idle, name="warm-up").stop()
        with counted() as work["spawn"]:
            ref = system.spawn(Idle, name="one")
            await ref.started()
        with counted() as work["find"]:
            assert system.find("one") is ref
        name = unnamed.name
        with counted() as work["find without a given name"]:
            assert system.find(name) is unnamed
        with counted() as work["ask"]:
            await ref.ask("hello")
        with counted() as work["stop"]:
            assert await ref.stop()
        with counted() as work["find the dead"]:
            assert system.find("one") is None
    return work


@cache
def kept() -> dict[int, dict[str, Work]]:
    return {}


async def lives(others: int) -> dict[str, Work]:
    if others not in kept():
        kept()[others] = await lives_of_one_among(others)
    return kept()[others]


@pytest.mark.parametrize(
    "step",
    [
        "spawn",
        "find",
        "find without a given name",
        "ask",
        "stop",
        "find the dead",
    ],
)
async def test_one_actor_costs_the_same_among_100_and_among_100_000(step: str) -> None:
    few, many = (await lives(FEW))[step], (await lives(MANY))[step]
    assert abs(many.instructions - few.instructions) < SLACK, f"{step}: work grows with the number of actors"
    assert many.peak < PEAK, f"{step}: memory grows with the number of actors"


async def test_stopping_a_system_costs_the_same_per_actor() -> None:
    costs = []
    for count in (500, 5_000):
        system = System("crowd")
        await system.__aenter__()
        for _ in range(count):
            system.spawn(Idle)
        with counted() as work:
            await system.stop()
        costs.append(work.instructions / count)
    assert costs[1] < costs[0] * 1.1, "stopping many actors costs more for each of them"


async def test_spawning_costs_the_same_per_actor() -> None:
    costs = []
    for count in (500, 5_000):
        async with System("crowd") as system:
            with counted() as work:
                for _ in range(count):
                    system.spawn(Idle)
            costs.append(work.instructions / count)
    assert costs[1] < costs[0] * 1.1, "spawning among many actors costs more for each of them"
