"""Facts that a model takes out of runs that have ended."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    Guardrail,
    Memory,
    Owner,
    Request,
    System,
    card_numbers,
    memory_skill,
    tool,
)
from callboard.actors.agents.memory.facts.extraction import MOST_FACTS, MOST_SAID, facts_in, record_of
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Message
from callboard.testing import Restart, Simulation, simulate
from tests.agents.support import function, until

from .support import texts


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """A memory in a file: what the skill does is the same with each store."""
    with Memory(tmp_path / "memory.db") as opened:
        yield opened


ANN = Owner("ann")
DUE = "extraction"


class Model:
    """Answers, and finds in a record what stands behind "I like"; it can be told to fail, or to find no list."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.fails = False
        self.finds: str | None = None
        self.pause = 0.0
        self.refuses = ""

    async def __call__(self, request: Request) -> Any:
        if not request.messages[0].text.startswith("You are given the record"):
            return "I like everything"
        self.records.append(request.messages[1].text)
        await asyncio.sleep(self.pause)
        if self.fails:
            raise ConnectionError("nobody answers")
        if self.refuses and self.refuses in request.messages[1].text:
            raise ValueError("such texts are not taken")
        assert request.model == "small"
        line = request.messages[1].text.splitlines()[0]
        return self.finds or json.dumps([line.partition("I like ")[2].rstrip('"')])


def team(memory: Memory, model: Model, hooks: Sequence[Any] = (), **options: Any) -> Agency:
    agent = Agent("Clerk", skills=[memory_skill(memory, extract="small")], hooks=hooks)
    return Agency(agent, model=function(model), **options)


async def done(memory: Memory) -> None:
    """Wait until nothing is due any more."""
    while await memory.facts(owner=ANN, kind=DUE):
        pass


async def test_facts_are_taken_out_of_what_the_user_said_in_a_run(memory: Memory) -> None:
    model = Model()
    async with team(memory, model) as agency:
        await agency.run("I like tea", conversation="c", caller=Caller("ann"))
        await done(memory)
        await agency.run("I like milk", conversation="c", caller=Caller("ann"))
        await done(memory)
        await agency.run("I like salt")
    first, second = await memory.facts(owner=ANN)
    assert (first.text, second.text, first.source) == ("tea", "milk", "Clerk, conversation c")
    assert model.records[1] == 'user: "I like milk"\nassistant: "I like everything"', "only the run's own"
    assert len(model.records) == 2, "nobody's runs are not looked at"
    assert await memory.search_all("salt", kind=None) == []
    assert len(await memory.export(owner=ANN)) == 2, "of the runs nothing is left"


async def test_a_replay_takes_no_facts_and_keeps_nothing(memory: Memory) -> None:
    model = Model()
    async with team(memory, model) as agency:
        await agency.run("I like tea", conversation="c", caller=Caller("ann"))
        await done(memory)
        await memory.erase(owner=ANN)
        assert (await agency.replay("c")).same
    assert await memory.export(owner=ANN) == []
    assert len(model.records) == 1


async def test_an_agency_that_stops_waits_for_the_facts_of_its_runs(memory: Memory) -> None:
    model = Model()
    model.pause = 0.02
    async with team(memory, model) as agency:
        for wish in ("tea", "milk"):
            await agency.run(f"I like {wish}", caller=Caller("ann"))
    assert texts(await memory.facts(owner=ANN)) == ["tea", "milk"]
    assert await memory.facts(owner=ANN, kind=DUE) == []


def test_an_agency_that_stops_does_not_wait_for_a_model_that_hangs() -> None:
    async def scenario(sim: Simulation) -> None:
        model = Model()
        model.pause = 1000.0
        with Memory() as memory:
            async with team(memory, model, system=sim.system) as agency:
                await agency.run("I like tea", caller=Caller("ann"))
            assert len(await memory.facts(owner=ANN, kind=DUE)) == 1

    assert simulate(scenario).time < 10


