"""Whoever is killed whenever: sub-agents go on where they were, and what comes of them counts once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Prompt, Request, SubAgent, System
from callboard.actors.agents.events import ApprovalRequested, CompletionStarted, RunEvent, RunFinished
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from tests import warm
from tests.agents.support import function

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "3"))
"""Schedules of each; `make schedules` runs many more."""


class Find(BaseModel):
    topic: str


class Fact(BaseModel):
    fact: str


class Newsroom:
    """An editor whose sub-agents, alone and together, count what they read, and what was seen of them.

    Args:
        pause: seconds that reading takes.
    """

    def __init__(self, pause: float = 1.0) -> None:
        self.pause = pause
        self.finished: set[str] = set()
        self.again: set[str] = set()
        """Runs of which a completion was asked for after they had ended."""
        self.asked: list[str] = []

    def edit(self, prompt: Prompt) -> None:
        found, set_found = prompt.state("found", [], list[str])
        prompt.system("editor", json.dumps(found))

        def read(inner: Prompt, given: Find) -> None:
            pages, set_pages = inner.state("pages", 0)
            inner.system("reader", f"{given.topic} {pages}, {len(found)} known")

            @inner.tool(risk="safe", idempotent=True)
            async def turn() -> int:
                """Turn the page."""
                await asyncio.sleep(self.pause)
                return set_pages(lambda before: before + 1)

            if given.topic == "risky":
                inner.tool(lambda: set_pages(lambda before: before + 7), name="buy", risk="risky", idempotent=True)

        async def keep(given: Find, answer: Any) -> None:
            await asyncio.sleep(self.pause / 10)
            set_found(lambda before: [*before, f"{given.topic}: {answer.fact if isinstance(answer, Fact) else answer}"])

        def miss(given: Find, error: Exception) -> None:
            set_found(lambda before: [*before, f"{given.topic}: no"])

        options: dict[str, Any] = {"on_success": keep, "on_error": miss}
        prompt.agent("one", "", Find, read, response_schema=Fact, **options)
        prompt.agents("some", "", [SubAgent("book", "", Find, read, **options)])

    def agency(self, journal: Any = None, system: System | None = None, **options: Any) -> Agency:
        made = Agency(Agent("E", prompt=self.edit, **options), model=function(model), journal=journal, system=system)
        made.subscribe(self.look)
        return made

    def look(self, event: RunEvent) -> None:
        if isinstance(event, RunFinished) and event.error is None:
            self.finished.add(event.run)
        elif isinstance(event, CompletionStarted) and event.run in self.finished:
            self.again.add(event.run)

    def check(self) -> None:
        assert not self.again, f"asked again although they had ended: {self.again}"


def results(request: Request) -> list[str]:
    asked = max((index for index, message in enumerate(request.messages) if message.role == "user"), default=0)
    return [message.text for message in request.messages[asked:] if message.role == "tool"]


def some(*topics: str) -> Any:
    return call("some", "s", calls=[{"name": "book", "args": {"topic": topic}} for topic in topics])


def model(request: Request) -> Any:
    told, done = request.messages[0].text, results(request)
    if "<editor>" in told:
        if not done:
            return [call("one", "o", topic="a"), some("b", "down", "c")]
        if len(done) == 2:
            return call("one", "o", topic="d")
        return told.partition("<editor>\n")[2].partition("\n")[0]
    topic = told.partition("<reader>\n")[2].split()[0]
    if topic == "down" or (topic == "risky" and len(done) == 1):
        return OSError("down") if topic == "down" else call("buy", "y")
    if len(done) < 2:
        return call("turn", f"t{len(done)}")
    pages = told.partition("<reader>\n")[2].split()[1].rstrip(",")
    return json.dumps({"fact": pages}) if "response_schema" in told and topic != "d" else f"{topic}{pages}"


def expected(times: int = 1) -> list[str]:
    """What the editor has found after so many runs; the two calls of the first step come back in any order."""
    return sorted(["a: 2", "b: b2", "down: no", "c: c2", "d: no"] * times)


def two_runs(journal: Callable[[Simulation], Any]) -> Any:
    async def scenario(sim: Simulation) -> None:
        room = Newsroom()

        async def main(system: System) -> list[str]:
            async with room.agency(journal(sim), system) as agency:
                handles = [await agency.start_run("go", conversation="c", run_id=run) for run in ("r1", "r2")]
                return [(await handle).text for handle in handles]

        texts = await sim.process("room", main)
        assert [sorted(json.loads(text)) for text in texts] == [expected(1), expected(2)]
        room.check()

    return scenario


def sqlite(sim: Simulation) -> Any:
    return sim.folder / "room.db"


def postgres(sim: Simulation) -> Any:
    return "postgresql://simulated/room"


@pytest.mark.parametrize("journal", [sqlite, postgres])
def test_a_process_that_is_killed_at_any_write_has_found_what_it_would_have_found(journal: Any) -> None:
    simulate(two_runs(journal), seeds=SEEDS, faults=[Restart("room")])


WRITES = 56
"""A little more often than a process writes that makes both runs."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found(when: Any) -> None:
    for nth in range(1 + (when == "after"), WRITES + 1, 2):  # after one write is before the next
        simulate(two_runs(sqlite), seeds=1, faults=[Restart("room", nth=nth, when=when, optional=True)])


def test_a_process_that_is_killed_several_times_has_found_what_it_would_have_found() -> None:
    simulate(two_runs(sqlite), seeds=SEEDS, faults=[Restart("room", optional=True)] * 3)


