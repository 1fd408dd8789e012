"""Hooks on handoffs see what the target would see, and may change it; where it goes then obeys the same rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from callboard import Agency, Agent, Handoff, HandoffLimits, HookContext, Message, Request, handoff, hook
from callboard.actors.agents.errors import AgentError, HandoffCycle, RunFailed
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted


def without_secrets(context: HookContext) -> None:
    """Takes out of a handoff what the target must not know."""
    context.messages = tuple(
        replace(message, content=message.text.replace("hunter2", "***")) for message in context.messages
    )


@pytest.mark.parametrize("kind", ["transfer", "delegate"])
async def test_a_hook_sees_what_the_target_would_see_and_takes_a_password_out_of_it(kind: Any) -> None:
    seen: list[str] = []

    @hook("handoff")
    def clean(context: HookContext) -> None:
        seen.extend(message.text for message in context.messages)
        without_secrets(context)

    b = Agent("B", "b")
    handed = handoff(b, kind=kind, history_filter=list) if kind == "delegate" else handoff(b, kind=kind)
    a = Agent("A", "a", handoffs=[handed], hooks=[clean])
    script = Script(["noted", call(f"{kind}_to_B", message="go on"), "b here", "a here"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("my password is hunter2", conversation="c")
        await agency.run("now help me", conversation="c")
    assert seen[:3] == ["my password is hunter2", "noted", "now help me"]
    told = [message.text for message in script.requests[2].messages]
    assert told[1:4] == ["my password is ***", "noted", "now help me"]
    assert "hunter2" not in " ".join(told)


async def test_a_delegate_sees_its_task_alone_and_a_hook_may_add_to_it() -> None:
    @hook("handoff")
    def add(context: HookContext) -> None:
        assert context.messages == ()
        context.messages = (Message("user", "the house rules"),)

    a = Agent("A", "a", handoffs=[Agent("B", "b")], hooks=[add])
    script = Script([call("SendMessage", target_agent="B", message="the task"), "b", "a"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("?")
    assert script.requests[1].messages[1].text == "the house rules"
    assert "the task" in script.requests[1].messages[2].text


async def test_a_history_filter_chooses_what_a_delegate_sees_besides_its_task() -> None:
    def questions(messages: tuple[Message, ...]) -> list[Message]:
        return [message for message in messages if message.role == "user"]

    b = Agent("B", "b")
    script = Script(["hi", call("delegate_to_B", message="the task"), "b", "a"])
    async with Agency(
        Agent("A", "a", handoffs=[handoff(b, history_filter=questions)]), model=scripted(script)
    ) as agency:
        await agency.run("first", conversation="c")
        await agency.run("second", conversation="c")
    told = [message.text for message in script.requests[2].messages]
    assert told[:3] == ["b", "first", "second"]
    assert "the task" in told[3]


async def test_a_history_filter_that_raises_ends_the_run_by_name_and_nothing_is_handed_over() -> None:
    def broken(messages: tuple[Message, ...]) -> list[Message]:
        raise ValueError("no history today")

    b = Agent("B", "b")
    script = Script([call("delegate_to_B", message="x")])
    async with Agency(Agent("A", "a", handoffs=[handoff(b, history_filter=broken)]), model=scripted(script)) as agency:
        with pytest.raises(RunFailed, match="no history today"):
            await agency.run("?")


def to(target: str, **changes: Any) -> Any:
    """A hook that sends each handoff to somebody else."""

    @hook("handoff")
    def elsewhere(context: HookContext) -> None:
        assert context.handoff is not None
        context.handoff = replace(context.handoff, target=target, **changes)

    return elsewhere


async def test_a_hook_may_send_a_handoff_to_somebody_else_whom_the_sender_may_reach() -> None:
    b, c = Agent("B", "b"), Agent("C", "c")
    script = Script([call("SendMessage", target_agent="B", message="it"), "from C", "done"])
    async with Agency(Agent("A", "a", handoffs=[b, c], hooks=[to("C")]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert script.requests[1].messages[0].text == "c"
    assert answer.chain == ("A → C",)


@pytest.mark.parametrize("target", ["C", "Nobody", "A"])
async def test_a_hook_cannot_send_a_handoff_past_the_flows(target: str) -> None:
    agents = (Agent("A", "a", hooks=[to(target)]), Agent("B", "b"), Agent("C", "c"))
    script = Script([call("SendMessage", target_agent="B", message="it"), "I may not."])
    async with Agency(*agents, flows=[("A", "B")], model=scripted(script)) as agency:
        assert (await agency.run("?")).text == "I may not."
    assert f"A may not hand off to {target}; it may reach B" in script.requests[1].messages[-1].text


@pytest.mark.parametrize("tool_of_its_own", [False, True])
async def test_a_hook_cannot_send_a_transfer_to_whom_the_sender_may_only_delegate(tool_of_its_own: bool) -> None:
    b, c = Agent("B", "b"), Agent("C", "c")
    delegates = handoff(c) if tool_of_its_own else c
    a = Agent("A", "a", handoffs=[handoff(b, kind="transfer"), delegates], hooks=[to("C")])
    script = Script([call("transfer_to_B", message="yours"), "A here"])
    async with Agency(a, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert (answer.text, answer.agent) == ("A here", "A")
    assert "A may not hand off to C" in script.requests[1].messages[-1].text


@pytest.mark.parametrize("changes", [{"kind": "transfer"}, {"sender": "Somebody"}])
async def test_a_hook_changes_neither_whose_handoff_it_is_nor_its_kind(changes: dict[str, Any]) -> None:
    a = Agent("A", "a", handoffs=[Agent("B", "b")], hooks=[to("B", **changes)])
    script = Script([call("SendMessage", target_agent="B", message="it"), "so be it"])
    async with Agency(a, model=scripted(script)) as agency:
        assert (await agency.run("?")).text == "so be it"
    assert "not whose and of which kind" in script.requests[1].messages[-1].text


@pytest.mark.parametrize("limits", [HandoffLimits(visits=1), HandoffLimits(repeats=1)])
async def test_a_hook_that_sends_handoffs_in_a_circle_ends_in_a_named_error(limits: HandoffLimits) -> None:
    """A delegates to B; B's handoffs to C are sent back to A by a hook."""

    def model(request: Request) -> Any:
        return call("SendMessage", target_agent={"a": "B", "b": "C", "c": "A"}[request.messages[0].text], message="go")

    a, b, c = Agent("A", "a"), Agent("B", "b", hooks=[to("A")]), Agent("C", "c")
    async with Agency(a, b, c, flows="*", handoff_limits=limits, model=function(model)) as agency:
        answered = await _ended(agency)
    assert isinstance(answered, HandoffCycle), repr(answered)


async def _ended(agency: Agency) -> Any:
    try:
        return await agency.run("?")
    except AgentError as error:
        return error


async def test_a_changed_handoff_is_what_the_target_and_the_answer_are_told() -> None:
    @hook("handoff")
    def reworded(context: HookContext) -> None:
        assert context.handoff is not None
        context.handoff = replace(context.handoff, task="another task", context="")

    noted: list[Handoff] = []
    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, on_handoff=noted.append)], hooks=[reworded])
    script = Script([call("delegate_to_B", message="the task", context="private"), "b", "a"])
    async with Agency(a, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert [one.task for one in noted] == ["the task"]
    assert "another task" in script.requests[1].messages[-1].text
    assert "private" not in script.requests[1].messages[-1].text
    assert answer.handoffs[0].task == "another task"
