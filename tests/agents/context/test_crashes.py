"""Whoever is killed whenever while a summary is made: it is there once and whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, MemoryJournal, PostgresJournal, SqliteJournal, System
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.steps import Condensed
from callboard.actors.journal.store import at_hand
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.providers.errors import ContextTooLong
from callboard.providers.messages import Request
from tests.agents.prompts.crashes import die, killed
from tests.agents.support import function, postgres, sqlite

from .crashes import RUNS, Talk, check, numbers

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "3"))
"""Schedules of each; `make schedules` runs many more."""

WRITES = 20
"""How often a process writes that is asked all questions."""

Open = Callable[[Simulation], Any]


def in_a_file(sim: Simulation) -> Any:
    return SqliteJournal(sqlite(sim), RunCodec())


def in_a_database(sim: Simulation) -> Any:
    return PostgresJournal(postgres(sim), RunCodec())


def talk_through(journal: Open, *, restarts: int) -> Any:
    async def scenario(sim: Simulation) -> None:
        talk = Talk()

        async def main(system: System) -> Any:
            kept = journal(sim)
            async with talk.agency(kept, system) as agency:
                answers = await talk.ask(agency)
                return answers, [record.event for record in await at_hand(kept.read("A/c"))]

        answers, events = await sim.process("talk", main)
        made = check(events, answers)
        assert len(answers) == RUNS
        assert made >= 2
        assert talk.bought <= made + restarts  # one that the journal did not have yet when the process was killed

    return scenario


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_single_write_makes_each_summary_once(when: Any) -> None:
    for nth in range(1, WRITES + 1):
        simulate(talk_through(in_a_file, restarts=1), seeds=1, faults=[Restart("talk", nth=nth, when=when)])


@pytest.mark.parametrize("journal", [in_a_file, in_a_database])
def test_a_process_that_is_killed_several_times_makes_each_summary_once(journal: Open) -> None:
    simulate(talk_through(journal, restarts=3), seeds=SEEDS, faults=[Restart("talk", optional=True)] * 3)


def test_a_power_cut_in_the_middle_of_any_write_leaves_no_half_of_a_summary() -> None:
    simulate(talk_through(in_a_file, restarts=1), seeds=SEEDS, faults=[Restart("talk", when="torn")])


@pytest.mark.parametrize("actor", ["agency/A/c", "agency/A", "model"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_actor_that_crashes_at_any_message_leaves_each_summary_once(actor: str, when: Any) -> None:
    async def scenario(sim: Simulation) -> None:
        talk, journal = Talk(), MemoryJournal()
        async with talk.agency(journal, sim.system) as agency:
            answers = await talk.ask(agency)
            events = [record.event for record in journal.read("A/c")]
        assert check(events, answers) + 1 >= talk.bought

    simulate(scenario, seeds=SEEDS, faults=[Crash(actor, when=when)])


# -- kill -9 -----------------------------------------------------------------------------------------------------------


class Dying(Talk):
    """A process that is to be killed is so while its first summary is made."""

    def model(self, request: Request) -> Any:
        if request.messages[0].text.startswith("Summarize"):
            die()
        return super().model(request)


async def main(journal: str) -> None:
    """Begin to talk, and be killed while a summary is made."""
    talk = Dying()
    async with talk.agency(Path(journal)) as agency:
        await talk.ask(agency)


async def test_a_process_that_is_killed_while_a_summary_is_made_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    await killed(__name__, path)
    talk = Talk()
    with closing(SqliteJournal(path, RunCodec())) as journal:
        async with talk.agency(journal) as agency:
            answers = await talk.ask(agency)
            events = [record.event for record in await journal.read("A/c")]
    assert check(events, answers) == talk.bought


# -- what a vendor finds too long --------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after", "torn"])
def test_a_process_that_is_killed_at_any_write_goes_on_where_a_vendor_finds_the_conversation_too_long(
    when: Any,
) -> None:
    async def scenario(sim: Simulation) -> None:
        refused: list[int] = []

        def model(request: Request) -> Any:
            length = sum(len(message.text) for message in request.messages)
            if length > 3_000:
                refused.append(length)
                raise ContextTooLong("the prompt is too long")
            return f"answer to #{max(numbers(request.messages[-1].text))}"

        async def main(system: System) -> Any:
            kept = in_a_file(sim)
            async with Agency(Agent("A"), model=function(model), journal=kept, system=system) as agency:
                answers = await Talk().ask(agency)
                return answers, [record.event for record in await at_hand(kept.read("A/c"))]

        answers, events = await sim.process("talk", main)
        assert [text for text, _ in answers] == [f"answer to #{number}" for number in range(1, RUNS + 1)]
        left_out = [event.shape.left_out for event in events if isinstance(event, Condensed)]
        assert left_out
        assert len(set(left_out)) == len(left_out)
        assert len(refused) <= len(left_out) + 1  # one whose consequence the journal did not have yet

    simulate(scenario, seeds=2 * SEEDS, faults=[Restart("talk", when=when)])