@pytest.mark.parametrize("actor", ["agency/E/c", "agency/E", "agency/E-one", "agency/E-book", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_actor_that_crashes_at_any_message_leaves_what_was_found_as_it_would_have_been(
    actor: str, when: Any
) -> None:
    async def scenario(sim: Simulation) -> None:
        room = Newsroom()
        async with room.agency(None, sim.system) as agency:
            for times in (1, 2):
                answer = await agency.run("go", conversation="c")
                assert sorted(json.loads(answer.text)) == expected(times)
        room.check()

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


@pytest.mark.parametrize("whom", ["agency/E/c", "agency/E", "agency/E-book", "agency"])
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
            assert sorted(json.loads(answer.text)) == expected()
            assert problems(answer.messages) == []
            report = await agency.replay("c")
            assert report.same, report.differences
        room.check()
        return seen

    for at in range(1, 1 + await run(0), 2):
        await run(at)


def test_what_waits_for_a_person_in_a_sub_agent_is_as_it_was_whenever_the_process_is_killed() -> None:
    async def scenario(sim: Simulation) -> None:
        room = Newsroom()
        asked: set[str] = set()

        def asks(request: Request) -> Any:
            told = request.messages[0].text
            if "<editor>" not in told:
                return model(request)
            return some("risky", "b") if not results(request) else told

        async def main(system: System) -> str:
            agent = Agent("E", prompt=room.edit, autonomy="supervised")
            async with Agency(agent, model=function(asks), journal=sqlite(sim), system=system) as agency:

                def look(event: RunEvent) -> None:
                    if isinstance(event, ApprovalRequested):
                        asked.add(event.approval)
                        agency.system.loop.call_later(5, agency.approve, event.approval)  # type: ignore[union-attr]

                agency.subscribe(look)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        assert '["risky: risky8", "b: b2"]' in await sim.process("room", main)
        assert len(asked) == 1, "it was asked anew"

    simulate(scenario, seeds=SEEDS, faults=[Restart("room")])


def nested(prompt: Prompt, given: Any = None, *, depth: int = 1, who: str = "") -> None:
    """A prompt function whose sub-agents have sub-agents, all of them another one's for each user."""
    who = who or prompt.context.caller.user
    heard, set_heard = prompt.state("heard", "")
    prompt.system("level", f"{depth} {who} {heard}")

    def below(inner: Prompt, given: Find) -> None:
        nested(inner, given, depth=depth + 1, who=who)

    if depth < 4:
        prompt.agent("x", "", Find, below, on_success=lambda _, answer: set_heard(lambda before: f"{before}+{answer}"))


def echo(request: Request) -> Any:
    depth, who, heard = request.messages[0].text.splitlines()[1].split(" ")
    return who if depth == "4" else call("x", "x", topic=who) if not results(request) else f"{depth}{heard}"


def test_sub_agents_of_sub_agents_of_two_conversations_go_on_each_with_its_own_function() -> None:
    async def scenario(sim: Simulation) -> None:

        async def main(system: System) -> list[str]:
            agent = Agent("E", prompt=nested)
            async with Agency(agent, model=function(echo), journal=sqlite(sim), system=system) as agency:
                users = ("ada", "bob")
                handles = [await agency.start_run("go", conversation=one, run_id=one, user=one) for one in users]
                return [(await handle).text for handle in handles]

        assert await sim.process("room", main) == ["1+2+3+ada", "1+2+3+bob"]

    simulate(scenario, seeds=8, faults=[Restart("room"), Restart("room", optional=True)])


@pytest.mark.parametrize("actor", ["agency/E/c", "agency/E-book"])
def test_no_call_is_made_past_a_person_whoever_crashes(actor: str) -> None:
    async def scenario(sim: Simulation) -> None:
        room = Newsroom()
        async with room.agency(None, sim.system, autonomy="manual") as agency:
            sim.watch(agency)

            def look(event: RunEvent) -> None:
                if isinstance(event, ApprovalRequested):
                    agency.system.loop.call_later(2, agency.approve, event.approval)  # type: ignore[union-attr]

            agency.subscribe(look)
            answer = await agency.run("go", conversation="c")
            assert sorted(json.loads(answer.text)) == expected()
        room.check()

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor)])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


class Killed(Newsroom):
    """One whose process is killed once somebody has answered, and others have not."""

    def look(self, event: RunEvent) -> None:
        if isinstance(event, RunFinished) and event.agent == "E-one" and "KILLED_IN_ITS_MIDDLE" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        self.asked += [event.run] if isinstance(event, CompletionStarted) else []


async def main(journal: str) -> None:
    """Begin a run, and be killed in its middle."""
    async with Killed(pause=0.2).agency(journal) as made:
        await made.run("go", conversation="c")


async def test_a_process_that_is_killed_half_way_asks_nobody_again_who_has_answered(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    ended = warm.run("-m", "tests.agents.prompts.program_of_sub_agents_to_kill", journal)
    assert ended.returncode == -signal.SIGKILL, f"the program was not killed: {ended.stdout}{ended.stderr}"
    room = Killed(pause=0.0)
    async with room.agency(journal) as made:
        (answer,) = made.resumed.values()
        assert sorted(json.loads((await answer).text)) == expected()
    assert not [run for run in room.asked if run.endswith(".1.o")], "it had answered"
    assert [run for run in room.asked if run.endswith(".2.o")]
