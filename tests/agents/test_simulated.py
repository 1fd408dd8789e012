"""Agencies under the simulator: every schedule, with crashes at every message, gives the one right answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from callboard import Agency, Agent, handoff
from callboard.actors import ChildSpec
from callboard.actors.agents.errors import AgentError
from callboard.actors.agents.events import RunEvent
from callboard.actors.agents.events import ToolFinished as ToolEvent
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request
from callboard.tools import tool

CRASHES = [
    Crash("agency/A", when="before"),
    Crash("agency/A", when="after"),
    Crash("agency/B", when="before"),
    Crash("agency/B", when="after"),
    Crash("agency/A/one", when="before"),
    Crash("agency/A/one", when="after"),
    Crash("model", when="before"),
]


def model(request: Request) -> Any:
    asked = max(index for index, m in enumerate(request.messages) if m.role == "user")
    results = [m.text for m in request.messages[asked:] if m.role == "tool"]
    if request.messages[0].text == "a":
        return f"a: {results[-1]}" if results else call("SendMessage", "h", target_agent="B", message="go")
    return " ".join(results) if results else [call("work", "w1", part=1), call("work", "w2", part=2)]


async def team_of_two(sim: Simulation) -> None:
    @tool(idempotent=True)
    async def work(part: int) -> str:
        await asyncio.sleep(1)
        return f"part{part}"

    finished: Counter[tuple[str, str]] = Counter()

    def note(event: RunEvent) -> None:
        if isinstance(event, ToolEvent):
            finished[event.run, event.call_id] += 1

    a, b = Agent("A", "a"), Agent("B", "b", tools=[work])
    agency = Agency(a, b, flows=[(a, b)], model=ChildSpec(FunctionModel, (model,), name="model"), system=sim.system)
    async with agency:
        agency.subscribe(note)
        answers = await asyncio.gather(
            agency.run("go", conversation="one"), agency.run("go", conversation="one"), agency.run("go")
        )
        assert [answer.text for answer in answers] == ["a: part1 part2", "a: part1 part2", "a: part1 part2"]
        # The two runs of one conversation stand in its history one after the other.
        assert answers[1].messages[: len(answers[0].messages)] == answers[0].messages
        assert set(finished.values()) == {1}, f"a finished tool ran again: {finished}"
        await agency.release("one")


@pytest.mark.parametrize("strategy", ["uniform", "pct"])
def test_any_schedule_gives_the_answers_in_order(strategy: str) -> None:
    simulate(team_of_two, seeds=30, strategy=strategy)


@pytest.mark.parametrize("crash", CRASHES, ids=lambda c: f"{c.actor}-{c.when}")
def test_a_crash_at_any_message_under_any_schedule_loses_nothing(crash: Crash) -> None:
    simulate(team_of_two, seeds=30, faults=[crash])


async def cancelled_midway(sim: Simulation) -> None:
    @tool(idempotent=True)
    async def work(part: int) -> str:
        await asyncio.sleep(1)
        return f"part{part}"

    a, b = Agent("A", "a"), Agent("B", "b", tools=[work])
    agency = Agency(a, b, flows=[(a, b)], model=ChildSpec(FunctionModel, (model,), name="model"), system=sim.system)
    async with agency:
        run = asyncio.ensure_future(agency.run("go", conversation="one"))
        await asyncio.sleep(0.5)
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError, AgentError):
            await run
        answer = await agency.run("go", conversation="one")
        assert answer.text == "a: part1 part2"


def test_cancelling_races_with_crashes_and_the_conversation_stays_usable() -> None:
    simulate(cancelled_midway, seeds=30, faults=[Crash("agency/A/one"), Crash("agency/B")])


async def transferred_and_continued(sim: Simulation) -> None:
    def transferring(request: Request) -> Any:
        if request.messages[0].text == "a":
            return call("transfer_to_B", "t", message="yours")
        said = [m.text for m in request.messages if m.role == "user"]
        return f"b heard {' '.join(said)}"

    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, kind="transfer")])
    system = sim.system
    async with Agency(a, model=ChildSpec(FunctionModel, (transferring,), name="model"), system=system) as agency:
        first, second = await asyncio.gather(
            agency.run("one", conversation="one"), agency.run("two", conversation="one")
        )
        assert (first.text, first.agent) == ("b heard one", "B")
        assert (second.text, second.agent) == ("b heard one two", "B")
        await agency.release("one")


@pytest.mark.parametrize("crash", CRASHES, ids=lambda c: f"{c.actor}-{c.when}")
def test_a_transfer_survives_a_crash_at_any_message_under_any_schedule(crash: Crash) -> None:
    simulate(transferred_and_continued, seeds=20, faults=[crash])


def test_several_crashes_in_one_run_lose_nothing() -> None:
    simulate(team_of_two, seeds=40, faults=CRASHES)
