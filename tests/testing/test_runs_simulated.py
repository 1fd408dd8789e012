"""Runs of random agencies over three vendors, under random schedules and faults, held to the oracles for LLM flows."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard import Agency, RunEvent
from callboard.actors.agents.errors import AgentError
from callboard.actors.agents.events import ApprovalRequested
from callboard.actors.testing import Crash, Delay, DelayReply, Fault, Kill, Simulation, Slow, simulate
from callboard.actors.testing.doubles.strategies import fault_plans
from tests.agents.test_random_agencies import Models, numbers, team

WHOM = ["agency/A", "agency/A/c", "agency/B", "agency/B/c", "agency/C", "agency/C/c", "model", "agency"]
EXAMPLES = int(os.environ.get("CALLBOARD_EXAMPLES", "30"))
drawn = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Person:
    """Decides approvals as a list says, after a while."""

    def __init__(self, agency: Agency, decisions: list[bool]) -> None:
        self.agency = agency
        self.decisions = iter(decisions)

    def __call__(self, event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asyncio.get_running_loop().call_later(1.0, self.decide, event.approval, next(self.decisions, True))

    def decide(self, approval: str, yes: bool) -> None:
        if any(waiting.approval == approval for waiting in self.agency.approvals):
            self.agency.approve(approval) if yes else self.agency.deny(approval, "too much")


def asked(numbers: list[int], decisions: list[bool], cancels: list[float]) -> Any:
    async def scenario(sim: Simulation) -> None:
        agency = team(Models(numbers))
        sim.watch(agency)
        agency.subscribe(Person(agency, decisions))

        async def one(number: int) -> None:
            try:
                async with asyncio.timeout(cancels[number] if number < len(cancels) and cancels[number] else None):
                    await agency.run(f"turn {number}", conversation="c", run_id=f"r{number}")
            except (AgentError, TimeoutError):
                pass

        async with agency:
            async with asyncio.TaskGroup() as group:
                for number in range(len(cancels) + 1):
                    group.create_task(one(number), name=f"caller {number}")
            await asyncio.sleep(900)

    return scenario


kills = st.builds(Kill, st.sampled_from(["agency/A", "agency/B", "model"]), st.integers(1, 6), optional=st.just(True))


@drawn
@given(
    numbers,
    st.lists(st.booleans(), max_size=4),
    st.lists(st.sampled_from([0.0, 0.001, 0.5, 1.0, 1.5]), max_size=3),
    fault_plans(WHOM, kinds=(Crash, Slow, Delay, DelayReply)),
    st.lists(kills, max_size=1),
)
def test_whatever_fails_and_whoever_gives_up_the_runs_of_any_agency_keep_the_rules(
    numbers: list[int], decisions: list[bool], cancels: list[float], faults: tuple[Fault, ...], kill: list[Fault]
) -> None:
    simulate(asked(numbers, decisions, cancels), seeds=4, faults=(*faults, *kill), max_steps=100_000)
