"""Agencies in several processes on one journal: their models are asked no more than the limit allows, whatever happens
to the processes and to the journal, and every run ends."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors import System
from callboard.actors.agents.errors import OutcomeUnknown
from callboard.actors.testing import Fault, Restart, Simulation, StoreFault, simulate
from callboard.providers.pool import Pool, Quota

from .scripted import Script, endpoint
from .test_shared_limits import most_in

SCHEDULES = int(os.environ.get("CALLBOARD_SCHEDULES", "60")) // 20
LIMIT = 12


def clerk(script: Script, journal: str, system: System) -> Agency:
    one = endpoint(script, limits=Quota(requests_per_minute=LIMIT), models=("m",))
    model = Pool.spec([one], queue_timeout=3_600.0, seed=1)
    return Agency(Agent("Clerk", model="m"), model=model, journal=journal, system=system)


async def asked(agency: Agency, conversation: str, number: int = 0) -> str:
    """What the answer is, however often the journal could not be written."""
    while True:
        try:
            return (await agency.run("hello", conversation=conversation, run_id=f"{conversation}-{number}")).text
        except OutcomeUnknown:
            await asyncio.sleep(1.0)


def working(script: Script, journal: str, runs: int) -> Any:
    """A process whose agency has several conversations at once, each of so many runs."""

    async def main(system: System) -> None:
        async with clerk(script, journal, system) as agency:

            async def conversation(name: str) -> None:
                for number in range(runs):
                    assert await asked(agency, f"{system.name}-{name}", number) == "a: hello"

            await asyncio.gather(*(conversation(name) for name in "xyz"))

    return main


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_whatever_happens_every_run_ends_and_no_more_is_sent(store: str) -> None:
    faults: list[Fault] = [
        Restart("a", optional=True),
        StoreFault("b", optional=True, seconds=50.0),
        Restart("c", when="after", optional=True),
    ]

    async def scenario(sim: Simulation) -> None:
        script = Script(latency=0.5)
        journal = str(sim.folder / "j.db") if store == "sqlite" else "postgresql://simulated/agencies"
        processes = [sim.process(name, working(script, journal, 3)) for name in "abc"]
        for process in processes:
            await process
        assert most_in(script.times, 60.0) <= LIMIT
        assert len(script.times) >= 27

    assert simulate(scenario, seeds=SCHEDULES, faults=faults, max_steps=60_000).ok


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_an_agency_that_ends_in_a_system_that_goes_on_gives_its_shares_back(
    store: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script()
        journal = str(sim.folder / "j.db") if store == "sqlite" else "postgresql://simulated/agencies"
        over = asyncio.Event()

        async def first(system: System) -> None:
            async with clerk(script, journal, system) as agency:
                await asked(agency, "first")
            over.set()
            await asyncio.sleep(30.0)

        async def second(system: System) -> None:
            await over.wait()
            async with clerk(script, journal, system) as agency:
                await asyncio.gather(*(asked(agency, f"second-{number}") for number in range(LIMIT - 1)))

        for process in [sim.process("first", first), sim.process("second", second)]:
            await process
        assert script.times[-1] - script.times[0] < 20.0

    assert simulate(scenario, seeds=2).ok
    assert "limits" not in caplog.text


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_process_that_is_killed_and_started_again_answers_at_once(store: str) -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script()
        journal = str(sim.folder / "j.db") if store == "sqlite" else "postgresql://simulated/agencies"
        asked_once = asyncio.Event()

        async def main(system: System) -> float:
            one = endpoint(script, limits=Quota(requests_per_minute=LIMIT), models=("m",))
            agent = Agent("Clerk", model="m")
            async with Agency(agent, model=Pool.spec([one]), journal=journal, system=system) as agency:
                begun = asyncio.get_running_loop().time()
                await agency.run("hello", conversation="c")
                took = asyncio.get_running_loop().time() - begun
                if not asked_once.is_set():
                    asked_once.set()
                    await asyncio.sleep(1_000.0)
                return took

        process = sim.process("a", main)
        await asked_once.wait()
        process.restart(1.0)
        assert await process < 15.0, "at most until its conversation's lease is over"
        assert process.starts == 2

    assert simulate(scenario, seeds=3).ok


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_no_request_is_given_up_while_a_killed_process_s_requests_still_count(store: str) -> None:
    async def scenario(sim: Simulation) -> None:
        script = Script(latency=10.0)
        journal = str(sim.folder / "j.db") if store == "sqlite" else "postgresql://simulated/agencies"

        async def main(system: System) -> int:
            one = endpoint(script, limits=Quota(requests_per_minute=LIMIT, concurrency=LIMIT - 2), models=("m",))
            agent = Agent("Clerk", model="m")
            async with Agency(agent, model=Pool.spec([one]), journal=journal, system=system) as agency:
                names = [f"c-{number}" for number in range(LIMIT)]
                runs = [agency.run("hello", conversation=name, run_id=f"r-{name}") for name in names]
                return len(await asyncio.gather(*runs))

        process = sim.process("a", main)
        await asyncio.sleep(5.0)
        assert len(script.times) == LIMIT - 2
        process.restart(1.0)
        assert await process == LIMIT
        assert most_in(script.times, 60.0) <= LIMIT
        assert len(script.times) >= LIMIT

    assert simulate(scenario, seeds=3, max_steps=60_000).ok
