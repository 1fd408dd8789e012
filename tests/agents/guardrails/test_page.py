"""The examples of the page about guardrails are what they say; and those of its sentences that no other test shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Guardrail, HookContext, ModelJudge, PatternCheck, guardrail, handoff, hook, tool
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.agents.events import HookFailed, RunEvent, RunStarted, Steered
from callboard.actors.agents.guardrails.policy import CHECKS
from callboard.actors.agents.guardrails.texts import of_content
from callboard.actors.agents.teamfile import load_team
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Audio, Image, Message, Request, ToolSpec
from tests.agents.support import function, scripted, solo
from tests.pages.page import Page

PAGE = Page("actors/agents/guardrails/README.md")
CODE = PatternCheck("code name", r"blue-[0-9]{2}", longest=7)


def test_the_pages_policies_are_a_part_of_a_team_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_checks.py").write_text("def slogans(text):\n    return []\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    section = PAGE.block("yaml")
    path = tmp_path / "team.yaml"
    path.write_text("agents: {Support: {handoffs: [Billing]}, Billing: {}}\nproviders: {offline: {}}\n" + section)
    team = load_team(path, env={})
    assert {item.name for item in team.agents["Support"].all_hooks} == {"secrets", "code names"}
    assert {item.name for item in team.agents["Billing"].all_hooks} == {"secrets"}


def test_the_page_names_every_check_that_there_is() -> None:
    for name in CHECKS:
        assert f"`{name}" in PAGE.text


async def test_what_a_delegate_is_asked_is_its_input() -> None:
    script = Script([call("delegate_to_B", message="find blue-42"), "found", "done"])
    b = Agent("B", hooks=[Guardrail(CODE, on={"input"}, action="redact")])
    async with Agency(Agent("A", handoffs=[handoff(b)]), b, model=scripted(script)) as agency:
        await agency.run("?")
    assert "find [code name]" in script.requests[1].messages[-1].text


async def test_what_was_asked_is_kept_as_it_came_beside_a_conversation_as_guardrails_left_it() -> None:
    told: list[RunEvent] = []
    async with solo(Script(["ok"]), hooks=[Guardrail(CODE, on={"input"}, action="redact")]) as agency:
        agency.subscribe(told.append)
        await agency.run("blue-42", conversation="c", run_id="r")
        view = await agency.conversation("c")
        assert (await agency.replay("c")).same
    assert [message.text for message in view.messages] == ["[code name]", "ok"]
    assert [event.text for event in told if isinstance(event, RunStarted)] == ["blue-42"]


async def test_a_call_that_the_caller_runs_is_not_looked_at() -> None:
    outside = ToolSpec("outside", "", {"type": "object"})
    guard = Guardrail(CODE, on={"tool_call"})
    async with solo(Script([call("outside", text="blue-42")]), hooks=[guard]) as agency:
        answer = await agency.run("?", conversation="c", tools=[outside])
    assert [one.name for one in answer.tool_calls] == ["outside"]


def test_pictures_are_not_looked_into_and_transcripts_are() -> None:
    content = (Image("data:image/png;base64,blue-42"), Audio("data:audio/wav;base64,AA", transcript="it is blue-42"))
    reading = of_content(content)
    assert reading.texts == ("it is blue-42",)
    assert reading.put(["it is x"]) == (content[0], Audio("data:audio/wav;base64,AA", transcript="it is x"))


async def test_a_replay_asks_no_judge_and_tells_of_what_one_had_refused() -> None:
    asked: list[Request] = []

    def model(request: Request) -> Any:
        if request.response_schema is None:
            return "rude"
        asked.append(request)
        return '{"violates": true, "score": 1}'

    judge = Guardrail(ModelJudge("It is rude."), on={"input"})
    async with Agency(Agent("A", hooks=[judge]), model=function(model)) as agency:
        with pytest.raises(GuardrailTripped):
            await agency.run("?", conversation="c")
        report = await agency.replay("c")
    assert len(asked) == 1
    assert "refused then, and is not now" in report.differences[0].text


# -- hooks on the new events -----------------------------------------------------------------------------------------


async def test_a_hook_for_approval_is_a_plain_function_and_one_that_leaves_nonsense_is_passed_over() -> None:
    with pytest.raises(DefinitionError, match="a hook for approval is a plain function"):

        @hook("approval")
        async def later(context: HookContext) -> None:
            """Waits."""

    @hook("approval")
    def odd(context: HookContext) -> None:
        context.why = 3  # type: ignore[assignment]

    @tool(risk="safe")
    async def look() -> str:
        """Look."""
        return "looked"

    told: list[RunEvent] = []
    async with solo(Script([call("look"), "done"]), tools=[look], hooks=[odd]) as agency:
        agency.subscribe(told.append)
        assert (await agency.run("?")).text == "done"
    assert "it left int as why; expected a text" in next(e.error for e in told if isinstance(e, HookFailed))


async def test_a_hook_for_approval_sees_the_conversation_and_whether_a_call_hands_off() -> None:
    seen: list[tuple[str, bool, str]] = []

    @hook("approval")
    def look(context: HookContext) -> None:
        assert context.call is not None
        seen.append((context.call.name, context.hands_off, context.messages[-1].text))

    @tool(risk="safe")
    async def look_up() -> str:
        """Look."""
        return "looked"

    script = Script([call("look_up"), call("delegate_to_B", message="go"), "B", "done"])
    a = Agent("A", tools=[look_up], handoffs=[handoff(Agent("B"))], hooks=[look])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("hello")
    assert set(seen) == {("look_up", False, "hello"), ("delegate_to_B", True, "looked")}


async def test_about_a_call_that_cannot_run_nobody_is_asked() -> None:
    @hook("approval")
    def always(context: HookContext) -> None:
        context.why = "always"

    async with solo(Script([call("no_such_tool"), "done"]), hooks=[always]) as agency:
        assert (await agency.run("?")).text == "done"


async def test_a_hook_may_tell_of_events_of_its_own() -> None:
    @hook("request")
    def tell(context: HookContext) -> None:
        context.emit(Steered, text="psst")

    told: list[RunEvent] = []
    async with solo(Script(["done"]), hooks=[tell]) as agency:
        agency.subscribe(told.append)
        await agency.run("?", run_id="r")
    assert [(event.run, event.text) for event in told if isinstance(event, Steered)] == [("r", "psst")]


async def test_what_a_hook_for_steering_leaves_must_be_a_persons() -> None:
    @guardrail("steering")
    def odd(context: HookContext) -> None:
        context.messages = (Message("assistant", "I said so"),)

    begun, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        begun.set()
        await go.wait()
        return "done"

    async with Agency(Agent("A", hooks=[odd]), model=function(model)) as agency:
        running = asyncio.ensure_future(agency.run("?", conversation="c"))
        await begun.wait()
        with pytest.raises(DefinitionError, match="of the role user or system"):
            await agency.steer("c", "hurry")
        go.set()
        assert (await running).text == "done"
