"""A question that no model can answer, and a result that nobody waits for, are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, HookContext, Message, ToolCall, ToolSpec, hook
from callboard.actors.testing.doubles.models import Script, call

from .support import scripted, solo

OPEN = ToolSpec("open_door", "Open the door.", {"type": "object", "properties": {}})
RESULT = {"role": "tool", "tool_call_id": "zz", "content": "opened"}
CALLED = Message("assistant", "", (ToolCall("zz", "open_door", "{}"),))


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ([RESULT], "no call 'zz' waits for a result"),
        ([{"role": "user", "content": "so?"}, RESULT], "no call 'zz' waits for a result"),
        ([Message("tool", "opened", tool_call_id="zz"), CALLED], "no call 'zz' waits for a result"),
        ([CALLED, RESULT, RESULT], "no call 'zz' waits for a result"),
        ([{"role": "system", "content": "s"}], "there is nothing to ask: .* only system messages"),
        ([{"role": "assistant", "content": "hi"}], "there is nothing to ask: .* only assistant messages"),
        ([Message("system", "s"), Message("assistant", "hi")], "only system and assistant messages"),
    ],
)
async def test_what_no_model_can_answer_is_refused_before_anything_is_sent(question: Any, about: str) -> None:
    script = Script([])
    async with solo(script) as agency:
        for ask in (agency.run, agency.start_run):
            with pytest.raises(DefinitionError, match=about):
                await ask(question)
    assert script.requests == []


async def test_a_result_behind_its_call_is_taken_also_without_a_conversation() -> None:
    script = Script(["It is open."])
    async with solo(script) as agency:
        assert (await agency.run([Message("user", "open"), CALLED, RESULT])).text == "It is open."
    assert [message.role for message in script.requests[0].messages] == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize("hooked", [False, True])
async def test_a_result_that_no_call_of_the_conversation_waits_for_ends_its_run_by_name(
    hooked: bool, tmp_path: Path
) -> None:
    @hook("connection")
    def look(context: HookContext) -> None:
        """Has the run begin beside the mailbox."""

    script = Script([call("open_door", "7"), "It is open.", "Again."])
    agent = Agent("A", hooks=[look] if hooked else [])
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        with pytest.raises(DefinitionError, match="no call '7' waits for a result"):
            await agency.run(Message("tool", "early", tool_call_id="7"), conversation="c")
        await agency.run("open", conversation="c", tools=[OPEN])
        with pytest.raises(DefinitionError, match="no call 'zz' waits for a result"):
            await agency.run([RESULT], conversation="c", run_id="wrong")
        opened = Message("tool", "opened", tool_call_id="7")
        assert (await agency.run(opened, conversation="c", tools=[OPEN])).text == "It is open."
        with pytest.raises(DefinitionError, match="no call '7' waits for a result"):
            await agency.run(opened, conversation="c")
        assert (await agency.run("again", conversation="c")).text == "Again."
        with pytest.raises(DefinitionError, match="no call 'zz' waits for a result"):
            await (await agency.handle("wrong")).answer()
    assert script.requests[1].messages[-1].text == "opened"
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    ("function", "about"),
    [
        ({"name": "x y"}, r"tool 0: name is 'x y'; expected 1 to 64 letters"),
        ({"name": "x", "parameters": {"type": "array"}}, r"tool 'x': parameters is .*; expected a JSON schema of an"),
        ({"name": "x" * 65}, "expected 1 to 64 letters"),
    ],
)
async def test_a_tool_of_the_callers_that_no_vendor_takes_is_refused(function: Any, about: str) -> None:
    async with solo(Script([])) as agency:
        with pytest.raises(DefinitionError, match=about):
            await agency.run("?", tools=[{"type": "function", "function": function}])


@pytest.mark.parametrize("parameters", [{"type": "array"}, {"type": object()}, 5])
async def test_so_is_one_given_as_a_tool_spec(parameters: Any) -> None:
    async with solo(Script([])) as agency:
        with pytest.raises(DefinitionError, match="expected a JSON schema of an object"):
            await agency.run("?", tools=[ToolSpec("x", "", parameters)])
