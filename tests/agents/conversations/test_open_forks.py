"""A fork of a conversation whose calls wait for the caller's results."""

from __future__ import annotations

from pathlib import Path

import pytest

from callboard import Agency, Agent
from callboard.actors.testing.doubles.models import Script
from callboard.providers.messages import Completion, Message, ToolCall, ToolSpec
from tests.agents.support import scripted

TOOL = ToolSpec("look", "Looks.", {"type": "object", "properties": {}})


def result(call: str, text: str) -> Message:
    return Message("tool", text, tool_call_id=call, name="look")


@pytest.mark.parametrize("durable", [False, True])
async def test_calls_that_are_open_are_open_in_each_fork(durable: bool, tmp_path: Path) -> None:
    calls = (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))
    said = Completion(Message("assistant", "I look.", calls), "tool_calls")
    script = Script([said, "one", "two", "three"])
    agency = Agency(Agent("A"), model=scripted(script), journal=tmp_path / "j.db" if durable else None)
    async with agency:
        first = await agency.run("?", conversation="c", tools=[TOOL])
        assert [call.id for call in first.tool_calls] == ["a", "b"]
        await agency.fork("c", to="d")
        await agency.fork("d", to="e")
        for name, text in (("d", "red"), ("e", "blue"), ("c", "green")):
            await agency.run([result("a", text), result("b", text)], conversation=name, tools=[TOOL])
            assert [message.text for message in script.requests[-1].messages if message.role == "tool"] == [text] * 2


async def test_a_fork_is_gone_on_with_without_the_results_too() -> None:
    said = Completion(Message("assistant", "", (ToolCall("a", "look", "{}"),)), "tool_calls")
    script = Script([said, "one"])
    async with Agency(Agent("A"), model=scripted(script)) as agency:
        await agency.run("?", conversation="c", tools=[TOOL])
        await agency.fork("c", to="d")
        assert (await agency.run("never mind", conversation="d")).text == "one"
        assert [message.role for message in script.requests[-1].messages] == ["user", "assistant", "tool", "user"]
        view = await agency.conversation("d")
        assert [step.number for step in view.steps] == [1, 2]


async def test_a_handle_says_what_the_run_was_asked(tmp_path: Path) -> None:
    for replies in (["one"], []):
        async with Agency(Agent("A"), model=scripted(Script(replies)), journal=tmp_path / "j.db") as agency:
            handle = await agency.start_run("hello", run_id="r")
            await handle
            assert await handle.question() == (Message("user", "hello"),)
            assert await (await agency.handle("r")).question() == (Message("user", "hello"),)
