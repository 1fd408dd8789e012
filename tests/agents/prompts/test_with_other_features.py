"""Whatever else an agent has works with a prompt function, and what that makes in a step works like any other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callboard import AfterTool, Agency, Agent, Caller, RunFailed, RunSoFar, StepPlan, TextDelta, tool
from callboard.actors.agents.errors import GuardrailTripped, PromptError
from callboard.actors.agents.events import ApprovalRequested
from callboard.actors.agents.hooks import HookContext, guardrail, hook
from callboard.actors.agents.prompts.effects import StepModifier
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.agents.teamfile import load_team
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import function, results

from .test_in_runs import COUNTED, MORE, agency, calling, counter


@tool(risk="safe")
async def own() -> str:
    """One of the agent's own."""
    return "own"


def offering(*names: str, **options: Any) -> Any:
    """A prompt function that offers tools of these names."""

    def prompt(prompt: Prompt) -> None:
        for name in names:
            prompt.tool(lambda name=name: name, name=name, **options)

    return prompt


def named(request: Request) -> str:
    """A model that says what it is offered."""
    return " ".join(spec.name for spec in request.tools)


# -- what is offered ---------------------------------------------------------------------------------------------------


async def test_tools_of_a_step_stand_behind_the_agents_own() -> None:
    async with agency(offering("a", "b"), named, tools=[own]) as made:
        assert (await made.run("go")).text == "own a b"


async def test_a_tool_that_is_called_like_one_of_the_agents_own_ends_the_run_by_name() -> None:
    async with agency(offering("own"), named, tools=[own]) as made:
        with pytest.raises(RunFailed, match="'own'") as raised:
            await made.run("go")
    assert isinstance(raised.value.__cause__, PromptError)


async def test_an_effect_chooses_what_one_step_offers_and_a_call_of_another_is_refused() -> None:
    def prompt(prompt: Prompt) -> None:
        offering("a", "b", risk="safe")(prompt)

        def choose(context: Any, step: StepModifier) -> None:
            if context.step == 1:
                step.tools = ["a", "own"]

        prompt.effect(choose)

    def model(request: Request) -> Any:
        return named(request) if results(request) else call("b")

    async with agency(prompt, model, tools=[own]) as made:
        answer = await made.run("go")
    assert answer.steps[0].calls[0].output == "'b' cannot be called now; there are: own, a"
    assert answer.text == "own a b"


async def test_prepare_step_chooses_among_what_the_step_has() -> None:
    def plan(run: RunSoFar) -> StepPlan:
        return StepPlan(tools=["a", "later"], instructions="Instead.")

    def prompt(prompt: Prompt) -> None:
        offering("a", "b")(prompt)
        prompt.system("style", "Brief.")

    def model(request: Request) -> str:
        return f"{named(request)} | {request.messages[0].text}"

    async with agency(prompt, model, tools=[own], prepare_step=plan, instructions="First.") as made:
        assert (await made.run("go")).text == "a | Instead.\n\n<style>\nBrief.\n</style>"


async def test_a_condition_ends_the_run_after_a_tool_of_a_step() -> None:
    async with agency(counter, calling(MORE, MORE), stop_when=AfterTool("more")) as made:
        answer = await made.run("go", conversation="c")
        assert len(answer.steps) == 1
        assert (await made.run("go", conversation="c")).steps[0].calls[0].output == "2"


async def test_a_tool_with_a_scope_is_there_for_those_who_hold_it() -> None:
    async with agency(offering("a", scope="staff"), named, tools=[own]) as made:
        assert (await made.run("go")).text == "own"
        assert (await made.run("go", caller=Caller("ada", scopes=frozenset({"staff"})))).text == "own a"


async def test_tools_that_are_deferred_are_found_and_called() -> None:
    def model(request: Request) -> Any:
        done = results(request)
        if not done:
            assert named(request) == "search_tools"
            return call("search_tools", query="count on")
        if len(done) == 1:
            assert "more" in named(request)
            return MORE
        return done[-1]

    async with agency(counter, model, defer_tools=True) as made:
        assert (await made.run("go")).text == "1"


# -- who looks at it ---------------------------------------------------------------------------------------------------


