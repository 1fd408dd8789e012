"""Functions that look at a handoff may be async, and a guardrail's refusal is no ordinary one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, Handoff, HookContext, Request, guardrail, handoff
from callboard.actors.agents.errors import GuardrailTripped

from .support import call, function, outcome, results


def delegating(request: Request) -> Any:
    """A hands a task to B, and says what came of it."""
    if request.messages[0].text == "b":
        return "b did it"
    return f"a: {results(request)[-1]}" if results(request) else call("delegate_to_B", message="do it")


async def test_an_async_on_handoff_is_awaited_before_the_handoff_is_sent() -> None:
    order: list[str] = []

    async def note(given: Handoff) -> None:
        await asyncio.sleep(0)
        order.append(f"noted {given.task}")

    def model(request: Request) -> Any:
        order.append(f"asked {request.messages[0].text}")
        return delegating(request)

    b = Agent("B", "b")
    async with Agency(Agent("A", "a", handoffs=[handoff(b, on_handoff=note)]), model=function(model)) as agency:
        assert (await outcome(agency.run("?"))).text == "a: b did it"
    assert order == ["asked a", "noted do it", "asked b", "asked a"]


async def test_an_async_on_handoff_that_raises_refuses_the_handoff() -> None:
    async def refuse(given: Handoff) -> None:
        await asyncio.sleep(0)
        raise ValueError("not today")

    b = Agent("B", "b")
    agent = Agent("A", "a", handoffs=[handoff(b, on_handoff=refuse)])
    async with Agency(agent, model=function(delegating)) as agency:
        answer = await outcome(agency.run("?"))
    assert "not today" in answer.text
    assert "b did it" not in answer.text


@pytest.mark.parametrize("raised", [ValueError("not to B"), GuardrailTripped("not to B")], ids=["error", "tripped"])
async def test_a_guardrail_that_refuses_a_handoff_ends_the_run_and_is_not_told_to_the_model(raised: Exception) -> None:
    asked: list[str] = []

    @guardrail("handoff")
    def never(context: HookContext) -> None:
        raise raised

    def model(request: Request) -> Any:
        asked.append(request.messages[0].text)
        return delegating(request)

    b = Agent("B", "b")
    agent = Agent("A", "a", handoffs=[handoff(b)], hooks=[never])
    async with Agency(agent, model=function(model)) as agency:
        error = await outcome(agency.run("?", conversation="c"))
    assert isinstance(error, GuardrailTripped)
    assert "not to B" in str(error)
    assert asked == ["a"], "the refusal was told to the model as if it were an ordinary one"
