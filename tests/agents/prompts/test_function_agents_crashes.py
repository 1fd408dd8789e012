"""Whoever is killed whenever: a program goes on, and finds the agents that it has asked where they were."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Functions, Prompt, Request, SubAgent, System
from callboard.actors.agents.events import ApprovalRequested, CompletionStarted, RunEvent, RunFinished
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from tests import warm
from tests.agents.support import function

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


class Find(BaseModel):
    topic: str


class Fact(BaseModel):
    pages: int


class Newsroom:
    """An editor whose programs ask agents that count what they read, and what was seen of them.

    Args:
        pause: seconds that reading takes.
        program: what the editor writes.
    """

    def __init__(self, pause: float = 1.0, program: str = PROGRAM) -> None:
        self.pause = pause
        self.program = program
        self.finished: set[str] = set()
        self.again: set[str] = set()
        """Runs of which a completion was asked for after they had ended."""
        self.asked: list[str] = []

    def edit(self, prompt: Functions) -> None:
        found, set_found = prompt.state("found", [], list[str])
        prompt.system("editor", json.dumps(found))

        def read(inner: Prompt, given: Find) -> None:
            pages, set_pages = inner.state("pages", 0)
            inner.system("reader", f"{given.topic} {pages}")

            @inner.tool(risk="safe", idempotent=True)
            async def turn() -> int:
                """Turn the page."""
                await asyncio.sleep(self.pause)
                return set_pages(lambda before: before + 1)

            if given.topic == "risky":
                inner.tool(lambda: set_pages(lambda before: before + 7), name="buy", risk="risky", idempotent=True)

        async def keep(given: Find, answer: Fact) -> None:
            await asyncio.sleep(self.pause / 10)
            set_found(lambda before: [*before, f"{given.topic}: {answer.pages}"])

        def miss(given: Find, error: Exception) -> None:
            set_found(lambda before: [*before, f"{given.topic}: no"])

        prompt.function(SubAgent("read", "", Find, read, response_schema=Fact, on_success=keep, on_error=miss))

    def model(self, request: Request) -> Any:
        told = request.messages[0].text
        asked = max((index for index, message in enumerate(request.messages) if message.role == "user"), default=0)
        done = [message.text for message in request.messages[asked:] if message.role == "tool"]
        if "<editor>" in told:
            if not done:
                return call("RunPython", "p", code=self.program)
            return f"{done[0]} {told.partition('<editor>')[2].split(chr(10))[1]}"
        topic, pages = told.partition("<reader>\n")[2].split()[:2]
        if topic == "down" or (topic == "risky" and len(done) == 1):
            return OSError("down") if topic == "down" else call("buy", "y")
        return call("turn", f"t{len(done)}") if len(done) < 2 else json.dumps({"pages": int(pages)})

    def agency(self, journal: Any = None, system: System | None = None, **options: Any) -> Agency:
        agent = Agent("E", prompt=self.edit, plugins=Functions, **options)
        made = Agency(agent, model=function(self.model), journal=journal, system=system)
        made.subscribe(self.look)
        return made

    def look(self, event: RunEvent) -> None:
        if isinstance(event, RunFinished) and event.error is None:
            self.finished.add(event.run)
        elif isinstance(event, CompletionStarted) and event.run in self.finished:
            self.again.add(event.run)

    def check(self, text: str, times: int = 1) -> None:
        """It has found what it would have found had nothing happened, so many times."""
        told, found = text.split("] ", 1)
        assert told == "[2, 0, 2, 2"
        assert sorted(json.loads(found)) == sorted(["a: 2", "down: no", "c: 2", "d: 2"] * times)
        assert not self.again, f"asked again although they had ended: {self.again}"


def two_runs(sim: Simulation) -> Any:
    async def main(system: System) -> list[str]:
        async with room.agency(sim.folder / "room.db", system) as agency:
            handles = [await agency.start_run("go", conversation="c", run_id=run) for run in ("r1", "r2")]
            return [(await handle).text for handle in handles]

    room = Newsroom()
    sim.expect_dead_letters()  # what an agency's actors still say to each other as it stops
    return room, main


async def scenario(sim: Simulation) -> None:
    room, main = two_runs(sim)
    for times, text in enumerate(await sim.process("room", main), 1):
        room.check(text, times)


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
        room = Newsroom()
        sim.expect_dead_letters()
        async with room.agency(None, sim.system) as agency:
            for times in (1, 2):
                room.check((await agency.run("go", conversation="c")).text, times)

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


@pytest.mark.parametrize("whom", ["agency/E/c", "agency/E-read", "agency"])
async def test_whoever_is_killed_at_whichever_event_what_was_found_is_what_it_would_have_been(whom: str) -> None:
    async def run(at: int) -> int:
        seen = 0

        def kill(event: RunEvent) -> None:
            nonlocal seen
            seen += 1
            if seen == at and agency.system is not None and (ref := agency.system.find(whom)) is not None:
                ref.kill()

        room = Newsroom(pause=0.0)
        async with room.agency() as agency:
            agency.subscribe(kill)
            async with asyncio.timeout(20):
                answer = await agency.run("go", conversation="c")
            room.check(answer.text)
            assert problems(answer.messages) == []
            report = await agency.replay("c")
            assert report.same, report.differences
        return seen

    for at in range(1, 1 + await run(0), 3):
        await run(at)


def test_a_person_who_is_asked_within_an_agent_is_asked_once_whenever_the_process_is_killed() -> None:
    async def scenario(sim: Simulation) -> None:
        room = Newsroom(program="(await read('risky'))['pages']")
        asked: set[str] = set()
        sim.expect_dead_letters()

        async def main(system: System) -> str:
            async with room.agency(sim.folder / "room.db", system, autonomy="supervised") as agency:

                def look(event: RunEvent) -> None:
                    if isinstance(event, ApprovalRequested):
                        asked.add(event.approval)
                        agency.system.loop.call_later(5, agency.approve, event.approval)  # type: ignore[union-attr]

                agency.subscribe(look)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        assert await sim.process("room", main) == '8 ["risky: 8"]'
        assert len(asked) == 1, "it was asked anew"

    simulate(scenario, seeds=SEEDS, faults=[Restart("room")])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


class Killed(Newsroom):
    """One whose process is killed once one agent has answered, and others have not."""

    def look(self, event: RunEvent) -> None:
        answered = isinstance(event, RunFinished) and event.agent == "E-read" and event.error is None
        if answered and "KILLED_IN_ITS_MIDDLE" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        self.asked += [event.run] if isinstance(event, CompletionStarted) else []


async def main(journal: str) -> None:
    """Begin a run, and be killed in its middle."""
    async with Killed(pause=0.2).agency(journal) as made:
        await made.run("go", conversation="c")


async def test_a_process_that_is_killed_half_way_asks_nobody_again_who_has_answered(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    ended = await asyncio.to_thread(warm.run, "-m", "tests.agents.prompts.program_of_agents_to_kill", journal)
    assert ended.returncode == -signal.SIGKILL, f"the program was not killed: {ended.stdout}{ended.stderr}"
    room = Killed(pause=0.0)
    async with room.agency(journal) as made:
        (answer,) = made.resumed.values()
        room.check((await answer).text)
    asked = {run.rpartition(".")[2] for run in room.asked if ".1." in run}
    assert len(asked) < 4, f"somebody had answered: {asked}"
