"""The developer team as it comes: its tools, settings and instructions, the planner that hands over, who is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, DdgsSearch, create_developer_agent, create_planner_agent, default_tools
from callboard.actors.agents.prompts.markdown.instructions import instructions_for
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Message, Request
from callboard.providers.wire import anthropic, openai_chat
from callboard.tools import ToolRegistry
from callboard.tools.errors import NoSuchPath

from .support import add, function, scripted, until

TEN = ["LS", "Glob", "Grep", "Read", "Write", "Edit", "MultiEdit", "Bash", "Git", "TodoWrite"]


def test_a_developer_has_its_ten_tools_and_those_it_is_given(tmp_path: Path) -> None:
    assert [made.name for made in create_developer_agent(tmp_path).all_tools] == TEN
    assert [made.name for made in create_developer_agent(tmp_path, tools=[add]).all_tools] == [*TEN, "add"]
    with pytest.raises(NoSuchPath):
        create_developer_agent(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("model", "settings", "instructions"),
    [
        ("openai:gpt-5.1", {"reasoning_effort": "medium"}, "developer.gpt.md"),
        ("o3", {"reasoning_effort": "medium"}, "developer.gpt.md"),
        ("anthropic:claude-sonnet-4-6", {"max_tokens": 20_000}, "developer.claude.md"),
        ("claude-3-haiku-20240307", {}, "developer.claude.md"),
        ("mistral-large", {"temperature": 0.2}, "developer.md"),
        ("", {}, "developer.md"),
    ],
)
def test_settings_and_instructions_are_those_of_the_models_kind(
    model: str, settings: dict[str, Any], instructions: str, tmp_path: Path
) -> None:
    developer, planner = create_developer_agent(tmp_path, model=model), create_planner_agent(model=model)
    assert developer.settings == planner.settings == settings
    roles = Path(instructions_for.__code__.co_filename).parent / "roles"
    assert developer.instructions == (roles / instructions).read_text().strip()
    assert planner.instructions == (roles / instructions.replace("developer", "planner")).read_text().strip()
    own = create_developer_agent(tmp_path, model=model, settings={"max_tokens": 5, "seed": 1})
    assert own.settings == {**settings, "max_tokens": 5, "seed": 1}


@pytest.mark.parametrize(
    ("model", "wire"),
    [
        ("gpt-5.1", openai_chat),
        ("o3", openai_chat),
        ("claude-sonnet-4-6", anthropic),
        ("claude-opus-4-1", anthropic),
        ("claude-3-haiku-20240307", anthropic),
        ("mistral-large", openai_chat),
    ],
)
def test_each_kind_of_model_takes_its_settings_as_they_are(model: str, wire: Any, tmp_path: Path) -> None:
    developer = create_developer_agent(tmp_path, model=model)
    notes: list[str] = []
    request = Request((Message("user", "hi"),), model, **developer.settings)
    wire.to_payload(request, model=model, notes=notes)
    assert notes == []


async def test_the_planner_hands_over_to_a_developer_who_works_on_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sum.py").write_text("print(1 + 1)\n")
    developer = create_developer_agent(tmp_path)
    planner = create_planner_agent(developer)
    script = Script(
        [
            call("SendMessage", target_agent="Developer", message="make it print 3"),
            [call("LS"), call("Read", path="sum.py")],
            call("Edit", path="sum.py", old_string="1 + 1", new_string="1 + 2"),
            call("Bash", command="python3 sum.py"),
            "It prints 3 now.",
            "Done: it prints 3.",
        ]
    )
    async with Agency(planner, model=scripted(script)) as agency:
        answer = await agency.run("Have sum.py print 3.")
    assert answer.text == "Done: it prints 3."
    assert answer.chain == ("Planner → Developer",)
    assert (tmp_path / "sum.py").read_text() == "print(1 + 2)\n"
    told = [message.text for request in script.requests for message in request.messages if message.role == "tool"]
    assert "3" in told
    first = script.requests[0]
    assert [spec.name for spec in first.tools] == ["SendMessage"]
    assert developer.description in first.tools[0].description


async def test_a_supervised_developer_asks_before_it_writes_or_runs_anything(tmp_path: Path) -> None:
    tools = default_tools(tmp_path)
    asked: list[str] = []
    calls = [
        call("Read", "1", path="a.txt"),
        call("Write", "2", path="b.txt", content="b"),
        call("Bash", "3", command="cat a.txt"),
        call("RunPython", "4", code="1 + 1"),
    ]

    def model(request: Request) -> Any:
        return calls if request.messages[-1].role == "user" else "done"

    (tmp_path / "a.txt").write_text("a")
    extra = [made for made in tools if made.name not in TEN]
    developer = create_developer_agent(tmp_path, autonomy="supervised", tools=extra)
    async with Agency(developer, model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("go"))
        await until(lambda: len(agency.approvals) == 3)
        for approval in agency.approvals:
            asked.append(approval.tool)
            agency.deny(approval, reason="not today")
        answer = await run
    assert sorted(asked) == ["Bash", "RunPython", "Write"]
    assert not (tmp_path / "b.txt").exists()
    told = {message.name: message.text for message in answer.messages if message.role == "tool"}
    assert told["Read"].endswith("a")
    assert all("not today" in told[name] for name in asked)


async def test_default_tools_are_all_that_need_nothing_further(tmp_path: Path) -> None:
    assert [made.name for made in default_tools(tmp_path)] == [*TEN, "WebFetch", "RunPython"]
    assert [made.name for made in default_tools(tmp_path, search=DdgsSearch())][-1] == "WebSearch"
    risks = {made.name: made.risk for made in default_tools(tmp_path)}
    assert {name for name, risk in risks.items() if risk == "risky"} == {
        *("Write", "Edit", "MultiEdit", "Bash", "WebFetch", "RunPython")
    }


async def test_several_folders_may_be_allowed(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(f"the word is {name}")
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    (one / "out").symlink_to(two)
    tools = ToolRegistry(default_tools(one, two))

    async def told(name: str, **arguments: Any) -> str:
        return (await tools.get(name).run(arguments)).text

    assert str(two) in tools.get("Read").spec.description
    assert "one.txt" in await told("LS")
    assert await told("Read", path="one.txt") == "     1\tthe word is one"
    assert await told("Read", path=str(one / "one.txt")) == "     1\tthe word is one"
    # What is shown of a further folder can be given back as it stands.
    assert "two.txt" in await told("LS", path=str(two))
    (found,) = (await told("Glob", pattern="*.txt", path=str(two))).splitlines()
    assert found == str(two / "two.txt")
    assert await told("Read", path=found) == "     1\tthe word is two"
    assert await told("Grep", pattern="word", path=str(two)) == f"{found}:1:the word is two"
    assert str(two / "new" / "x.txt") in await told("Write", path=str(two / "new" / "x.txt"), content="x")
    assert str(two / "new" / "x.txt") in await told(
        "Edit", path=str(two / "new" / "x.txt"), old_string="x", new_string="y"
    )
    assert (two / "new" / "x.txt").read_text() == "y"
    for path in (str(three / "three.txt"), "../two/two.txt", f"{two}/../three/three.txt", "out/two.txt", f"{two}x"):
        assert "outside the folder" in await told("Read", path=path), path


async def test_of_folders_in_each_other_the_inner_one_holds_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    tools = ToolRegistry(default_tools(tmp_path, tmp_path / "in"))
    shown = (await tools.get("Glob").run({"pattern": "*.txt", "path": str(tmp_path / "in")})).text
    assert shown == str(tmp_path / "in" / "a.txt")
    assert (await tools.get("Glob").run({"pattern": "*.txt"})).text == "in/a.txt"
