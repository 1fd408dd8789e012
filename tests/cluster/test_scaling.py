"""How many nodes the work wants."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import DefinitionError
from callboard.actors.agents.runs.runtime.register import Entry
from callboard.actors.cluster.members import NodeInfo
from callboard.actors.cluster.scaling import scaling

from .stage import stage


def node(load: int, waits: float = 0.0, *, draining: bool = False) -> NodeInfo:
    return NodeInfo("n", "n", ("Clerk",), load, draining, "", 0.0, waits)


@pytest.mark.parametrize(
    ("nodes", "wanted", "why"),
    [
        ([node(500), node(480)], 2, "fits"),
        ([node(900), node(700)], 4, "1600 runs are under way"),
        ([node(1), node(0)], 1, "1 run is under way"),
        ([node(10), node(5), node(0)], 1, "room to spare"),
        ([node(390), node(400), node(0)], 2, "room to spare"),
        ([node(410), node(400)], 2, "fits"),
        ([node(10), node(10, 3.0)], 3, "waited for 3 s"),
        ([node(10), node(10, 60.0)], 4, "waited for 60 s"),
        ([node(10), node(10, 2.0)], 1, "room to spare"),
        ([node(1000, draining=True), node(0)], 2, "1000 runs"),
        ([node(0, draining=True)], 1, "no node"),
        ([], 1, "no node"),
    ],
)
def test_load_and_what_waits_say_how_many_nodes_there_are_to_be(nodes: list[NodeInfo], wanted: int, why: str) -> None:
    found = scaling(nodes, runs=500, max_wait=2.0)
    assert found.wanted == wanted
    assert why in found.why


loads = st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 100)), min_size=1, max_size=8)


@given(loads)
def test_what_is_wanted_holds_the_work_and_no_node_that_goes_is_wanted_back(given: list[tuple[int, float]]) -> None:
    found = scaling([node(*one) for one in given], runs=500, max_wait=2.0)
    total = sum(load for load, _ in given)
    assert found.wanted * 500 >= total
    assert found.wanted <= max(2 * len(given), math.ceil(total / 500))
    if found.wanted < len(given):
        again = scaling([node(math.ceil(total / found.wanted)) for _ in range(found.wanted)], runs=500, max_wait=2.0)
        assert again.wanted == found.wanted


async def test_an_agency_says_what_all_its_nodes_have_and_what_waits() -> None:
    async with stage("one", "two") as made:
        two = made.nodes["two"]
        handle = await two.start_run("hold", conversation=made.conversation_on("two"))
        behind = await two.start_run("where", conversation=handle.conversation)
        await made.holding.wait()
        for agency in made.nodes.values():
            assert agency._members is not None
            agency._members.say()
        for agency in made.nodes.values():
            assert agency._members is not None
            await agency._members.look()
        found = made.nodes["one"].scaling(runs=1)
        assert (found.nodes, found.wanted, found.runs, found.waits) == (2, 2, 2, 0.0)  # the second waits for the first
        assert (await made.nodes["one"].health()).scaling.wanted == 1
        made.held.set()
        await asyncio.gather(handle, behind)
        wrong: Any
        for wrong in (0, True, "x"):
            with pytest.raises(DefinitionError, match="runs is a number"):
                two.scaling(runs=wrong)
        for wrong in (0.0, float("nan"), "x"):
            with pytest.raises(DefinitionError, match="max_wait"):
                two.scaling(max_wait=wrong)


async def test_a_run_has_waited_no_longer_for_a_clock_that_differs() -> None:
    async with stage("one", "two") as made:
        one, two = made.nodes.values()
        takes = one._runtime.register.elsewhere

        def asked_at_by_a_slow_clock(entry: Entry) -> bool:
            entry.run = entry.run._replace(asked_at=entry.run.asked_at - 3 * 3600.0)
            return takes(entry)

        one._runtime.register.elsewhere = asked_at_by_a_slow_clock
        asked = asyncio.ensure_future(one.run("hold", conversation=made.conversation_on("two"), run_id="r"))
        await made.holding.wait()
        there = two._runtime.register.get("r")
        assert there is not None
        assert two._runtime.time() - there.since < 600.0
        made.held.set()
        await asked
