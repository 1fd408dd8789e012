"""Whoever is killed whenever: a program goes on, and finds the agents that it has asked where they were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Functions, Request, SubAgent, System
from callboard.actors.agents.events import RunEvent, RunFinished
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from tests.agents.support import each_kill, results, sqlite

from .crashes import approve_later, die, killed, two_runs
from .newsroom import Fact, Find, Newsroom

pytest.importorskip("pydantic_monty")

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "3"))
"""Schedules of each; `make schedules` runs many more."""

PROGRAM = """
import asyncio

async def look(topic):
    try:
        return (await read(topic))["pages"]
    except RuntimeError:
        return 0

first = await asyncio.gather(*[look(topic) for topic in ["a", "down", "c"]])
first + [await look("d")]
"""


class Room(Newsroom):
    """One whose editor writes a program that asks them."""

    plugins = Functions
    program = PROGRAM

    def offer(self, prompt: Functions, read: Any, **callbacks: Any) -> None:
        prompt.function(SubAgent("read", "", Find, read, response_schema=Fact, **callbacks))

    def editor(self, request: Request) -> Any:
        told, done = request.messages[0].text, results(request)
        if not done:
            return call("RunPython", "p", code=self.program)
        return f"{done[0]} {told.partition('<editor>')[2].split(chr(10))[1]}"

    def found(self, text: str, times: int = 1) -> None:
        """It has found what it would have found had nothing happened, so many times."""
        told, found = text.split("] ", 1)
        assert told == "[2, 0, 2, 2"
        assert sorted(json.loads(found)) == sorted(["a: 2", "down: no", "c: 2", "d: 2"] * times)
        self.check()


async def scenario(sim: Simulation) -> None:
    async def main(system: System) -> list[str]:
        async with room.agency(sqlite(sim), system) as agency:
            return await two_runs(agency)

    room = Room()
    sim.expect_dead_letters()  # what an agency's actors still say to each other as it stops
    for times, text in enumerate(await sim.process("room", main), 1):
        room.found(text, times)


WRITES = 60
"""A little more often than a process writes that makes both runs."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found(when: Any) -> None:
    for nth in range(1 + (when == "after"), WRITES + 1, 2):  # after one write is before the next
        simulate(scenario, seeds=1, faults=[Restart("room", nth=nth, when=when, optional=True)])


def test_a_process_that_is_killed_several_times_has_found_what_it_would_have_found() -> None:
    simulate(scenario, seeds=SEEDS, faults=[Restart("room", optional=True)] * 3)


@pytest.mark.parametrize("actor", ["agency/E/c", "agency/E", "agency/E-read", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_actor_that_crashes_at_any_message_leaves_what_was_found_as_it_would_have_been(
    actor: str, when: Any
) -> None:
    async def scenario(sim: Simulation) -> None:
        room = Room()
        sim.expect_dead_letters()
        async with room.agency(None, sim.system) as agency:
            for times in (1, 2):
                room.found((await agency.run("go", conversation="c")).text, times)

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


@pytest.mark.parametrize("whom", ["agency/E/c", "agency/E-read", "agency"])
async def test_whoever_is_killed_at_whichever_event_what_was_found_is_what_it_would_have_been(whom: str) -> None:
    rooms: list[Room] = []

    def make() -> Agency:
        rooms.append(Room(pause=0.0))
        return rooms[-1].agency()

    def look(answer: Any, seen: list[RunEvent]) -> None:
        rooms[-1].found(answer.text)
        assert problems(answer.messages) == []

    await each_kill(make, whom, look, every=3)


def test_a_person_who_is_asked_within_an_agent_is_asked_once_whenever_the_process_is_killed() -> None:
    async def scenario(sim: Simulation) -> None:
        room = Room()
        room.program = "(await read('risky'))['pages']"
        asked: set[str] = set()
        sim.expect_dead_letters()

        async def main(system: System) -> str:
            async with room.agency(sqlite(sim), system, autonomy="supervised") as agency:
                approve_later(agency, asked)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        assert await sim.process("room", main) == '8 ["risky: 8"]'
        assert len(asked) == 1, "it was asked anew"

    simulate(scenario, seeds=SEEDS, faults=[Restart("room")])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


class Killed(Room):
    """One whose process is killed once one agent has answered, and others have not."""

    def look(self, event: RunEvent) -> None:
        super().look(event)
        if isinstance(event, RunFinished) and event.agent == "E-read" and event.error is None:
            die()


async def main(journal: str) -> None:
    """Begin a run, and be killed in its middle."""
    async with Killed(pause=0.2).agency(journal) as made:
        await made.run("go", conversation="c")


async def test_a_process_that_is_killed_half_way_asks_nobody_again_who_has_answered(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    await killed(__name__, journal)
    room = Killed(pause=0.0)
    async with room.agency(journal) as made:
        (answer,) = made.resumed.values()
        room.found((await answer).text)
    asked = {run.rpartition(".")[2] for run in room.asked if ".1." in run}
    assert len(asked) < 4, f"somebody had answered: {asked}"
