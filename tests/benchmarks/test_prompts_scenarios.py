"""The agents of ``benchmarks prompts``: what is compared is told and offered the same. Nothing is timed."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.subjects import prompts_steps

from callboard import Agency, ChildSpec, Request, hook
from callboard.actors.agents.hooks import HookContext


async def asked(kind: str) -> tuple[Request, int]:
    """What the model is asked first, and how many steps the run has."""
    seen: list[Any] = []

    @hook("request")
    def look(context: HookContext) -> None:
        seen.append(context.model_request)

    agent = prompts_steps.agent(kind)
    agent.hooks = [look]
    async with Agency(agent, model=ChildSpec(prompts_steps.Calling, name="model")) as agency:
        answer = await agency.run("go")
    return seen[0], len(answer.steps)


async def test_the_plain_agent_is_told_and_offered_what_the_prompt_defines() -> None:
    prompt, steps = await asked("prompt")
    plain, others = await asked("plain")
    assert steps == others == prompts_steps.STEPS
    told = [sorted(request.messages[0].text.split("\n\n")) for request in (prompt, plain)]
    assert told[0] == told[1]
    assert prompt.tools == plain.tools
    assert len(prompt.tools) == 10


@pytest.mark.parametrize("kind", ["prompt", "plain", "bare"])
def test_a_step_of_each_is_measured(kind: str) -> None:
    (sample,) = prompts_steps.SCENARIOS[kind](prompts_steps.STEPS)
    assert sample.unit == "µs"
