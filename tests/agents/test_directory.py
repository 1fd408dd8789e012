"""Who is in an agency: adding costs the same however many there are, and what is wrong is said at once."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from callboard import Agency, Agent, Skill, ToolDefinitionError, handoff, tool
from callboard.actors.agents.errors import DefinitionError, UnknownAgent
from callboard.actors.testing.doubles.models import Script
from callboard.providers.messages import Request

from .support import add, function, scripted


def calls_made(work: Callable[[], object]) -> int:
    """How many calls it takes, of Python's functions and of C's: a measure of its cost that no clock disturbs."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # a collection in between calls what looks on at collections
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize(
    ("flows", "more"),
    [((), lambda name: ()), ([("*", "A0")], lambda name: [("A0", name)]), ("*", lambda name: ())],
    ids=["no flows", "a flow to each", "everyone to everyone"],
)
async def test_adding_an_agent_costs_as_much_among_three_thousand_as_among_ten(flows: Any, more: Any) -> None:
    agency = Agency(Agent("A0"), flows=flows)
    costs = {}
    for number in range(1, 3_000):
        coming = agency.add_agent(Agent(f"A{number}", tools=[add]), flows=more(f"A{number}"))

        def take_in(coming: Any = coming) -> None:
            with pytest.raises(StopIteration):
                coming.send(None)

        if number in (10, 2_999):
            costs[number] = calls_made(take_in)
        else:
            take_in()
    assert costs[10] == costs[2_999]


def look_up(topic: str) -> str:
    """What is known of a topic."""
    return topic


async def test_a_thousand_agents_with_tools_of_their_own_take_less_than_seven_megabytes() -> None:
    agency = Agency(Agent("A0", tools=[tool(look_up), add]), model=scripted(Script(["ok"])))
    async with agency:
        await agency.run("?")  # what is loaded and made once does not count
        tracemalloc.start()
        try:
            for number in range(1, 1_001):
                await agency.add_agent(Agent(f"A{number}", "You are helpful.", tools=[tool(look_up), add]))
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken < 7 * 2**20


async def test_whom_an_agent_may_reach_follows_each_agent_that_is_added() -> None:
    offered: list[list[str]] = []

    def model(request: Request) -> str:
        tools = {spec.name: spec.parameters for spec in request.tools}
        offered.append(tools["SendMessage"]["properties"]["target_agent"]["enum"] if tools else [])
        return "ok"

    async with Agency(Agent("A"), Agent("B"), flows=[("A", "*"), ("B", "A")], model=function(model)) as agency:
        for agent in ("A", "B"):
            await agency.run("?", agent=agent)
        await agency.add_agent(Agent("C", handoffs=[Agent("D")]), flows=[("B", "C")])
        for agent in ("A", "B", "C", "D"):
            await agency.run("?", agent=agent)
        await agency.add_agent(Agent("E"))
        await agency.run("?", agent="A")
    assert offered == [["B"], ["A"], ["B", "C", "D"], ["A", "C"], ["D"], [], ["B", "C", "D", "E"]]


WRONG: dict[str, tuple[Callable[[], Agent], str]] = {
    "a tool and a handoff of one name": (
        lambda: Agent("X", tools=[tool(name="go")(lambda: "")], handoffs=[handoff(Agent("Y"), name="go")]),
        "called 'go'",
    ),
    "a tool called as what it delegates by": (
        lambda: Agent("X", tools=[tool(name="SendMessage")(lambda: "")], handoffs=[Agent("Y")]),
        "called 'SendMessage'",
    ),
    "an input that has no schema": (
        lambda: Agent("X", handoffs=[handoff(Agent("Y"), input_type=object())]),
        "input_type of delegate_to_Y is no type",
    ),
    "a name that nobody has": (lambda: Agent("X", handoffs=["Nobody"]), "'Nobody', who is not there"),
    "an answer that has no schema": (lambda: Agent("X", output_type=object()), "output_type .* is no type"),
    "a hook that is none": (lambda: Agent("X", hooks=[print]), "hooks are Guardrails, and what @hook"),  # type: ignore[list-item]
    "a skill that is none": (lambda: Agent("X", skills=["s"]), "skills are Skills, not 's'"),  # type: ignore[list-item]
    "hooks that are no sequence": (lambda: Agent("X", hooks=5), "hooks are a sequence of"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_with_an_agent_is_said_when_it_is_made_and_nothing_is_half_done(case: str) -> None:
    make, problem = WRONG[case]
    with pytest.raises(DefinitionError, match=problem):
        Agency(make())
    agency = Agency(Agent("A"), flows=[("A", "*")], model=scripted(Script(["ok"])))
    with pytest.raises(DefinitionError, match=problem):
        await agency.add_agent(make(), flows=[("A", "X")])
    assert (list(agency.agents), agency.flows) == (["A"], (("A", "*"),))
    async with agency:
        assert (await agency.run("?")).text == "ok"


class Unknown:
    """Nothing that a JSON schema can describe."""


async def test_a_tool_that_cannot_be_described_is_refused_before_anybody_runs() -> None:
    def look(at: Unknown) -> str:
        return ""

    with pytest.raises(ToolDefinitionError, match="no schema for its parameters"):
        Agency(Agent("A", tools=[look]))
    agency = Agency(Agent("A"))
    with pytest.raises(ToolDefinitionError, match="no schema for its parameters"):
        await agency.add_agent(Agent("B", tools=[look]))
    with pytest.raises(ToolDefinitionError, match="no schema for its parameters"):
        agency.add_tool("A", look)
    assert (list(agency.agents), agency.describe("A").tools) == (["A"], ())


class Broken:
    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        raise RuntimeError("half written")


def test_a_type_whose_schema_raises_is_named_with_its_tool() -> None:
    def look(at: Broken) -> str:
        return ""

    with pytest.raises((DefinitionError, ToolDefinitionError), match=r"look.*half written"):
        Agency(Agent("A", tools=[look]))


async def test_a_flow_to_nobody_leaves_everything_as_it_was() -> None:
    agency = Agency(Agent("A"))
    with pytest.raises(UnknownAgent, match=r"\(A, Nobody\) names nobody here; there are A, B"):
        await agency.add_agent(Agent("B"), flows=[("A", "B"), ("A", "Nobody")])
    with pytest.raises(DefinitionError, match="is not a pair"):
        await agency.add_agent(Agent("B"), flows=[("A", "B", "C")])  # type: ignore[list-item]
    assert (list(agency.agents), agency.flows) == (["A"], ())


def test_a_flow_by_which_a_tool_of_the_same_name_would_be_offered_is_refused() -> None:
    busy = Agent("A", tools=[tool(name="SendMessage")(lambda: "")])
    assert Agency(busy, Agent("B")).agents.keys() == {"A", "B"}
    with pytest.raises(DefinitionError, match="called 'SendMessage'"):
        Agency(busy, Agent("B"), flows=[("*", "B")])


def test_ten_thousand_agents_may_hand_off_to_each_other_in_one_chain() -> None:
    last = Agent("A0")
    for number in range(1, 10_000):
        last = Agent(f"A{number}", handoffs=[last])
    agency = Agency(last)
    assert list(agency.agents)[:2] == ["A9999", "A9998"]
    assert len(agency.agents) == 10_000


def test_agents_that_skills_hand_off_to_come_along() -> None:
    skill = Skill("review", handoffs=[Agent("Reviewer", handoffs=[Agent("Editor")])])
    assert list(Agency(Agent("A", skills=[skill]), Agent("B")).agents) == ["A", "Reviewer", "Editor", "B"]
