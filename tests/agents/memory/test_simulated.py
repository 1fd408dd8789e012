"""Memories under the simulator: whose facts reach whose prompt, and that none is lost or there twice after crashes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from callboard import Agency, Agent, Caller, Memory, Owner, Request, System, memory_skill
from callboard.actors.testing.doubles.models import call
from callboard.testing import Crash, Restart, Simulation, StoreFault, simulate
from tests.agents.support import function, results

NAMES = st.sampled_from(["ann", "bob", "acme", "ann/acme", "Ann", "", "' OR 1=1 --"])
USERS = st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=4, unique=True)
STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["remember", "recall", "correct_fact"])), max_size=8)
CRASH = st.builds(Crash, st.sampled_from(["agency/Clerk", "model"]), st.integers(1, 6), optional=st.just(True))
OF = re.compile(r"token(\d+)")


class Everybody:
    """Agents that share a memory, asked by several users at once; the model tells what it is asked from whom it is."""

    def __init__(self, sim: Simulation, users: list[tuple[str, str]], memory: Memory) -> None:
        self.sim = sim
        self.users = users
        self.memory = memory

    def model(self, request: Request) -> Any:
        """Every text that the model sees is the user's own; the last thing the user said begins with their number."""
        said = next(message.text for message in reversed(request.messages) if message.role == "user")
        number, name, known = said.split(" ", 2)
        for message in request.messages:
            assert set(OF.findall(message.text)) <= {number}, "of another user's memory"
        if results(request):
            return "done"
        arguments = {
            "remember": {"text": f"the drink of token{number} is tea"},
            "recall": {"query": "drink token0 token1 token2 token3 tea"},
            "correct_fact": {"id": known, "text": f"the drink of token{number} is milk"},
        }
        return call(name, "c1", **arguments[name])

    async def run(self, agency: Agency, at: int, name: str) -> None:
        user, tenant = self.users[at]
        everything = await self.memory.search_all("drink", limit=100)
        other = next((one.fact.id for one in everything if f"token{at} " not in one.fact.text), "none")
        answer = await agency.run(f"{at} {name} {other}", caller=Caller(user, tenant))
        assert answer.text == "done"

    def agency(self) -> Agency:
        clerk = Agent("Clerk", "You help.", skills=[memory_skill(self.memory)])
        return Agency(clerk, model=function(self.model), system=self.sim.system)


@given(USERS, STEPS, st.lists(CRASH, max_size=2, unique_by=lambda crash: crash.actor))
@settings(max_examples=20, phases=[Phase.generate])  # the simulator shrinks what it finds; shrinking that takes minutes
def test_no_users_memory_reaches_anothers_prompt_or_tools_whoever_they_are_and_whatever_crashes(
    users: list[tuple[str, str]], steps: list[tuple[int, str]], faults: list[Any]
) -> None:
    async def scenario(sim: Simulation) -> None:
        with Memory() as memory:
            for at, (user, tenant) in enumerate(users):
                if user or tenant:
                    await memory.add(f"token{at} has a drink", owner=Owner(user, tenant))
            everybody = Everybody(sim, users, memory)
            async with everybody.agency() as agency:
                await asyncio.gather(
                    *(everybody.run(agency, at % len(users), name) for at, name in steps),
                    *(everybody.run(agency, at, "recall") for at in range(len(users))),
                )
            for at, (user, tenant) in enumerate(users):
                if user or tenant:
                    kept = await memory.export(owner=Owner(user, tenant))
                    assert {token for fact in kept for token in OF.findall(fact["text"])} == {str(at)}

    simulate(scenario, seeds=2, faults=faults)


def remembered(sim: Simulation, memory: Memory, system: System) -> Agency:
    """An agency whose model remembers two things at once and then corrects one of them."""

    def model(request: Request) -> Any:
        done = results(request)
        if not done:
            return [call("remember", f"c{n}", text=f"fact {n} of {request.messages[-1].text}") for n in (1, 2)]
        if len(done) == 2:
            return call("correct_fact", "c1", id=done[0].rpartition(" ")[2], text="fact 3")
        return "done"

    clerk = Agent("Clerk", "You help.", skills=[memory_skill(memory, facts=0)])
    agency = Agency(clerk, model=function(model), journal=sim.folder / "agency.db", system=system)
    sim.watch(agency)
    return agency


async def scenario(sim: Simulation) -> None:
    """A process with a memory and an agency in files, in which two runs remember."""
    ann = Owner("ann")

    async def main(system: System) -> list[str]:
        with Memory(sim.folder / "memory.db") as memory:
            await memory.add_all(["from code", "from code, too"], owner=ann, key="code")
            async with remembered(sim, memory, system) as agency:
                handles = [await agency.start_run(f"run {n}", run_id=f"r{n}", caller=Caller("ann")) for n in (1, 2)]
                assert [(await handle).text for handle in handles] == ["done", "done"]
                return [fact["text"] for fact in await memory.export(owner=ann)]

    kept = await sim.process("clerk", main)
    assert sorted(kept) == sorted(
        [
            "from code",
            "from code, too",
            *(f"fact {n} of run {run}" for n in (1, 2) for run in (1, 2)),
            "fact 3",
            "fact 3",
        ]
    )
    with Memory(sim.folder / "memory.db") as memory:
        assert [fact["text"] for fact in await memory.export(owner=ann)] == kept
        true = [fact.text for fact in await memory.facts(owner=ann)]
        assert sorted(set(kept) - set(true)) == ["fact 1 of run 1", "fact 1 of run 2"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_any_write_has_each_fact_once(when: Any) -> None:
    simulate(scenario, seeds=12, faults=[Restart("clerk", when=when)])


def test_a_process_that_is_killed_several_times_has_each_fact_once() -> None:
    simulate(scenario, seeds=12, faults=[Restart("clerk", optional=True)] * 3)


@pytest.mark.parametrize("what", ["full", "locked", "unreachable"])
def test_a_store_that_fails_at_any_write_is_waited_out(what: Any) -> None:
    simulate(scenario, seeds=6, faults=[StoreFault("clerk", what=what, seconds=4)])
