"""Agencies in processes that are killed at any write of their journal, under any schedule, and started again."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from callboard import Agency, Agent, System, ToolContext, tool
from callboard.testing import Fault, Restart, Simulation, StoreFault, simulate
from tests.agents.support import postgres, sqlite

from .support import call, function, results

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""


STORES = [sqlite, postgres]


def model(request: Any) -> Any:
    done = results(request)
    if request.messages[0].text == "a":
        return f"a: {done[-1]}" if done else call("SendMessage", "h", target_agent="B", message="go")
    if not done:
        return [call("charge", "c1", part=1), call("look", "l1")]
    return "paid" if len(done) > 2 else call("charge", "c2", part=2)


class Shop:
    """A hands work to B, which charges twice and looks once."""

    def __init__(self, sim: Simulation, journal: Callable[[Simulation], Any]) -> None:
        self.sim = sim
        self.journal = journal
        self.begun: set[tuple[str, int]] = set()
        self.charged: Counter[tuple[str, int]] = Counter()

        @tool
        async def charge(context: ToolContext[Any], part: int) -> str:
            self.begun.add((context.run, part))
            await asyncio.sleep(1)
            self.charged[context.run, part] += 1
            await asyncio.sleep(1)
            return f"charged {part}"

        @tool(idempotent=True)
        async def look() -> str:
            await asyncio.sleep(1)
            return "seen"

        b = Agent("B", "b", tools=[charge, look])
        self.agents = Agent("A", "a"), b

    def agency(self, system: System) -> Agency:
        a, b = self.agents
        address = self.journal(self.sim)
        agency = Agency(a, b, flows=[(a, b)], model=function(model), journal=address, system=system)
        self.sim.watch(agency)
        return agency


async def told(handle: Any) -> tuple[str, Counter[str]]:
    """What a run has ended in, and how many records of each type there are of it."""
    types = Counter([record.type async for record in handle.events()])
    try:
        return (await handle).text, types
    except Exception as error:
        return type(error).__name__, types


def two_runs(journal: Callable[[Simulation], Any]) -> Any:
    """Two runs of one conversation, asked for again by each start of the process."""

    async def scenario(sim: Simulation) -> None:
        shop = Shop(sim, journal)

        async def main(system: System) -> list[tuple[str, Counter[str]]]:
            async with shop.agency(system) as agency:
                handles = [await agency.start_run("go", conversation="one", run_id=run) for run in ("r1", "r2")]
                return [await told(handle) for handle in handles]

        outcomes = await sim.process("shop", main)
        assert [text for text, _ in outcomes] == ["a: paid", "a: paid"]
        for _, types in outcomes:
            assert types["accepted"] == types["ended"] == types["handoff_returned"] == 1, types
        assert set(shop.charged.values()) <= {1}, f"a tool that is not idempotent ran twice: {shop.charged}"
        if not sim.trace.of("fault"):
            assert len(shop.charged) == 4

    return scenario


@pytest.mark.parametrize("journal", STORES)
def test_a_process_that_is_killed_at_any_write_ends_each_run_once_and_charges_nobody_twice(journal: Any) -> None:
    simulate(two_runs(journal), seeds=SEEDS, faults=[Restart("shop")])


@pytest.mark.parametrize("journal", STORES)
def test_a_process_that_is_killed_several_times_ends_each_run_once_and_charges_nobody_twice(journal: Any) -> None:
    simulate(two_runs(journal), seeds=SEEDS, faults=[Restart("shop", optional=True)] * 3)


def test_a_power_cut_in_the_middle_of_any_write_loses_nothing_that_was_told() -> None:
    simulate(two_runs(sqlite), seeds=SEEDS, faults=[Restart("shop", when="torn")])


@pytest.mark.parametrize("what", ["full", "locked", "unreachable", "lost"])
@pytest.mark.parametrize("journal", STORES)
def test_a_store_that_fails_at_any_write_is_waited_out(journal: Any, what: Any) -> None:
    if journal is sqlite and what == "lost":
        pytest.skip("SQLite always answers")
    simulate(two_runs(journal), seeds=SEEDS, faults=[StoreFault("shop", what=what, seconds=4)])


def cancelled(journal: Callable[[Simulation], Any]) -> Any:
    """A run is cancelled in between; whatever was not begun by then, never is."""

    async def scenario(sim: Simulation) -> None:
        shop = Shop(sim, journal)

        async def main(system: System) -> list[tuple[str, Counter[str]]]:
            async with shop.agency(system) as agency:
                handle = await agency.start_run("go", conversation="one", run_id="r1")
                if not sim.trace.of("cancelled"):
                    await asyncio.sleep(1.5)
                    await handle.cancel()
                    sim.mark("cancelled", begun=sorted(shop.begun), status=await handle.status())
                after = await agency.start_run("go", conversation="one", run_id="r2")
                return [await told(each) for each in (handle, after)]

        (first, types), (second, _) = await sim.process("shop", main)
        assert first in ("RunCancelled", "a: paid")
        assert types["accepted"] == types["ended"] == 1
        assert second == "a: paid"
        assert set(shop.charged.values()) <= {1}, f"a tool that is not idempotent ran twice: {shop.charged}"
        if first == "RunCancelled":
            begun = {*sim.trace.of("cancelled")[0].begun}
            late = {charged for charged in shop.charged if charged[0].startswith("r1.")} - begun
            assert not late, f"what was cancelled was carried out: {late}"

    return scenario


@pytest.mark.parametrize("journal", STORES)
def test_what_was_cancelled_stays_so_whenever_the_process_is_killed(journal: Any) -> None:
    simulate(cancelled(journal), seeds=SEEDS, faults=[Restart("shop")])


def two_workers(sim: Simulation, shop: Shop, name: str) -> Any:
    async def main(system: System) -> tuple[str, Counter[str]]:
        async with shop.agency(system) as agency:
            return await told(await agency.start_run("go", conversation="one", run_id="r1"))

    return sim.process(name, main)


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Restart("one")],
        [Restart("one", seconds=40)],
        [StoreFault("one", what="unreachable", seconds=30)],
        [Restart("one", optional=True), StoreFault("two", what="unreachable", seconds=30, optional=True)],
    ],
    ids=str,
)
@pytest.mark.parametrize("journal", STORES)
def test_two_workers_that_share_a_journal_make_one_run_of_it_whichever_is_killed_or_cut_off(
    journal: Any, faults: list[Fault]
) -> None:
    async def scenario(sim: Simulation) -> None:
        shop = Shop(sim, journal)
        for process in [two_workers(sim, shop, name) for name in ("one", "two")]:
            text, types = await process
            assert text == "a: paid"
            assert types["accepted"] == types["ended"] == 1, types
        assert set(shop.charged.values()) <= {1}, f"a tool that is not idempotent ran twice: {shop.charged}"

    simulate(scenario, seeds=SEEDS, faults=faults)
