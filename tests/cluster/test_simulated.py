"""Nodes that are killed, cut off and paused, under any schedule: each run ends once, and nothing is done twice."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from callboard import Agent, OutcomeUnknown, System, ToolContext, tool
from callboard.actors.cluster.agency import ClusterAgency
from callboard.actors.cluster.cluster import Cluster
from callboard.actors.cluster.network import Network
from callboard.testing import Fault, Restart, Simulation, StoreFault, simulate
from tests.durable.support import call, function, results

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
JOURNAL = "postgresql://cluster/shared"
NODES = ("one", "two", "three")


def model(request: Any) -> Any:
    done = results(request)
    if not done:
        return [call("charge", "c1", part=1), call("look", "l1")]
    return "paid" if len(done) > 2 else call("charge", "c2", part=2)


class Shop:
    """A cluster that charges."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.network = Network((0.0, 0.02), Random(1), timeout=1.0)
        self.charged: Counter[tuple[str, int]] = Counter()
        self.charged_on: Counter[str] = Counter()

    def agency(self, system: System) -> ClusterAgency:
        name = system.name

        @tool
        async def charge(context: ToolContext[Any], part: int) -> str:
            await asyncio.sleep(0.5)
            self.charged[context.run, part] += 1
            self.charged_on[name] += 1
            await asyncio.sleep(0.5)
            return f"charged {part}"

        @tool(idempotent=True)
        async def look() -> str:
            await asyncio.sleep(0.5)
            return "seen"

        cluster = Cluster(None, transport=self.network.transport(), journal=JOURNAL, node=name)
        agency = cluster.agency(Agent("Clerk", "c", tools=[charge, look]), model=function(model), system=system)
        self.sim.watch(agency)
        return agency


async def told(agency: ClusterAgency, conversation: str, run_id: str) -> str:
    """What a run has answered, asked for again where that could not be learnt."""
    while True:
        try:
            return (await agency.run("go", conversation=conversation, run_id=run_id)).text
        except OutcomeUnknown:
            continue


def asked_by_all(harm: Any = None) -> Any:
    """Each node asks for two runs, with keys, of conversations that live anywhere, until it has their answers."""

    async def scenario(sim: Simulation) -> None:
        shop = Shop(sim)
        answered = asyncio.Event()
        left = set(NODES)

        async def main(system: System) -> list[str]:
            name = system.name
            async with shop.agency(system) as agency:
                texts = await asyncio.gather(*[told(agency, f"{name}{n}", f"{name}-{n}") for n in range(2)])
                left.discard(name)
                if not left:
                    answered.set()
                await answered.wait()  # a node that is done works for the others
                return texts

        processes = [sim.process(name, main) for name in NODES]
        if harm is not None:
            await harm(shop)
        for process in processes:
            assert await process == ["paid", "paid"]
        assert set(shop.charged.values()) <= {1}, f"a tool that is not idempotent ran twice: {shop.charged}"
        if not sim.trace.of("fault"):
            assert len(shop.charged) == 12

    return scenario


def test_runs_are_made_by_all_nodes() -> None:
    simulate(asked_by_all(), seeds=SEEDS)


@pytest.mark.parametrize("times", [1, 2])
def test_a_node_that_is_killed_at_any_write_loses_no_run_and_does_nothing_twice(times: int) -> None:
    faults: list[Fault] = [Restart(name, optional=True) for name in NODES[:times]]
    simulate(asked_by_all(), seeds=SEEDS, faults=faults)


async def cut(shop: Shop) -> None:
    await asyncio.sleep(0.7)
    nodes = list(shop.network._nodes)
    shop.network.cut(nodes[:1], nodes[1:])
    await asyncio.sleep(8.0)
    shop.network.heal()


def test_a_network_that_is_cut_and_healed_loses_no_run_and_does_nothing_twice() -> None:
    simulate(asked_by_all(cut), seeds=SEEDS)


async def lossy(shop: Shop) -> None:
    shop.network.lost_frames = shop.network.lost_acknowledgements = 0.2


def test_frames_and_acknowledgements_that_get_lost_lose_no_run_and_do_nothing_twice() -> None:
    simulate(asked_by_all(lossy), seeds=SEEDS)


def test_a_store_that_is_away_for_a_while_loses_no_run() -> None:
    simulate(asked_by_all(), seeds=SEEDS, faults=[StoreFault("one", what="unreachable", seconds=10.0, optional=True)])


async def cut_one_way(shop: Shop) -> None:
    await asyncio.sleep(0.7)
    for node in list(shop.network._nodes):
        shop.network.cut([node], list(shop.network._nodes), back=False)
        await asyncio.sleep(2.0)
        shop.network.heal()


async def paused(shop: Shop) -> None:
    await asyncio.sleep(0.7)
    for node in list(shop.network._nodes)[:2]:
        shop.network.pause(node)
        await asyncio.sleep(4.0)
        shop.network.proceed(node)


@pytest.mark.parametrize("harm", [cut_one_way, paused], ids=lambda harm: harm.__name__)
def test_nodes_that_hear_but_are_not_heard_and_such_as_stand_still_lose_no_run_and_do_nothing_twice(harm: Any) -> None:
    simulate(asked_by_all(harm), seeds=SEEDS)


def test_a_node_that_is_killed_while_the_network_is_cut_loses_no_run_and_does_nothing_twice() -> None:
    simulate(asked_by_all(cut), seeds=SEEDS, faults=[Restart("two", optional=True)])
