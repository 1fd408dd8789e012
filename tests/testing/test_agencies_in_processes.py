"""Agencies on a journal of their own, in processes that are killed as they write and whose store fails: whatever the
faults, the answer comes, and the rules of runs hold over all starts."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, ApprovalRequested, RunEvent
from callboard.actors import System
from callboard.actors.testing import Fault, Restart, Simulation, StoreFault, simulate
from callboard.actors.testing.doubles.models import call
from callboard.actors.testing.doubles.strategies import fault_plans
from callboard.providers.messages import Request
from callboard.tools import tool
from tests.agents.support import function

EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "5"))
drawn = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
WHOM = ["agency/Planner", "agency/Planner/c", "agency/Developer", "model", "agency"]


def results(request: Request) -> list[str]:
    return [message.text for message in request.messages if message.role == "tool"]


def planner(request: Request) -> Any:
    """A planner asks a developer, who looks something up, pays for it, which a person approves, and builds it."""
    seen = results(request)
    if "You plan" in request.messages[0].text:
        asked = sum(message.role == "user" for message in request.messages)
        if len(seen) < asked:
            return call("SendMessage", f"h{asked}", target_agent="Developer", message=f"build {asked}")
        return f"all: {seen[-1]}"
    match len(seen):
        case 0:
            return [call("look", "l1", what="price"), call("pay", "p1", amount=3)]
        case 2:
            return call("build", "b1")
    return "; ".join(seen)


def shop(effects: Counter[str], journal: str, system: System) -> Agency:
    @tool(risk="safe", idempotent=True)
    async def look(what: str) -> str:
        """Look something up."""
        await asyncio.sleep(0.1)
        return f"{what}: 3"

    @tool(risk="risky")
    async def pay(amount: int) -> str:
        """Pay."""
        effects["pay"] += 1
        await asyncio.sleep(0.5)
        return "paid"

    @tool(risk="safe")
    async def build() -> str:
        """Build."""
        effects["build"] += 1
        return "built"

    developer = Agent("Developer", "You build", tools=[look, pay, build], autonomy="supervised")
    plans = Agent("Planner", "You plan", handoffs=[developer])
    return Agency(plans, developer, model=function(planner), system=system, journal=journal)


def served(count: int = 1, journal: str = "") -> Any:
    """A process that asks the agency, each time anew with the run's key, until it has all answers."""

    async def scenario(sim: Simulation) -> None:
        effects: Counter[str] = Counter()
        texts: dict[int, str] = {}

        async def main(system: System) -> None:
            agency = shop(effects, journal or str(sim.folder / "conversations.db"), system)
            sim.watch(agency)

            def person(event: RunEvent) -> None:
                if isinstance(event, ApprovalRequested):
                    asyncio.get_running_loop().call_later(0.3, decide, event.approval)

            def decide(approval: str) -> None:
                if any(waiting.approval == approval for waiting in agency.approvals):
                    agency.approve(approval)

            agency.subscribe(person)
            async with agency:
                for number in range(count):
                    answer = await agency.run(f"turn {number}", conversation="c", run_id=f"r{number}")
                    texts[number] = answer.text

        await sim.process("service", main)
        assert set(texts) == set(range(count))
        for number, text in texts.items():
            assert text.startswith("all: "), f"{number}: {text}"
        assert effects["pay"] <= count, f"paid {effects['pay']} times"
        assert effects["build"] <= count, f"built {effects['build']} times"

    return scenario


@pytest.mark.parametrize("journal", ["", "postgresql://simulated/shop"], ids=["sqlite", "postgres"])
def test_an_agency_that_is_killed_at_any_write_answers_and_does_nothing_twice(journal: str) -> None:
    simulate(served(1, journal), seeds=SEEDS, faults=[Restart("service")], max_steps=100_000)


writes = st.integers(1, 20)
phases = st.sampled_from(["before", "after", "torn"])
restarts = st.builds(Restart, st.just("service"), writes, phases, optional=st.just(True))
store_faults = st.builds(
    StoreFault,
    st.just("service"),
    writes,
    st.sampled_from(["full", "locked"]),
    st.sampled_from([0.5, 5.0]),
    optional=st.just(True),
)


@drawn
@given(
    st.integers(1, 2),
    fault_plans(WHOM, size=2),
    st.lists(restarts, max_size=2, unique_by=lambda fault: fault.nth),
    st.lists(store_faults, max_size=1),
)
def test_whatever_crashes_and_whichever_write_fails_an_agency_answers_and_does_nothing_twice(
    count: int, faults: tuple[Fault, ...], restarts: list[Fault], store: list[Fault]
) -> None:
    simulate(served(count), seeds=2, faults=[*faults, *restarts, *store], max_steps=100_000)


@pytest.mark.parametrize("faults", [[], [Restart("worker")]])
def test_what_an_agencys_actors_say_to_each_other_about_a_run_that_is_over_is_no_dead_letter(faults: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        charged: list[int] = []

        @tool(risk="safe")
        async def charge() -> str:
            """Charge."""
            charged.append(1)
            return "charged"

        def model(request: Request) -> Any:
            return call("charge", "c1") if not results(request) else "done"

        async def worker(system: System) -> str:
            async with Agency(
                Agent("Clerk", tools=[charge]), model=function(model), journal=sim.folder / "j.db", system=system
            ) as agency:
                text = (await agency.run("Charge ann.", conversation="c", run_id="r1")).text
            assert system.dead_letters.count == 0
            return text

        assert await sim.process("worker", worker) == "done"
        assert len(charged) <= 1, "charged twice"

    simulate(scenario, seeds=10 * SEEDS, faults=faults)
