"""The order in which hooks are called, whoever brings them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from callboard import Agency, Agent, HookContext, Skill, guardrail, hook
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.testing.doubles.models import Script

from .support import scripted, solo


async def test_an_agents_own_come_before_those_of_its_skills_and_required_skills_before_others() -> None:
    order: list[str] = []

    def noting(name: str, make: Any = hook, **options: Any) -> Any:
        def note(context: HookContext) -> None:
            order.append(name)

        return make("request", **options)(note)

    base = Skill("base", hooks=[noting("base"), noting("urgent", priority=200)])
    skill = Skill("skill", hooks=[noting("skill"), noting("judge", guardrail)], requires=[base])
    agent = Agent(
        "A", skills=[skill], hooks=[noting("own"), noting("late", priority=-1), noting("own judge", guardrail)]
    )
    async with Agency(agent, model=scripted(Script(["ok"]))) as agency:
        await agency.run("?")
        described = [one.name for one in agency.describe("A").hooks]
    assert order == ["urgent", "own judge", "judge", "own", "base", "skill", "late"]
    assert len(described) == len(order)


@pytest.mark.parametrize(("priority", "passes"), [(100, True), (-1, False)])
async def test_a_guardrail_judges_what_hooks_before_it_have_left(priority: int, passes: bool) -> None:
    @hook("response")
    def worsen(context: HookContext) -> None:
        assert context.completion is not None
        message = replace(context.completion.message, content="rude")
        context.completion = replace(context.completion, message=message)

    @guardrail("response", priority=priority)
    def decent(context: HookContext) -> None:
        assert context.completion is not None
        if context.completion.message.text == "rude":
            raise ValueError("rude")

    async with solo(Script(["polite"]), hooks=[worsen, decent]) as agency:
        if passes:
            assert (await agency.run("?")).text == "rude"
        else:
            with pytest.raises(GuardrailTripped, match="rude"):
                await agency.run("?")


@pytest.mark.parametrize("priority", ["high", 1.5, True, None])
def test_a_priority_that_is_no_whole_number_is_refused(priority: Any) -> None:
    with pytest.raises(DefinitionError, match="priority is a whole number"):
        hook("request", priority=priority)(print)