async def test_a_risky_tool_of_a_step_waits_for_a_person_and_sets_state_once_approved() -> None:
    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")
        prompt.tool(lambda: set_count(count + 1), name="more", risk="risky")

    async with agency(prompt, calling(MORE, MORE), autonomy="supervised") as made:
        asked: list[str] = []

        def look(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                decide = made.approve if len(asked) == 1 else made.deny
                decide(event.approval)

        made.subscribe(look)
        answer = await made.run("go")
    assert asked == ["more", "more"]
    assert answer.text.endswith(COUNTED.format(1))


async def test_hooks_see_and_change_what_a_prompt_function_has_made() -> None:
    @hook("request")
    def louder(context: HookContext) -> None:
        request = context.model_request
        assert request is not None
        first, *others = request.messages
        context.model_request = replace(request, messages=(replace(first, content=first.text.upper()), *others))

    @hook("toolcall")
    def twice(context: HookContext) -> None:
        called.append(context.call.name if context.call else "")

    called: list[str] = []
    async with agency(counter, calling(MORE), hooks=[louder, twice]) as made:
        assert (await made.run("go")).text == COUNTED.format(1).upper()
    assert called == ["more"]


async def test_a_call_that_a_guardrail_refuses_has_set_nothing() -> None:
    @guardrail("toolcall")
    def never(context: HookContext) -> None:
        raise GuardrailTripped("not this one")

    async with agency(counter, calling(MORE), hooks=[never]) as made:
        with pytest.raises(GuardrailTripped):
            await made.run("go", conversation="c")
        assert (await made.conversation("c")).messages
    async with agency(counter, calling(), hooks=[]) as made:
        assert (await made.run("go")).text == COUNTED.format(0)


async def test_streamed_runs_are_rendered_too() -> None:
    async with agency(counter, calling(MORE)) as made:
        events = [event async for event in made.run_streaming("go")]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == COUNTED.format(1)


async def test_an_answer_of_a_type_is_asked_for_and_checked() -> None:
    def prompt(prompt: Prompt) -> None:
        prompt.system("style", "A number.")

    async with agency(prompt, lambda request: "7" if request.response_schema else "x", output_type=int) as made:
        assert (await made.run("go")).value == 7


async def test_what_is_said_to_a_run_is_there_when_the_next_step_is_made() -> None:
    asked: list[int] = []
    working, go = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        @prompt.tool(risk="safe")
        async def wait() -> str:
            """Wait."""
            working.set()
            await go.wait()
            return "waited"

        prompt.effect(lambda context: asked.append(len(context.messages)))

    def model(request: Request) -> Any:
        return request.messages[-1].text if len(request.messages) > 1 else call("wait")

    async with agency(prompt, model) as made:
        run = asyncio.ensure_future(made.run("go", conversation="c"))
        await working.wait()
        await made.steer("c", "and this")
        go.set()
        assert (await run).text == "and this"
    assert asked == [1, 4]


# -- what is said of it ------------------------------------------------------------------------------------------------


async def test_the_description_of_an_agent_names_its_prompt_function() -> None:
    made = Agency(Agent("A", prompt=counter), Agent("B"), model=function(named))
    assert made.describe("A").prompt == "counter"
    assert made.describe("B").prompt == ""


def test_an_agent_of_plain_data_names_its_prompt_function_and_plugins() -> None:
    here = "tests.agents.prompts.test_with_other_features"
    agent = Agent.from_config({"name": "A", "prompt": f"{here}:greeting", "plugins": [f"{here}:Greets"]})
    assert agent.prompt is greeting
    with pytest.raises(PromptError, match="plugins"):
        Agent.from_config({"name": "A", "plugins": [f"{here}:Greets"]})
    for field, wrong in (
        ("prompt", f"{here}:MISSING"),
        ("prompt", f"{here}:own_name"),
        ("plugins", [f"{here}:agency"]),
    ):
        with pytest.raises(ValueError, match=field):
            Agent.from_config({"name": "A", "prompt": f"{here}:counter", field: wrong})


async def test_a_team_file_names_prompt_functions(tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text(
        "agents:\n  A:\n    prompt: tests.agents.prompts.test_with_other_features:greeting\n"
        "    plugins: [tests.agents.prompts.test_with_other_features:Greets]\n"
    )
    agent = load_team(file).agents["A"]
    assert (agent.prompt, tuple(agent.plugins)) == (greeting, (Greets,))  # type: ignore[arg-type]


class Greets(Prompt):
    """A plugin."""

    def greet(self, whom: str) -> None:
        """Greet somebody."""
        self.system("greeting", f"Hello, {whom}.")


def greeting(prompt: Greets) -> None:
    """A prompt function that uses it."""
    prompt.greet("you")


own_name = "text"


async def test_a_plugins_methods_are_there() -> None:
    async with agency(greeting, calling(), plugins=Greets) as made:
        assert (await made.run("go")).text == "<greeting>\nHello, you.\n</greeting>"


def test_an_agent_that_answers_by_itself_has_no_prompt_function() -> None:
    class Itself(Agent):
        async def answer(self, request: Any) -> str:
            return "x"

    with pytest.raises(PromptError, match="answers by itself"):
        Itself("A", prompt=counter)


async def test_an_agent_that_is_given_a_tool_while_it_lives_keeps_its_prompt_function() -> None:
    async with agency(counter, named) as made:
        made.add_tool("A", own)
        assert (await made.run("go")).text == "own more"
