"""Agents that are given something, or lose it, while they are at work; and what they say they can do."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, HookContext, Skill, guardrail, handoff, hook, tool
from callboard.actors import ChildSpec
from callboard.actors.agents.errors import DefinitionError, UnknownAgent
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel, Script, call
from callboard.providers.errors import ProviderError
from callboard.providers.messages import Request

from .support import add, function, scripted

CRASHES = [Crash(actor, when=when) for actor in ("agency/A", "agency/A/c") for when in ("before", "after")]


@tool(risk="safe")
async def double(a: int) -> int:
    """Twice a number."""
    return 2 * a


@hook("request")
def note(context: HookContext) -> None:
    context.state["noted"] = True


def offered(request: Request) -> list[str]:
    return [spec.name for spec in request.tools]


async def test_a_run_under_way_sees_what_its_agent_is_given_from_its_next_completion_on() -> None:
    seen: list[list[str]] = []

    def model(request: Request) -> Any:
        seen.append(offered(request))
        if len(seen) == 1:
            agency.add_tool("A", double)
            return call("add", a=1, b=2)
        return call("double", a=3) if len(seen) == 2 else request.messages[-1].text

    async with Agency(Agent("A", tools=[add]), model=function(model)) as agency:
        answer = await agency.run("?")
    assert seen == [["add"], ["add", "double"], ["add", "double"]]
    assert answer.text == "6"


async def test_a_call_that_was_made_is_carried_out_though_its_tool_is_taken_away() -> None:
    seen: list[list[str]] = []

    def model(request: Request) -> Any:
        seen.append(offered(request))
        if len(seen) == 1:
            agency.remove_tool("A", "add")
            return call("add", a=1, b=2)
        return call("add", a=1, b=2) if len(seen) == 2 else request.messages[-1].text

    async with Agency(Agent("A", tools=[add]), model=function(model)) as agency:
        answer = await agency.run("?")
    assert seen == [["add"], [], []]
    assert answer.messages[2].text == "3"
    assert "no tool is called 'add'" in answer.text


async def test_hooks_handoffs_and_skills_come_and_go() -> None:
    called: list[str] = []
    late = hook("request")(lambda context: called.append("late"))
    script = Script(["one", call("SendMessage", target_agent="B", message="go"), "from b", "two", "three", "four"])
    agency = Agency(Agent("A", "You are A."), model=scripted(script))
    async with agency:
        agency.add_hook("A", late)
        await agency.run("?")
        agency.add_handoff("A", Agent("B", "You are B."))
        agency.remove_hook("A", late)
        assert (await agency.run("?")).text == "two"
        agency.remove_handoff("A", "B")
        agency.add_skill("A", Skill("sums", "You can add.", tools=[add]))
        await agency.run("?")
        agency.remove_skill("A", "sums")
        await agency.run("?")
    assert called == ["late"]
    assert list(agency.agents) == ["A", "B"], "who has joined stays"
    assert [offered(request) for request in script.requests] == [
        *([], ["SendMessage"], [], ["SendMessage"]),
        *(["add"], []),
    ]
    assert [request.messages[0].text for request in script.requests[-2:]] == [
        "You are A.\n\nYou can add.",
        "You are A.",
    ]


async def test_an_agent_that_joins_by_a_handoff_can_be_asked_itself() -> None:
    newcomer = Agent("B", "You are B.")
    async with Agency(Agent("A"), model=scripted(Script(["b"]))) as agency:
        agency.add_handoff("A", handoff(newcomer))
        assert (await agency.run("?", agent=newcomer)).agent == "B"
        agency.add_tool(newcomer, add)
        agency.add_handoff("A", newcomer)  # by the object it was given as, though it has been changed since
    assert agency.diagram().count('"B"') == 1


async def test_an_agent_in_two_agencies_is_changed_in_the_one_only() -> None:
    shared = Agent("A", tools=[add])
    one, other = Agency(shared), Agency(shared)
    one.add_tool(shared, double)
    assert [len(each.describe("A").tools) for each in (one, other)] == [2, 1]
    assert [each.name for each in shared.all_tools] == ["add"]


async def test_what_was_added_outlives_a_crash_of_the_agents_actor() -> None:
    script = Script(["one", "two"])
    async with Agency(Agent("A"), model=scripted(script)) as agency:
        await agency.run("?")
        agency.add_tool("A", add)
        agency._runtime.agents["A"].kill()
        await agency.run("?")
    assert [offered(request) for request in script.requests] == [[], ["add"]]


async def test_any_thread_may_change_an_agent_while_it_is_at_work() -> None:
    go = asyncio.Event()

    async def model(request: Request) -> str:
        await go.wait()
        return str(len(request.tools))

    agency = Agency(Agent("A"), model=function(model))

    def register(thread: int) -> None:
        for number in range(25):
            agency.add_tool("A", tool(name=f"t{thread}_{number}")(lambda: ""))
            agency.add_handoff("A", Agent(f"B{thread}_{number}"))
            if number % 5:
                agency.remove_tool("A", f"t{thread}_{number}")

    async with agency:
        runs = [asyncio.ensure_future(agency.run("?")) for _ in range(5)]
        await asyncio.gather(*(asyncio.to_thread(register, thread) for thread in range(8)))
        go.set()
        await asyncio.gather(*runs)
        assert (await agency.run("?")).text == str(8 * 5 + 1)
        assert (await agency.run("?", agent="B7_24")).text == "0"
    assert len(agency.agents) == 1 + 8 * 25


async def changed_midway(sim: Simulation) -> None:
    """Two runs, in which the agent is given a tool, and loses it, at moments that the schedule chooses."""

    async def model(request: Request) -> Any:
        await asyncio.sleep(random.uniform(0, 0.005))
        has = offered(request)
        results = [message.text for message in request.messages if message.role == "tool"]
        return call(has[0], str(len(request.messages)), a=3) if has and len(results) < 2 else f"{len(results)} results"

    async def change() -> None:
        for _ in range(3):
            agency.add_tool("A", double)
            await asyncio.sleep(random.uniform(0, 0.01))
            agency.remove_tool("A", "double")
            await asyncio.sleep(random.uniform(0, 0.01))

    spec = ChildSpec(FunctionModel, (model,), name="model")
    async with Agency(Agent("A"), model=spec, system=sim.system) as agency:
        changing = asyncio.ensure_future(change())
        answers = [await agency.run("?", conversation="c") for _ in range(4)]
        await changing
    for answer in answers:
        assert problems(answer.messages) == []
        assert answer.text.endswith("results")


@pytest.mark.parametrize(
    "crash", [None, *CRASHES], ids=lambda crash: f"{crash.actor} {crash.when}" if crash else "none"
)
def test_changes_at_any_moment_under_any_schedule_and_crash_leave_every_run_its_answer(crash: Crash | None) -> None:
    simulate(changed_midway, seeds=15, faults=[] if crash is None else [crash])


async def test_what_was_added_is_no_affair_of_the_journal(tmp_path: Path) -> None:
    script = Script(["one", "two"])
    for number in range(2):
        async with Agency(Agent("A"), model=scripted(script), journal=tmp_path / "j.db") as agency:
            if not number:
                agency.add_tool("A", add)
            await agency.run("?", conversation="c")
    assert [offered(request) for request in script.requests] == [["add"], []]


skill = Skill("base", tools=[double])
built = Skill("built", requires=[skill])
WRONG: dict[str, tuple[Callable[[Agency], object], str]] = {
    "a tool twice": (lambda agency: agency.add_tool("A", add), "two tools are called 'add'"),
    "a tool that is none": (lambda agency: agency.add_tool("A", 5), "5 is no tool"),  # type: ignore[arg-type]
    "a tool called as a handoff": (
        lambda agency: agency.add_tool("A", tool(name="delegate_to_B")(lambda: "")),
        "called 'delegate_to_B'",
    ),
    "a tool that is not there": (lambda agency: agency.remove_tool("A", "ad"), "no tool called 'ad'; there are: add"),
    "a tool of a skill": (lambda agency: agency.remove_tool("A", "double"), "belongs to a skill"),
    "a hook that is none": (lambda agency: agency.add_hook("A", print), "hooks are Guardrails, and what @hook"),  # type: ignore[arg-type]
    "a hook that is not there": (lambda agency: agency.remove_hook("A", "other"), "no hook called 'other'"),
    "a handoff to nobody": (lambda agency: agency.add_handoff("A", "C"), "'C', who is not there"),
    "a handoff to a stranger of the same name": (lambda agency: agency.add_handoff("A", Agent("B")), "two agents"),
    "a handoff twice": (
        lambda agency: agency.add_handoff("A", handoff("B")),
        "has the handoff 'delegate_to_B' already",
    ),
    "a handoff that is not there": (lambda agency: agency.remove_handoff("A", "C"), "no handoff called 'C'"),
    "a skill that brings what is there": (
        lambda agency: agency.add_skill("A", Skill("more", tools=[add])),
        "two tools are called 'add'",
    ),
    "another skill of a name that is there": (
        lambda agency: agency.add_skill("A", Skill("more", requires=[Skill("base")])),
        "two skills are called 'base'",
    ),
    "a skill twice": (lambda agency: agency.add_skill("A", built), "has the skill 'built' already"),
    "a skill that is not there": (
        lambda agency: agency.remove_skill("A", "x"),
        "no skill called 'x'; there are: built",
    ),
    "a skill that another one requires": (lambda agency: agency.remove_skill("A", "base"), "another one requires it"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_change_that_cannot_be_is_refused_by_name_and_nothing_is_changed(case: str) -> None:
    change, problem = WRONG[case]
    agent = Agent("A", tools=[add], hooks=[note], handoffs=[handoff(Agent("B"))], skills=[built])
    async with Agency(agent, model=scripted(Script(["ok"]))) as agency:
        before = agency.describe("A")
        with pytest.raises(DefinitionError, match=problem):
            change(agency)
        assert (agency.describe("A"), list(agency.agents)) == (before, ["A", "B"])
        assert (await agency.run("?")).text == "ok"


def test_what_answers_by_itself_is_given_nothing_that_it_would_not_use() -> None:
    class Answering:
        name = "B"
        description = ""

        async def answer(self, request: Any) -> str:
            return "mine"

    with pytest.raises(DefinitionError, match="B answers by itself, and has no tools, hooks, handoffs or skills"):
        Agency(Agent("A"), Answering()).add_tool("B", add)


def test_a_change_of_nobody_is_refused() -> None:
    with pytest.raises(UnknownAgent, match="no agent is called 'X'; there are A"):
        Agency(Agent("A")).add_tool("X", add)


def test_an_agent_says_what_it_can_do_and_where_it_has_it_from() -> None:
    @guardrail("response")
    def decent(context: HookContext) -> None:
        """Nothing rude."""

    review = Skill("review", "You review.\nThoroughly.", tools=[double], handoffs=[Agent("C", description="Checks.")])
    agent = Agent(
        "A",
        description="Answers.",
        model="large",
        tools=[add],
        hooks=[note, decent],
        handoffs=[Agent("B", description="Helps."), handoff(Agent("D"), kind="transfer")],
        skills=[review],
        output_type=int,
        autonomy="supervised",
    )
    agency = Agency(agent, Agent("E"), flows=[("A", "E")])
    said = json.loads(json.dumps(asdict(agency.describe("A"))))
    assert [said[key] for key in ("name", "description", "model", "autonomy", "output_type", "scopes")] == [
        *("A", "Answers.", "large", "supervised", "int"),
        ["all"],
    ]
    assert [(one["name"], one["source"], one["details"]["risk"]) for one in said["tools"]] == [
        ("add", "own", "safe"),
        ("double", "skill review", "safe"),
    ]
    assert said["tools"][0]["details"]["parameters"]["properties"].keys() == {"a", "b"}
    assert [(one["name"], one["details"]["target"], one["source"]) for one in said["handoffs"]] == [
        ("transfer_to_D", "D", "own"),
        ("SendMessage", "B", "own"),
        ("SendMessage", "C", "skill review"),
        ("SendMessage", "E", "flow"),
    ]
    assert [(one["name"], one["description"], one["details"]["guardrail"]) for one in said["hooks"]] == [
        ("decent", "response", True),
        ("note", "request", False),
    ]
    assert [(one["name"], one["description"], one["source"]) for one in said["skills"]] == [
        ("review", "You review.", "own")
    ]
    assert agency.describe("E").tools == ()


async def test_an_agent_is_given_another_model_which_somebody_must_have() -> None:
    async with Agency(Agent("A", tools=[add]), model="offline") as agency:
        await agency.set_model("A", "offline:other")
        assert agency.describe("A").model == "offline:other"
        with pytest.raises(ProviderError, match="nosuch"):
            await agency.set_model("A", "nosuch")
        with pytest.raises(DefinitionError, match="model"):
            await agency.set_model("A", 5)  # type: ignore[arg-type]
        with pytest.raises(UnknownAgent):
            await agency.set_model("B", "offline")
        assert agency.describe("A").model == "offline:other", "nothing is changed"
