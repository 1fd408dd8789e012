"""A conversation may change hands as often as it likes: limits are per run, and a turn goes to its owner directly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Request, handoff
from callboard.actors.agents.events import RunEvent, RunStarted

from .support import Lock, call, function, outcome, passes, said, stand_still_until_more_is_stored, stored

TURNS = 40


def model(request: Request) -> Any:
    """An agent that gives the conversation to the other one where it is asked for."""
    here, wanted = request.messages[0].text, said(request).split()[-1]
    return f"{here} here" if here == wanted else call(f"transfer_to_{wanted}", message="yours")


def team(journal: Path | None = None) -> Agency:
    """Two agents, each of which may give the conversation to the other."""
    a = Agent("A", "A", handoffs=[handoff("B", kind="transfer")])
    b = Agent("B", "B", handoffs=[handoff("A", kind="transfer")])
    return Agency(a, b, model=function(model), journal=journal)


async def turns(agency: Agency, numbers: range) -> None:
    """Turns of which each goes to the agent that did not answer the last one."""
    for number in numbers:
        wanted = "B" if number % 2 == 0 else "A"
        answer = await outcome(agency.run(f"turn {number} to {wanted}", conversation="c"))
        assert isinstance(answer, Answer), f"turn {number} ended in {answer!r}"
        assert (answer.text, answer.agent) == (f"{wanted} here", wanted)


async def test_a_conversation_may_change_hands_in_every_turn() -> None:
    async with team() as agency:
        await turns(agency, range(TURNS))
        await agency.release("c")


async def test_a_turn_costs_as_much_after_many_transfers_as_after_the_first() -> None:
    started: list[RunEvent] = []
    async with team() as agency:
        agency.subscribe(lambda event: started.append(event) if isinstance(event, RunStarted) else None)
        counts = []
        for number in range(12):
            started.clear()
            await turns(agency, range(number, number + 1))
            counts.append(len(started))
    assert max(counts[2:]) <= counts[1] + 1, f"each turn is forwarded along all earlier ones: {counts} runs for a turn"


async def test_the_new_owner_has_the_whole_conversation_each_time() -> None:
    async with team() as agency:
        await turns(agency, range(12))
        answer = await outcome(agency.run("last to A", conversation="c"))
        asked = [message.text for message in answer.messages if message.role == "user"]
        assert asked == [*(f"turn {n} to {'B' if n % 2 == 0 else 'A'}" for n in range(12)), "last to A"]


@pytest.mark.parametrize("stops", [(10,), (17, 20)])
async def test_transfers_of_earlier_processes_count_against_nobody(tmp_path: Path, stops: tuple[int, ...]) -> None:
    begin = 0
    for end in (*stops, 24):
        async with team(tmp_path / "j.db") as agency:
            await turns(agency, range(begin, end))
        begin = end


@pytest.mark.parametrize("number", range(4))
async def test_a_turn_cancelled_as_its_answer_arrives_from_the_new_owner_crashes_nobody(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "j.db"
    async with team(path) as agency:
        assert agency.system is not None
        await turns(agency, range(1))
        crashed: list[Any] = []
        agency.system.subscribe(lambda event: crashed.append(event) if event.kind == "crashed" else None)
        finished = asyncio.Event()
        agency.subscribe(lambda event: finished.set() if type(event).__name__ == "CompletionFinished" else None)
        lock = Lock(path)
        unsubscribe = agency.subscribe(
            lambda event: lock.take() if type(event).__name__ == "CompletionStarted" else None
        )
        run = asyncio.ensure_future(agency.run("turn 1 to B", conversation="c"))
        async with asyncio.timeout(5):
            await finished.wait()
        unsubscribe()
        await passes(10)  # the answer waits for its commit
        before = len(stored(path))
        run.cancel()
        await passes(number)
        lock.close()
        stand_still_until_more_is_stored(path, before)  # so it is the pass that was meant
        await asyncio.wait([run])
        await passes(50)
        assert crashed == [], f"{crashed[0].detail}"
        answer = await outcome(agency.run("last to B", conversation="c"))
        assert isinstance(answer, Answer), repr(answer)
