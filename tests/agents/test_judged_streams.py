"""What a guardrail has not let pass is not shown, also not piece by piece."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from callboard import Agency, Agent, Delta, HookContext, Message, guardrail, handoff, hook
from callboard.actors.agents.errors import GuardrailTripped
from callboard.actors.agents.events import ReasoningDelta, RunEvent, TextDelta
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Completion

from .support import add, scripted, solo


@guardrail("response")
def no_secrets(context: HookContext) -> None:
    assert context.completion is not None
    if "secret" in context.completion.message.text:
        raise ValueError("that is secret")


async def streamed(agency: Agency) -> tuple[list[RunEvent], Exception | None]:
    events: list[RunEvent] = []
    try:
        async for event in agency.run_streaming("?"):
            events.append(event)
    except GuardrailTripped as error:
        return events, error
    return events, None


def shown(events: list[RunEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta | ReasoningDelta))


async def test_a_streamed_answer_that_a_guardrail_refuses_is_never_shown() -> None:
    async with solo(Script(["the secret word is swordfish"]), hooks=[no_secrets]) as agency:
        events, error = await streamed(agency)
    assert isinstance(error, GuardrailTripped)
    assert shown(events) == ""


async def test_reasoning_is_held_back_with_the_text() -> None:
    thought = Completion(Message("assistant", "a secret", reasoning="swordfish"), "stop")
    async with solo(Script([thought]), hooks=[no_secrets]) as agency:
        events, error = await streamed(agency)
    assert isinstance(error, GuardrailTripped)
    assert shown(events) == ""


async def test_a_streamed_answer_that_passes_is_shown_whole_once_it_has() -> None:
    async with solo(Script([call("add", a=1, b=2), "it is three"]), tools=[add], hooks=[no_secrets]) as agency:
        events, error = await streamed(agency)
    assert error is None
    assert shown(events) == "it is three"


async def test_what_a_hook_puts_in_the_place_of_a_judged_answer_is_what_is_shown() -> None:
    @hook("response", priority=200)
    def redact(context: HookContext) -> None:
        assert context.completion is not None
        message = replace(context.completion.message, content="nothing to see")
        context.completion = replace(context.completion, message=message)

    async with solo(Script(["a secret"]), hooks=[no_secrets, redact]) as agency:
        events, error = await streamed(agency)
    assert error is None
    assert shown(events) == "nothing to see"


async def test_chunk_hooks_see_the_pieces_as_they_come_and_what_they_leave_out_stays_out() -> None:
    pieces: list[str] = []

    @hook("chunk")
    def look(context: HookContext) -> None:
        assert context.chunk is not None
        if context.chunk.text:
            pieces.append(context.chunk.text)
        if "two" in context.chunk.text:
            context.chunk = Delta(text=" **")

    @guardrail("response")
    def passing(context: HookContext) -> None:
        pieces.append("judged")

    async with solo(Script(["one two three"]), hooks=[look, passing]) as agency:
        events, _ = await streamed(agency)
    assert pieces[-1] == "judged"
    assert len(pieces) > 2
    assert shown(events) == "one ** three"


@pytest.mark.parametrize("kind", ["delegate", "transfer"])
async def test_the_guardrails_of_whoever_speaks_judge_a_stream_across_handoffs(kind: Any) -> None:
    b = Agent("B", "b", hooks=[no_secrets])
    a = Agent("A", "a", handoffs=[handoff(b, kind=kind)])
    script = Script([call(f"{kind}_to_B", message="x"), "my secret", "B refused"])
    async with Agency(a, model=scripted(script)) as agency:
        events, _ = await streamed(agency)
    assert "my secret" not in shown(events)


async def test_an_answer_without_a_guardrail_is_shown_piece_by_piece() -> None:
    async with solo(Script(["one two three"])) as agency:
        events, _ = await streamed(agency)
    assert shown(events) == "one two three"
    assert len([event for event in events if isinstance(event, TextDelta)]) >= 1
