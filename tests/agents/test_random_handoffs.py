"""Every kind of target in one team: whatever schedule, crash or cancellation, there is one outcome, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    AgentRequest,
    Answer,
    ChildSpec,
    ModelTarget,
    Pipeline,
    Request,
    handoff,
)
from callboard.actors.agents.events import RunEvent
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel, call

from .support import cancelled_at, function, until

TARGETS = ("Line", "Clerk", "big", "Summed", "ask")


class Clerk:
    """An agent of one's own class."""

    name = "Clerk"
    description = "Knows the files."

    def __init__(self, ran: Counter[str]) -> None:
        self.ran = ran

    async def answer(self, request: AgentRequest) -> Answer:
        await asyncio.sleep(0)
        self.ran["Clerk"] += 1
        return Answer("from the files", cost=1.0)


def team(ran: Counter[str]) -> list[Any]:
    """A lead who hands to every kind of target, one after the other."""

    async def loud(text: str) -> str:
        await asyncio.sleep(0)
        ran["loud"] += 1
        return text.upper()

    clerk = Clerk(ran)
    summed = Agent("Summed", "summed")

    @handoff
    async def ask(message: str) -> Agent:
        """Ask whoever knows."""
        return summed

    line = Pipeline("Line", Agent("One", "one"), loud)
    offered = [handoff(line), handoff(clerk), handoff(ModelTarget("big")), handoff(summed, summary=True), ask]
    return [Agent("Lead", "lead", handoffs=offered)]


def model(request: Request) -> Any:
    """The lead hands on to each target in turn; the others answer with who they are."""
    wrong = problems([message for message in request.messages if message.role != "system"])
    assert wrong == [], f"a vendor would refuse this history: {wrong}"
    if request.messages[0].text != "lead":
        return "a summary" if "sum up" in request.messages[0].text else f"{request.messages[0].text} here"
    if request.model == "big":
        return "big here"
    done = [message for message in request.messages if message.role == "tool"]
    if len(done) == len(TARGETS):
        return " / ".join(message.text for message in done)
    target = TARGETS[len(done)]
    name = target if target == "ask" else f"delegate_to_{target}"
    return call(name, f"h{len(done)}", message=f"task {len(done)}")


WANTED = "ONE HERE / from the files / big here / summed here / summed here"
CHAIN = (
    "Lead → Line",
    "Line → One",
    "Line → Line-loud",
    "Lead → Clerk",
    "Lead → Lead-big",
    "Lead → Summed",
    "Lead → Summed",
)
CRASHES = [
    Crash(path, when=when)
    for path in ("agency/Lead", "agency/Lead/c", "agency/Clerk", "agency/Line-loud", "agency/Summed")
    for when in ("before", "after")
]


async def all_targets(sim: Simulation) -> None:
    agency = Agency(*team(Counter()), model=ChildSpec(FunctionModel, (model,), name="model"), system=sim.system)
    async with agency:
        answer = await agency.run("go", conversation="c")
        assert answer.text == WANTED
        assert answer.chain == CHAIN
        assert answer.cost == 1.0
        await until(lambda: not agency._runtime.register._entries)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: f"{crash.actor}-{crash.when}")
def test_whoever_crashes_every_kind_of_target_answers_once(crash: Crash) -> None:
    simulate(all_targets, seeds=3, faults=[crash])


def test_every_kind_of_target_answers_under_any_schedule() -> None:
    simulate(all_targets, seeds=15)


async def _stopped_at(at: int, stream: bool) -> bool:
    """Cancel the run at its at-th event; whether that came before its end."""
    async with Agency(*team(Counter()), model=function(model)) as agency:
        before = asyncio.all_tasks()
        cancelled = await cancelled_at(at, agency, stream=stream)
        view = await agency.conversation("c")
        assert problems(view.messages) == []
        await until(lambda: len(asyncio.all_tasks()) <= len(before) + 1)
        runtime = agency._runtime
        await until(lambda: [*runtime.unkept, *(header.name for header in runtime.journal.headers())] == ["Lead/c"])
        assert not agency._runtime.register._entries
        return cancelled


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelled_at_any_event_nothing_goes_on_and_the_history_is_valid(stream: bool) -> None:
    at, cancelled = 1, True
    while cancelled:
        async with asyncio.timeout(10):
            cancelled = await _stopped_at(at, stream)
        at += 1
    assert at > 25, "the test cancelled hardly anything"


@pytest.mark.parametrize("at", range(4, 40, 5))
async def test_a_process_that_stops_at_any_event_leaves_every_result_to_the_next_one(at: int, tmp_path: Path) -> None:
    ran: Counter[str] = Counter()
    reached = asyncio.Event()
    count = 0

    def look(event: RunEvent) -> None:
        nonlocal count
        count += 1
        if count == at:
            reached.set()

    async with Agency(*team(ran), model=function(model), journal=tmp_path / "j.db") as agency:
        agency.subscribe(look)
        await agency.start_run("go", conversation="c", run_id="r")
        await reached.wait()
    finished = Counter(ran)
    async with Agency(*team(ran), model=function(model), journal=tmp_path / "j.db") as agency:
        answer = await agency.run("go", conversation="c", run_id="r")
    assert (answer.text, answer.chain) == (WANTED, CHAIN)
    assert all(ran[name] <= finished[name] + 1 for name in ran)
    assert answer.cost == 1.0


async def test_a_replay_of_every_kind_of_target_finds_no_difference_and_calls_nobody(tmp_path: Path) -> None:
    ran: Counter[str] = Counter()
    async with Agency(*team(ran), model=function(model), journal=tmp_path / "j.db") as agency:
        await agency.run("go", conversation="c")
        before = Counter(ran)
        report = await agency.replay("c")
        assert report.same, [str(difference) for difference in report.differences]
        assert ran == before
        targets = [ability.details["target"] for ability in agency.describe("Lead").handoffs]
    assert targets == ["Line", "Clerk", "Lead-big", "Summed", ""]
