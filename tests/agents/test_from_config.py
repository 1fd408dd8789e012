"""Agents from plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    AfterSteps,
    Agent,
    Caller,
    HookContext,
    LabelPolicy,
    Limits,
    RunSoFar,
    Skill,
    StepPlan,
    Window,
    hook,
    tool,
)
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.prompts.markdown.instructions import instructions_for
from callboard.actors.agents.teamfile.schema import AgentEntry
from callboard.tools import ToolRegistry

from .support import add

HERE = __name__


@dataclass
class Report:
    """What an answer may have to fit."""

    title: str
    pages: int


@hook("request", priority=3)
def note(context: HookContext) -> None:
    """Notes a request."""


@tool(risk="safe")
async def look_up(topic: str) -> str:
    """What is known of a topic."""
    return topic


enough = AfterSteps(2)


def plan(run: RunSoFar) -> StepPlan | None:
    """Plans nothing."""
    return None


sums = Skill("sums", "You can add.", tools=[add])
newest = Window(messages=20)

EVERYTHING: dict[str, Any] = {
    "name": "Writer",
    "instructions": "You write.",
    "model": "large",
    "tools": [f"{HERE}:look_up"],
    "handoffs": ["Editor"],
    "description": "Writes.",
    "limits": {"steps": 3, "cost": 0.5},
    "autonomy": "supervised",
    "output_type": f"{HERE}:Report",
    "stop_when": f"{HERE}:enough",
    "prepare_step": f"{HERE}:plan",
    "context": f"{HERE}:newest",
    "settings": {"temperature": 0.5, "stop": ["END"]},
    "hooks": [f"{HERE}:note"],
    "skills": ["sums"],
    "scope": ["staff", "auditor"],
    "owner": {"user": "ann", "tenant": "acme"},
    "label_policy": {"trusted": ["tool look_up"], "confidential": {"salaries": ["payroll"]}, "barred": "refuse"},
}


def test_every_field_can_be_said_in_plain_data() -> None:
    agent = Agent.from_config(EVERYTHING, skills=[sums])
    assert (agent.name, agent.instructions, agent.model, agent.description) == (
        "Writer",
        "You write.",
        "large",
        "Writes.",
    )
    assert [each.name for each in agent.all_tools] == ["look_up", "add"]
    assert (agent.handoffs, agent.limits, agent.autonomy) == (("Editor",), Limits(steps=3, cost=0.5), "supervised")
    assert (agent.output_type, agent.settings["temperature"]) == (Report, 0.5)
    assert (agent.stop_when, agent.prepare_step, agent.context) == (enough, plan, newest)
    assert (agent.hooks, agent.skills) == ((note,), (sums,))
    trusts = frozenset({"tool look_up"})
    assert agent.label_policy == LabelPolicy(
        trusted=trusts, confidential={"salaries": frozenset({"payroll"})}, barred="refuse"
    )
    assert (set(agent.scope), agent.owner) == ({"staff", "auditor"}, Caller("ann", "acme"))


@pytest.mark.parametrize("field", [each.name for each in fields(Agent)])
def test_no_field_is_left_out(field: str) -> None:
    whole = Agent.from_config(EVERYTHING, skills=[sums])
    said = {field: EVERYTHING.get(field, getattr(whole, field))}
    assert getattr(Agent.from_config({"name": "A", **said}, skills=[sums]), field) == getattr(whole, field)


@pytest.mark.parametrize("tools", [{"add": add}, [add], ToolRegistry([add])], ids=["mapping", "list", "registry"])
def test_names_stand_for_what_is_given(tools: Any) -> None:
    agent = Agent.from_config({"name": "A", "tools": ["add"]}, tools=tools)
    assert agent.all_tools == (add,)


def test_a_name_may_stand_for_a_function_of_another_name() -> None:
    def search(topic: str) -> str:
        return topic

    agent = Agent.from_config({"name": "A", "tools": ["find"]}, tools={"find": search})
    assert [each.name for each in agent.all_tools] == ["search"]


def test_objects_are_taken_as_they_are() -> None:
    said = {
        "name": "A",
        "tools": [add],
        "hooks": [note],
        "skills": [sums],
        "limits": Limits(steps=1),
        "output_type": Report,
    }
    agent = Agent.from_config({**said, "skills": []})
    assert (agent.all_tools, agent.hooks, agent.limits, agent.output_type) == ((add,), (note,), Limits(steps=1), Report)


def test_a_role_takes_the_instructions_from_a_file() -> None:
    assert Agent.from_config({"name": "A", "role": "developer"}).instructions == instructions_for("developer")
    assert Agent.from_config({"name": "A", "role": "developer", "instructions": "Mine."}).instructions == "Mine."


def test_a_team_file_can_say_every_field() -> None:
    of_agents = {each.name for each in fields(Agent)}
    assert of_agents - set(AgentEntry.model_fields) == {"name"}, "the name is the key"
    assert set(AgentEntry.model_fields) - of_agents == {"mcp"}


def test_a_class_of_ones_own_has_its_own_fields() -> None:
    @dataclass(eq=False)
    class Regional(Agent):
        region: str = "eu"

    assert Regional.from_config({"name": "R", "region": "us"}).region == "us"
    with pytest.raises(DefinitionError, match="an agent has no 'region'"):
        Agent.from_config({"name": "R", "region": "us"})


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": (["A"], "expected a mapping of an agent's fields"),
    "a field that is not there": ({"limit": {}}, r"agent A\.limit: an agent has no 'limit'; did you mean 'limits'"),
    "a tool that is not there": ({"tools": ["ad"]}, r"agent A\.tools\[0\]: no tool is called 'ad'; did you mean 'add'"),
    "a hook that is not there": ({"hooks": ["x"]}, r"hooks\[0\]: no hook is called 'x'; there are: none"),
    "a module that is not there": ({"tools": ["add", "nowhere:x"]}, r"tools\[1\]: no module is called 'nowhere'"),
    "a name that is not in its module": ({"tools": [f"{HERE}:zzzzzz"]}, r"tools\[0\]: \S+ has no 'zzzzzz'$"),
    "something else than a hook": ({"hooks": [f"{HERE}:sums"]}, "expected a Guardrail, or a hook, made with @hook"),
    "something else than a skill": ({"skills": [f"{HERE}:note"]}, "expected a Skill"),
    "something else than a tool": ({"tools": [f"{HERE}:Report"]}, "expected a function or a tool; .* is a class"),
    "something else than a type": ({"output_type": f"{HERE}:sums"}, r"agent A\.output_type: expected a type"),
    "a field that a label policy has not": (
        {"label_policy": {"risk": ["risky"]}},
        r"agent A\.label_policy\.risk: a label policy has no 'risk'; did you mean 'risks'",
    ),
    "a label policy of another shape": (
        {"label_policy": {"barred": "never"}},
        r"agent A\.label_policy: LabelPolicy\.barred is ask, refuse or end, not 'never'",
    ),
    "something else than a condition": ({"stop_when": f"{HERE}:Report"}, r"agent A\.stop_when: expected a function"),
    "something else than a plan": (
        {"prepare_step": f"{HERE}:EVERYTHING"},
        r"agent A\.prepare_step: expected a function",
    ),
    "a context strategy that is none": (
        {"context": f"{HERE}:plan"},
        r"agent A\.context: expected a context strategy, .*; .*:plan is a value of type function",
    ),
    "a plan that is not there": ({"prepare_step": f"{HERE}:nothing"}, r"agent A\.prepare_step: .*nothing"),
    "a text for a list": ({"tools": "add"}, r"agent A\.tools: expected a list of tools, not 'add'"),
    "a limit that is not there": (
        {"limits": {"step": 3}},
        r"agent A\.limits\.step: limits have no 'step'; did you",
    ),
    "a limit that is none": ({"limits": {"steps": -1}}, "steps"),
    "an object that is no hook": ({"hooks": [print]}, "hooks are Guardrails, and what @hook and @guardrail make"),
    "an owner of another shape": ({"owner": {"name": "ann"}}, r"agent A\.owner\.name: an owner has no 'name'"),
    "no name": ({"name": ""}, "agent name ''"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_its_place_and_what_there_is(case: str) -> None:
    data, problem = WRONG[case]
    with pytest.raises(DefinitionError, match=problem):
        Agent.from_config({"name": "A", **data} if isinstance(data, dict) else data, tools=[add])


def test_a_module_whose_own_import_fails_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_of_mine_open.py").write_text("import shop_of_mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DefinitionError, match="importing shop_of_mine_open failed: ModuleNotFoundError: No module"):
        Agent.from_config({"name": "A", "tools": ["shop_of_mine_open:x"]})
