"""Hooks may change what a run does; a failing one is reported; a guardrail may refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from callboard import HookContext, guardrail, hook
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.agents.events import HookFailed, RunEvent, TextDelta
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Delta, Message
from callboard.tools import ToolResult

from .support import RUN_EVENTS, add, solo


async def test_hooks_see_each_event_of_a_run_in_order_and_share_its_state() -> None:
    def noting(event: Any) -> Any:
        @hook(event)
        def note(context: HookContext) -> None:
            context.state.setdefault("seen", []).append(context.event)
            if context.event == "finalize":
                seen.extend(context.state["seen"])

        return note

    seen: list[str] = []
    hooks = [noting(event) for event in RUN_EVENTS]
    async with solo(Script([call("add", a=1, b=2), "three"]), tools=[add], hooks=hooks) as agency:
        async for _ in agency.run_streaming("?"):
            pass
    assert seen[:3] == ["connection", "request", "chunk"]
    assert seen[-1] == "finalize"
    assert [event for event in seen if event != "chunk"] == [
        "connection",
        *("request", "response", "toolcall", "toolresult"),
        *("request", "response", "finalize"),
    ]


async def test_every_event_lets_its_hook_change_the_context() -> None:
    @hook("connection")
    def greet(context: HookContext) -> None:
        context.messages = (Message("user", "changed question"),)

    @hook("request")
    async def colder(context: HookContext) -> None:
        assert context.model_request is not None
        context.model_request = replace(context.model_request, temperature=0.0)

    @hook("toolcall")
    def other_numbers(context: HookContext) -> None:
        assert context.call is not None
        context.call = replace(context.call, arguments='{"a": 10, "b": 20}')

    @hook("response")
    def shout(context: HookContext) -> HookContext:
        assert context.completion is not None
        message = context.completion.message
        loud = replace(message, content=message.text.upper())
        return replace(context, completion=replace(context.completion, message=loud))

    @hook("finalize")
    def sign(context: HookContext) -> None:
        assert context.answer is not None
        context.answer = replace(context.answer, text=f"{context.answer.text} — A")

    script = Script([call("add", a=1, b=2), "done"])
    async with solo(script, tools=[add], hooks=[greet, colder, other_numbers, shout, sign]) as agency:
        answer = await agency.run("question")
    assert answer.text == "DONE — A"
    assert script.requests[0].messages[1].text == "changed question"
    assert script.requests[0].temperature == 0.0
    assert script.requests[1].messages[-1].text == "30"


async def test_a_hook_may_stand_for_a_tool_and_drop_chunks() -> None:
    @hook("toolcall")
    def fake(context: HookContext) -> None:
        context.result = ToolResult("faked")

    @hook("chunk")
    def drop(context: HookContext) -> None:
        if context.chunk is not None and "secret" in context.chunk.text:
            context.chunk = Delta(text=" ***")

    script = Script([call("add", a=1, b=2), "the secret word"])
    async with solo(script, tools=[add], hooks=[fake, drop]) as agency:
        events = [event async for event in agency.run_streaming("?")]
    assert script.requests[1].messages[-1].text == "faked"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "the *** word"


async def test_higher_priority_goes_first_and_equal_ones_in_the_order_given() -> None:
    order: list[str] = []

    def noting(name: str, priority: int) -> Any:
        @hook("request", priority=priority)
        def note(context: HookContext) -> None:
            order.append(name)

        return note

    hooks = [noting("low", -1), noting("first", 0), noting("second", 0), noting("high", 5)]
    async with solo(Script(["ok"]), hooks=hooks) as agency:
        await agency.run("?")
    assert order == ["high", "first", "second", "low"]


@pytest.mark.parametrize("event", [event for event in RUN_EVENTS if event != "handoff"])
async def test_a_failing_hook_is_reported_and_passed_over(event: Any) -> None:
    @hook(event)
    async def broken(context: HookContext) -> None:
        context.messages = ()
        context.model_request = context.completion = context.answer = None
        raise RuntimeError("hook down")

    seen: list[RunEvent] = []
    async with solo(Script([call("add", a=1, b=2), "still fine"]), tools=[add], hooks=[broken]) as agency:
        agency.subscribe(seen.append)
        events = [item async for item in agency.run_streaming("?")]
    assert events[-1].answer.text == "still fine"  # type: ignore[attr-defined]
    reports = [item for item in seen if isinstance(item, HookFailed)]
    assert reports
    assert "hook down" in reports[0].error


@pytest.mark.parametrize("event", [event for event in RUN_EVENTS if event not in ("handoff", "chunk")])
async def test_a_guardrail_ends_the_run_by_name_and_the_conversation_goes_on(event: Any) -> None:
    strict = True

    @guardrail(event)
    def refuse(context: HookContext) -> None:
        if strict:
            raise ValueError("not allowed")

    script = Script([call("add", a=1, b=2), "one", "two", "three"])
    async with solo(script, tools=[add], hooks=[refuse]) as agency:
        with pytest.raises(GuardrailTripped, match="not allowed"):
            await agency.run("?", conversation="c")
        strict = False
        assert (await agency.run("again", conversation="c")).text


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(DefinitionError, match="connection, steering, request"):
        hook("reqest")  # type: ignore[arg-type]
