"""Whoever is killed whenever: sub-agents go on where they were, and what comes of them counts once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Prompt, Request, SubAgent, System
from callboard.actors.agents.events import RunEvent, RunFinished
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from tests.agents.support import each_kill, function, postgres, results, sqlite

from .crashes import approve_later, die, killed, two_runs
from .newsroom import Fact, Find, Newsroom

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "3"))
"""Schedules of each; `make schedules` runs many more."""


class Room(Newsroom):
    """One whose editor asks them alone and together."""

    unfit = "d"

    def offer(self, prompt: Prompt, read: Any, **callbacks: Any) -> None:
        prompt.agent("one", "", Find, read, response_schema=Fact, **callbacks)
        prompt.agents("some", "", [SubAgent("book", "", Find, read, **callbacks)])

    def editor(self, request: Request) -> Any:
        done = results(request)
        if not done:
            return [call("one", "o", topic="a"), some("b", "down", "c")]
        if len(done) == 2:
            return call("one", "o", topic="d")
        return request.messages[0].text.partition("<editor>\n")[2].partition("\n")[0]


def some(*topics: str) -> Any:
    return call("some", "s", calls=[{"name": "book", "args": {"topic": topic}} for topic in topics])


def expected(times: int = 1) -> list[str]:
    """What the editor has found after so many runs; the two calls of the first step come back in any order."""
    return sorted(["a: 2", "b: b2", "down: no", "c: c2", "d: no"] * times)


def found_twice(journal: Callable[[Simulation], Any]) -> Any:
    async def scenario(sim: Simulation) -> None:
        room = Room()

        async def main(system: System) -> list[str]:
            async with room.agency(journal(sim), system) as agency:
                return await two_runs(agency)

        texts = await sim.process("room", main)
        assert [sorted(json.loads(text)) for text in texts] == [expected(1), expected(2)]
        room.check()

    return scenario


@pytest.mark.parametrize("journal", [sqlite, postgres])
def test_a_process_that_is_killed_at_any_write_has_found_what_it_would_have_found(journal: Any) -> None:
    simulate(found_twice(journal), seeds=SEEDS, faults=[Restart("room")])


WRITES = 56
"""A little more often than a process writes that makes both runs."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found(when: Any) -> None:
    for nth in range(1 + (when == "after"), WRITES + 1, 2):  # after one write is before the next
        simulate(found_twice(sqlite), seeds=1, faults=[Restart("room", nth=nth, when=when, optional=True)])


def test_a_process_that_is_killed_several_times_has_found_what_it_would_have_found() -> None:
    simulate(found_twice(sqlite), seeds=SEEDS, faults=[Restart("room", optional=True)] * 3)


@pytest.mark.parametrize("actor", ["agency/E/c", "agency/E", "agency/E-one", "agency/E-book", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_actor_that_crashes_at_any_message_leaves_what_was_found_as_it_would_have_been(
    actor: str, when: Any
) -> None:
    async def scenario(sim: Simulation) -> None:
        room = Room()
        async with room.agency(None, sim.system) as agency:
            for times in (1, 2):
                answer = await agency.run("go", conversation="c")
                assert sorted(json.loads(answer.text)) == expected(times)
        room.check()

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


@pytest.mark.parametrize("whom", ["agency/E/c", "agency/E", "agency/E-book", "agency"])
async def test_whoever_is_killed_at_whichever_event_what_was_found_is_what_it_would_have_been(whom: str) -> None:
    rooms: list[Room] = []

    def make() -> Agency:
        rooms.append(Room(pause=0.0))
        return rooms[-1].agency()

    def look(answer: Any, seen: list[RunEvent]) -> None:
        assert sorted(json.loads(answer.text)) == expected()
        assert problems(answer.messages) == []
        rooms[-1].check()

    await each_kill(make, whom, look, every=2)


class Risky(Room):
    """One whose editor asks for something risky, and says all that it was told."""

    def editor(self, request: Request) -> Any:
        return some("risky", "b") if not results(request) else request.messages[0].text


def test_what_waits_for_a_person_in_a_sub_agent_is_as_it_was_whenever_the_process_is_killed() -> None:
    async def scenario(sim: Simulation) -> None:
        room = Risky()
        asked: set[str] = set()

        async def main(system: System) -> str:
            async with room.agency(sqlite(sim), system, autonomy="supervised") as agency:
                approve_later(agency, asked)
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
        room = Room()
        async with room.agency(None, sim.system, autonomy="manual") as agency:
            sim.watch(agency)
            approve_later(agency, set(), seconds=2)
            answer = await agency.run("go", conversation="c")
            assert sorted(json.loads(answer.text)) == expected()
        room.check()

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor)])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


class Killed(Room):
    """One whose process is killed once somebody has answered, and others have not."""

    def look(self, event: RunEvent) -> None:
        super().look(event)
        if isinstance(event, RunFinished) and event.agent == "E-one":
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
        assert sorted(json.loads((await answer).text)) == expected()
    assert not [run for run in room.asked if run.endswith(".1.o")], "it had answered"
    assert [run for run in room.asked if run.endswith(".2.o")]
