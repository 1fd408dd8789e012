"""What a tool shows beside text: to the model, in the journal, to hooks and to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from callboard import Agency, Agent
from callboard.actors.agents.events import ToolFinished
from callboard.actors.agents.hooks import HookContext, hook
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers import File, Image, Text
from callboard.tools import ToolResult, tool
from tests.agents.support import scripted, solo

PICTURE = Image("data:image/png;base64,iVBORw0KGgo=")
REPORT = File("data:application/pdf;base64,JVBERi0=", "report.pdf")


@tool(risk="safe")
async def look() -> list[Any]:
    """Look."""
    return [Text("see"), PICTURE, REPORT]


async def test_the_model_is_shown_them_also_after_a_restart(tmp_path: Path) -> None:
    agent = Agent("Solo", "", tools=[look])
    script = Script([call("look"), "a picture", "still a picture"])
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        await agency.run("look", conversation="c")
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        await agency.run("and now?", conversation="c")
        view = await agency.conversation("c")
        assert (await agency.replay("c")).differences == ()
    for request in script.requests[1:]:
        result = next(message for message in request.messages if message.role == "tool")
        assert result.content == (Text("see"), PICTURE, REPORT)
    assert [message.content for message in view.messages if message.role == "tool"] == [(Text("see"), PICTURE, REPORT)]


async def test_people_are_told_what_they_are_and_no_event_holds_their_bytes() -> None:
    async with solo(Script([call("look"), "done"]), tools=[look]) as agency:
        events = [event async for event in agency.run_streaming("look")]
    (finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert finished.content == "see\n[picture]\n[file report.pdf]"


async def test_a_run_of_the_background_tells_the_same(tmp_path: Path) -> None:
    agent = Agent("Solo", "", tools=[look])
    model = scripted(Script([call("look"), "done"]))
    async with Agency(agent, model=model, journal=tmp_path / "j.db") as agency:
        handle = await agency.start_run("look")
        told = [event async for event in handle.events()]
    (returned,) = [event for event in told if event.type == "tool_returned"]
    assert returned.data["content"] == "see\n[picture]\n[file report.pdf]"


async def test_a_hook_may_show_a_picture_in_place_of_a_tool() -> None:
    @hook("toolcall")
    def fake(context: HookContext) -> None:
        context.result = ToolResult((PICTURE,))

    script = Script([call("look"), "done"])
    async with solo(script, tools=[look], hooks=[fake]) as agency:
        await agency.run("look")
    assert script.requests[1].messages[-1].content == (PICTURE,)


async def test_the_offline_model_answers_a_conversation_with_pictures() -> None:
    async with Agency(Agent("Solo", "", tools=[look], model="offline")) as agency:
        answer = await agency.run("call look")
    assert answer.text
