"""What an agent is about to remember is looked at, whichever way it is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    Guardrail,
    Memory,
    Owner,
    PatternCheck,
    ToolContext,
    email_addresses,
    memory_skill,
    tool,
)
from callboard.actors.agents.errors import GuardrailTripped
from callboard.actors.testing.doubles.models import Script, call
from tests.agents.support import scripted

ANN = Owner("ann")


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory() as opened:
        yield opened


async def texts(memory: Memory) -> list[str]:
    return [fact.text for fact in await memory.facts(owner=ANN)]


async def answered(memory: Memory, calls: Any, action: Any, *tools: Any) -> tuple[str, list[str]]:
    """What the model was told of its call, and what is kept."""
    guard = Guardrail(email_addresses(), on={"memory"}, action=action, name="mail")
    script = Script([calls, "done"])
    agent = Agent("Clerk", skills=[memory_skill(memory)], tools=tools, hooks=[guard])
    async with Agency(agent, model=scripted(script)) as agency:
        await agency.run("?", caller=Caller("ann"))
    return script.requests[1].messages[-1].text, await texts(memory)


async def test_what_the_skill_remembers_is_redacted(memory: Memory) -> None:
    _, kept = await answered(memory, call("remember", text="Ann's mail is ann@example.com"), "redact")
    assert kept == ["Ann's mail is [e-mail address]"]


async def test_what_the_skill_is_about_to_remember_and_is_blocked_is_not_kept_and_the_model_is_told(
    memory: Memory,
) -> None:
    told, kept = await answered(memory, call("remember", text="Ann's mail is ann@example.com"), "block")
    assert kept == []
    assert "guardrail mail blocked the memory: e-mail address" in told
    assert "ann@example.com" not in told


async def test_a_correction_is_looked_at_too(memory: Memory) -> None:
    fact = await memory.add("Ann has a mail address", owner=ANN)

    @tool(risk="safe")
    async def correct_it(context: ToolContext) -> str:
        """Correct it."""
        await memory.correct(fact.id, "It is ann@example.com", owner=ANN)
        await memory.add_all(["bob@example.com", "cat"], owner=ANN)
        return "corrected"

    _, kept = await answered(memory, call("correct_it"), "redact", correct_it)
    assert sorted(kept) == ["It is [e-mail address]", "[e-mail address]", "cat"]


async def test_what_is_remembered_outside_of_a_run_is_the_programs_own(memory: Memory) -> None:
    await memory.add("ann@example.com", owner=ANN)
    assert await texts(memory) == ["ann@example.com"]


async def test_a_text_of_which_nothing_is_left_is_not_kept(memory: Memory) -> None:
    gone = PatternCheck("all", r".+", replacement="")

    @tool(risk="safe")
    async def keep() -> str:
        """Keep it."""
        await memory.add("secret", owner=ANN)
        return "kept"

    script = Script([call("keep"), "done"])
    agent = Agent("A", tools=[keep], hooks=[Guardrail(gone, on={"memory"}, action="redact")])
    async with Agency(agent, model=scripted(script)) as agency:
        await agency.run("?")
    assert await texts(memory) == []
    assert GuardrailTripped.__name__ not in script.requests[1].messages[-1].text