async def test_where_the_model_fails_it_is_done_when_the_users_next_run_ends(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    model.fails = True
    async with team(memory, model) as agency:
        await agency.run("I like tea", caller=Caller("ann"))
        with caplog.at_level(logging.WARNING):
            await until(lambda: "facts cannot be taken out" in caplog.text)
        assert await memory.facts(owner=ANN) == []
        model.fails = False
        await agency.run("I like milk", caller=Caller("ann"))
        await done(memory)
    assert texts(await memory.facts(owner=ANN)) == ["tea", "milk"]


async def test_an_answer_that_is_no_list_is_named_and_not_asked_for_again(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    model.finds = "I found that they like tea."
    async with team(memory, model) as agency:
        await agency.run("I like tea", caller=Caller("ann"))
        await done(memory)
    assert "small gave no list of facts for the extraction of run" in caplog.text
    assert "tea" not in caplog.text
    assert await memory.export(owner=ANN) == []


@pytest.mark.parametrize("wrong", ["a\0b", "\ud800", "x" * 100_001], ids=["null", "half an emoji", "too long"])
async def test_a_fact_that_cannot_be_kept_costs_itself_and_no_other_run(
    memory: Memory, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    model = Model()
    model.finds = json.dumps(["tea", wrong])
    async with team(memory, model) as agency:
        await agency.run("I like tea", caller=Caller("ann"))
        await done(memory)
        model.finds = None
        await agency.run("I like milk", caller=Caller("ann"))
        await done(memory)
    assert texts(await memory.facts(owner=ANN)) == ["tea", "milk"]
    assert len(model.records) == 2, "nobody is asked about the first run again"
    assert "a fact that small found for the extraction of run" in caplog.text
    assert wrong not in caplog.text


async def test_a_fact_that_a_guardrail_refuses_costs_itself_and_no_other(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model()
    model.finds = json.dumps(["tea", "the card is 4111 1111 1111 1111"])
    guard = Guardrail(card_numbers(), on="memory", action="block")
    async with team(memory, model, hooks=[guard]) as agency:
        await agency.run("I like tea", caller=Caller("ann"))
        await done(memory)
        await agency.run("I like milk", caller=Caller("ann"))
        await done(memory)
    assert texts(await memory.facts(owner=ANN)) == ["tea", "tea"]
    assert len(model.records) == 2
    assert "4111" not in caplog.text


async def test_a_run_of_which_the_model_wants_to_hear_nothing_does_not_hold_up_the_next_ones(memory: Memory) -> None:
    model = Model()
    async with team(memory, model) as agency:
        model.refuses = "I like weapons"
        await agency.run("I like weapons", caller=Caller("ann"))
        await agency.run("I like tea", caller=Caller("ann"))
        while texts(await memory.facts(owner=ANN)) != ["tea"]:
            pass
    assert len(await memory.facts(owner=ANN, kind=DUE)) == 1, "it may hear of it another time"


async def test_what_is_erased_while_the_model_thinks_does_not_come_back(memory: Memory) -> None:
    model = Model()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Any:
        if request.model == "small":
            asked.set()
            await go_on.wait()
        return await model(request)

    agent = Agent("Clerk", skills=[memory_skill(memory, extract="small")])
    async with Agency(agent, model=function(slow)) as agency:
        await agency.run("I like tea", caller=Caller("ann"))
        await asked.wait()
        assert await memory.erase(owner=ANN) == 1
        go_on.set()
        await agency.run("I like milk", caller=Caller("ann"))
        await done(memory)
    assert [fact["text"] for fact in await memory.export(owner=ANN)] == ["milk"]


async def test_what_a_run_was_asked_is_looked_at_also_where_it_was_steered(memory: Memory) -> None:
    model = Model()
    waits, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def look() -> str:
        """Look."""
        waits.set()
        await go_on.wait()
        return "nothing"

    async def talk(request: Request) -> Any:
        return call("look") if request.messages[-1].text == "I like tea" else await model(request)

    agent = Agent("Clerk", tools=[look], skills=[memory_skill(memory, extract="small")])
    async with Agency(agent, model=function(talk)) as agency:
        await agency.run("I like milk", conversation="c", caller=Caller("ann"))
        handle = await agency.start_run("I like tea", conversation="c", caller=Caller("ann"))
        await waits.wait()
        await agency.steer("c", "hurry up")
        go_on.set()
        await handle
        await done(memory)
    assert model.records[1].splitlines() == [
        'user: "I like tea"',
        'user: "hurry up"',
        'assistant: "I like everything"',
    ]


async def test_a_replay_remembers_nothing(memory: Memory) -> None:
    model = Model()
    async with team(memory, model) as agency:
        await agency.run("I like tea", conversation="c", caller=Caller("ann"))
        await done(memory)
        await memory.erase(owner=ANN)
        assert (await agency.replay("c")).same
        assert await memory.export(owner=ANN) == []


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ('["a", "b", "a", " "]', ["a", "b"]),
        ('Here:\n```json\n["a"]\n```', ["a"]),
        ("[]", []),
        (json.dumps([str(number) for number in range(99)]), [str(number) for number in range(MOST_FACTS)]),
        ("nothing", None),
        ('["a", 1]', None),
        ('{"a": ["b"', None),
        ("[" * 100_000 + "]" * 100_000, None),
    ],
)
def test_what_of_an_answer_is_a_fact(answer: str, facts: list[str] | None) -> None:
    assert facts_in(answer) == facts


def test_a_record_is_what_user_and_assistant_said_and_not_too_long() -> None:
    said = [
        Message("system", "s"),
        Message("user", "a\nb"),
        Message("tool", "t", tool_call_id="1"),
        Message("assistant"),
    ]
    assert record_of(said) == 'user: "a\\nb"'
    assert record_of([Message("assistant", "x")]) == ""
    assert len(record_of([Message("user", "x" * 99_999)])) == MOST_SAID


async def scenario(sim: Simulation) -> None:
    """A process in which facts are taken out of two runs at once, and whoever comes back later finds them."""
    model = Model()

    async def main(system: System) -> None:
        with Memory(sim.folder / "memory.db") as memory:
            agency = team(memory, model, journal=sim.folder / "agency.db", system=system)
            sim.watch(agency)
            async with agency:
                handles = [
                    await agency.start_run(f"I like {what}", run_id=what, caller=Caller("ann"))
                    for what in ("tea", "milk")
                ]
                for handle in handles:
                    await handle
                await agency.run("I like salt", run_id="salt", caller=Caller("ann"))
                await agency.run("I like bread", caller=Caller("ann"))
                await done(memory)

    await sim.process("clerk", main)
    with Memory(sim.folder / "memory.db") as memory:
        found = texts(await memory.facts(owner=ANN))
        assert sorted(set(found)) == ["bread", "milk", "salt", "tea"]
        assert [found.count(what) for what in ("tea", "milk", "salt")] == [1, 1, 1], "each fact once per run"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_any_write_has_the_facts_of_each_run_once(when: Any) -> None:
    simulate(scenario, seeds=12, faults=[Restart("clerk", when=when)])
