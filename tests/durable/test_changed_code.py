"""A run goes on under the code of the day: it ends in an answer or a named error, never in a hang."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Limits, Request, request_context, tool
from callboard.actors.agents.errors import AgentError, RunError, UnknownAgent

from .support import call, function, left_behind, only_agent, outcome, passes, results


@tool
async def note(number: int) -> str:
    """The tool of the program that dies."""
    return f"noted {number}"


@tool(idempotent=True)
async def look() -> str:
    """The tool of the program that dies, living."""
    return "seen"


def steps(request: Request) -> Any:
    """Three tool calls one after another, and an answer."""
    number = len(results(request))
    return call("note", f"n{number}", number=number) if number < 3 else f"noted {number} times"


@pytest.mark.parametrize("limits", [Limits(steps=1), Limits(steps=2), Limits(tokens=1), Limits(cost=0.0)], ids=str)
async def test_limits_lowered_between_two_runs_hold_for_the_later_run_only(tmp_path: Path, limits: Limits) -> None:
    path = tmp_path / "j.db"
    async with Agency(Agent("A", tools=[note]), model=function(steps), journal=path) as agency:
        first = await outcome(agency.run("first", conversation="c"))
        assert first.text == "noted 3 times"
    agent = Agent("A", tools=[note], limits=limits)
    async with Agency(agent, model=function(lambda request: "short"), journal=path) as agency:
        second = await outcome(agency.run("second", conversation="c"))
        assert isinstance(second, Answer), f"the earlier run's steps were held against the later one: {second!r}"
        assert second.text == "short"
        assert second.messages[: len(first.messages)] == first.messages


async def test_limits_lowered_for_one_run_in_one_process_leave_the_conversation_usable_after_a_crash() -> None:
    async with Agency(Agent("A", tools=[note]), model=function(steps)) as agency:
        assert agency.system is not None
        for limits in (None, Limits(steps=1), None):
            run = await outcome(agency.run("?", conversation="c", limits=limits))
            assert isinstance(run, Answer if limits is None else RunError)
            ref = agency.system.find("agency/A/c")
            assert ref is not None
            ref.kill()
            await passes(50)


async def test_an_unfinished_run_ends_by_name_under_limits_lower_than_what_it_has_used(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "steps")
    async with only_agent(lambda request: "done", path, tools=[note, look], limits=Limits(steps=2)) as agency:
        (resumed,) = agency.resumed.values()
        assert isinstance(await outcome(resumed), Answer | RunError)
        assert (await outcome(agency.run("more", conversation="c"))).text == "done"


@pytest.mark.parametrize("moment", ["effect", "tool", "approval"])
async def test_an_unfinished_run_of_an_agent_that_has_gone_ends_in_unknown_agent(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "j.db"
    left_behind(path, moment)
    async with Agency(Agent("Renamed", "a"), model=function(lambda request: "fine"), journal=path) as agency:
        (resumed,) = agency.resumed.values()
        error = await outcome(resumed, "a run whose agent has gone")
        assert isinstance(error, UnknownAgent)
        assert "A" in str(error)
        assert (await outcome(agency.run("?"))).text == "fine"


async def test_an_unfinished_run_whose_tools_have_gone_ends_in_an_answer_or_by_name(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "tool")
    async with only_agent(lambda request: "done", path) as agency:
        (resumed,) = agency.resumed.values()
        assert isinstance(await outcome(resumed), Answer | AgentError)


async def test_text_that_the_runs_own_output_type_refuses_is_no_answer_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "form")
    async with only_agent(lambda request: "still no number", path) as agency:
        (resumed,) = agency.resumed.values()
        error = await outcome(resumed)
        assert isinstance(error, AgentError), f"what the type refuses became the answer: {error!r}"


async def test_values_come_back_from_the_journal_as_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "values")
    seen: list[dict[str, Any]] = []

    @tool(idempotent=True, name="look")
    async def looking() -> str:
        context = request_context()
        assert context is not None
        seen.append(dict(context.metadata))
        return "seen"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("look")

    async with only_agent(model, path, tools=[looking]) as agency:
        (resumed,) = agency.resumed.values()
        assert (await outcome(resumed)).text == "done"
    assert seen == [{"plan": "gold", "many": ["gold"], "number": 3}]


async def test_an_answer_given_in_the_last_moment_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    left_behind(path, "answer")
    asked: list[Request] = []

    def model(request: Request) -> str:
        asked.append(request)
        return "again"

    for again in range(3):
        async with only_agent(model, path) as agency:
            resumed = [await outcome(run) for run in agency.resumed.values()]
            assert [answer.text for answer in resumed] == (["done"] if again == 0 else [])
            await asyncio.sleep(0)
    assert asked == [], "a finished completion was bought again"
