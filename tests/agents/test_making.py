"""Agents from factories and dictionaries, skills, diagrams, other shapes, other machines, many at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from callboard import (
    Agency,
    Agent,
    Answer,
    RemoteAgent,
    Skill,
    as_chunks,
    as_response,
    conversation_diagram,
    create_developer_agent,
    create_planner_agent,
    handoff,
    hook,
)
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, RunFailed
from callboard.actors.agents.events import RunEvent
from callboard.actors.agents.prompts.markdown.instructions import family_of, instructions_for
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Request
from callboard.providers.wire.openai_chat import Assembler, from_response

from .support import add, function, scripted, solo, until


def test_instructions_come_from_the_most_fitting_file(tmp_path: Path) -> None:
    assert instructions_for("developer", "anthropic:claude-x") != instructions_for("developer", "gpt-x")
    assert instructions_for("developer", "llama-x") == instructions_for("developer")
    assert "tester" in instructions_for("tester")
    (tmp_path / "developer.md").write_text("ours")
    assert instructions_for("developer", "claude-x", tmp_path) == "ours"
    (tmp_path / "developer.claude.md").write_text("ours for claude")
    assert instructions_for("developer", "claude-x", tmp_path) == "ours for claude"


def test_families_are_known_by_the_models_name() -> None:
    names = ["gpt-4o", "openai/o3-mini", "anthropic:claude-opus", "meta/llama-3", "something"]
    assert [family_of(name) for name in names] == ["gpt", "gpt", "claude", "llama", ""]


def test_factories_make_a_planner_and_a_developer(tmp_path: Path) -> None:
    developer = create_developer_agent(tmp_path, tools=[add])
    planner = create_planner_agent(name="Lead", handoffs=[developer])
    assert (planner.name, developer.name) == ("Lead", "Developer")
    assert developer.description
    assert Agency(planner).agents.keys() == {"Lead", "Developer"}


async def test_skills_bring_tools_hooks_handoffs_and_prompts_after_what_they_require() -> None:
    calls: list[str] = []
    note = hook("request")(lambda context: calls.append("hooked"))
    base = Skill("arithmetic", "You can add.", tools=[add])
    skill = Skill("accounting", "You keep books.", hooks=[note], handoffs=[Agent("Auditor")], requires=[base])
    script = Script(["ok"])
    async with Agency(Agent("A", "You are A.", skills=[skill, base]), model=scripted(script)) as agency:
        await agency.run("?")
        assert set(agency.agents) == {"A", "Auditor"}
    assert script.requests[0].messages[0].text == "You are A.\n\nYou can add.\n\nYou keep books."
    assert [spec.name for spec in script.requests[0].tools] == ["add", "SendMessage"]
    assert calls == ["hooked"]


def test_skills_that_require_each_other_are_refused() -> None:
    one = Skill("one")
    two = Skill("two", requires=[one])
    object.__setattr__(one, "requires", [two])
    with pytest.raises(DefinitionError, match="one → two → one"):
        Agent("A", skills=[one])


async def test_diagrams_show_the_team_and_what_was_said() -> None:
    developer = Agent("Developer", tools=[add])
    expert = Agent("Expert")
    planner = Agent("Planner", handoffs=[developer, handoff(expert, kind="transfer")])
    script = Script([call("SendMessage", target_agent="Developer", message="do; it"), "done", "all done"])
    seen: list[RunEvent] = []
    async with Agency(planner, model=scripted(script)) as agency:
        agency.subscribe(seen.append)
        await agency.run("please")
        team = agency.diagram()
    assert team.splitlines() == [
        "flowchart LR",
        '  a0(["Planner"])',
        '  a1["Developer"]',
        '  a1t0{{"add"}}',
        "  a1 -.- a1t0",
        '  a2["Expert"]',
        "  a0 --> a1",
        "  a0 ==>|transfer_to_Expert| a2",
    ]
    assert conversation_diagram(seen).splitlines() == [
        "sequenceDiagram",
        "  participant Caller",
        "  participant Planner",
        "  participant Developer",
        "  Caller->>Planner: please",
        "  Planner->>Developer: do#59; it",
        "  Developer-->>Planner: done",
        "  Planner-->>Caller: all done",
    ]


async def test_answers_have_openais_shape_whole_and_in_chunks() -> None:
    script = Script([call("add", a=1, b=2), "It is three.", call("add", a=1, b=2), "It is three."])
    async with solo(script, tools=[add]) as agency:
        answer = await agency.run("?")
        whole = from_response(as_response(answer))
        assert (whole.message.text, whole.finish_reason, whole.usage) == ("It is three.", "stop", answer.usage)
        assembler = Assembler()
        async for chunk in as_chunks(agency.run_streaming("?")):
            assembler.feed(json.loads(json.dumps(chunk)))
    completion = assembler.completion()
    assert (completion.message.text, completion.finish_reason) == ("It is three.", "stop")
    assert completion.usage == answer.usage


async def test_a_remote_agent_does_a_task_and_its_failures_are_told() -> None:
    sent: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if len(sent) == 2:
            return httpx.Response(503, text="come back later")
        if len(sent) == 3:
            return httpx.Response(200, text="<html>")
        return httpx.Response(200, json=dict(as_response(Answer("far away", "Far", run="r"))))

    far = RemoteAgent(
        "Far", "https://far.example/v1/", api_key="secret", model="m", transport=httpx.MockTransport(serve)
    )
    assert "secret" not in repr(far)
    script = Script([*(call("delegate_to_Far", message=f"task {n}") for n in range(3)), "done"])
    async with Agency(Agent("A", handoffs=[handoff(far)]), model=scripted(script)) as agency:
        await agency.run("?")
    told = [request.messages[-1].text for request in script.requests[1:]]
    assert told[0] == "far away"
    assert "503" in told[1]
    assert "come back later" in told[1]
    assert "sent no completion" in told[2]
    assert str(sent[0].url) == "https://far.example/v1/chat/completions"
    assert sent[0].headers["authorization"] == "Bearer secret"
    assert json.loads(sent[0].content)["messages"][-1]["content"] == "From: A\n\ntask 0"


async def test_several_agents_are_asked_the_same_and_one_failure_disturbs_nobody() -> None:
    def model(request: Request) -> str:
        if request.messages[0].text == "b":
            raise RuntimeError("down")
        return f"{request.messages[0].text} says yes"

    async with Agency(Agent("A", "a"), Agent("B", "b"), Agent("C", "c"), model=function(model)) as agency:
        answers = await agency.fan_out("ready?")
    assert str(answers["A"]) == "a says yes"
    assert isinstance(answers["B"], RunFailed)
    assert str(answers["C"]) == "c says yes"


async def test_sigterm_lets_a_thousand_runs_end_and_names_the_rest() -> None:
    import os
    import signal

    from callboard.actors.agents.errors import AgentError, RunCancelled

    asked = 0
    all_asked, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        nonlocal asked
        asked += 1
        if asked == 1000:
            all_asked.set()
        if request.messages[-1].text == "stuck":
            await asyncio.Event().wait()
        await go.wait()
        return "made it"

    agency = solo(model)
    await agency.start()
    stopped = agency.stop_on_signals(drain=5.0)
    questions = ["stuck" if n % 100 == 0 else "go" for n in range(1000)]
    runs = [asyncio.ensure_future(agency.run(question)) for question in questions]
    await all_asked.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: agency.stopping)
    with pytest.raises(AgentError, match="stopping"):
        await agency.run("too late")
    go.set()
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    await stopped.wait()
    assert sum(isinstance(o, Answer) for o in outcomes) == 990
    lost = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, AgentError)]
    assert lost == []
    assert not any(isinstance(o, RunCancelled) and "released" in str(o) for o in outcomes)


@pytest.mark.filterwarnings("error")
def test_a_request_without_a_loop_works_each_time_and_its_conversation_goes_on_in_a_journal(tmp_path: Path) -> None:
    agent = Agent("A", "a")
    agency = Agency(agent, model=function(lambda request: str(len(request.messages))), journal=tmp_path / "j.db")
    seen: list[object] = []
    agency.subscribe(seen.append)
    assert [agency.process_sync("hi", conversation="c") for _ in range(3)] == ["2", "4", "6"]
    assert seen
    assert [Agency(agent, model=function(lambda request: "x")).process_sync("hi") for _ in range(2)] == ["x", "x"]


@pytest.mark.filterwarnings("error")
def test_a_request_without_a_loop_to_an_agency_that_was_stopped_is_refused_by_name() -> None:
    agency = solo(lambda request: "x")

    async def use() -> None:
        async with agency:
            await agency.run("hi")

    asyncio.run(use())
    with pytest.raises(AgencyClosed):
        agency.process_sync("hi")
