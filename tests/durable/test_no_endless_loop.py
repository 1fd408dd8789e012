"""Nothing loops: a failure in a step counts against the limits, and what is shaped wrongly is refused at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from callboard import Actor, Agency, Agent, ChildSpec, HookContext, Limits, Request, hook
from callboard.actors.agents.errors import AgentError, DefinitionError, RunError, RunFailed

from .support import echo, function, outcome, passes, until

ENOUGH = 20
"""Completions after which a run that may take three is called endless."""


class Broken(BaseModel):
    """Its validator has a bug, as users' validators may."""

    text: str

    @field_validator("text")
    @classmethod
    def check(cls, text: str) -> str:
        raise AttributeError("a bug in a validator")


class Counting:
    """A model that counts how often it is asked."""

    def __init__(self, reply: str) -> None:
        self.asked = 0
        self.reply = reply

    def __call__(self, request: Request) -> Any:
        self.asked += 1
        return self.reply


async def ended_within(agency: Agency, model: Counting, **options: Any) -> AgentError:
    """Run, and see it end in a named error before the model was asked endlessly."""
    run = asyncio.ensure_future(agency.run("?", limits=Limits(steps=3, seconds=2), **options))
    await until(lambda: run.done() or model.asked > ENOUGH)
    asked = model.asked
    if not run.done():
        run.cancel()
        await asyncio.wait([run])
    assert asked <= 3, f"{asked} completions were bought under Limits(steps=3)"
    error = await outcome(run)
    assert isinstance(error, RunError)
    return error


@pytest.mark.parametrize("given", ["agent", "run"])
async def test_a_validator_that_raises_ends_the_run_in_a_named_error_with_its_cause(given: str) -> None:
    model = Counting('{"text": "x"}')
    agent = Agent("A", output_type=Broken if given == "agent" else None)
    async with Agency(agent, model=function(model)) as agency:
        error = await ended_within(agency, model, output_type=Broken if given == "run" else None)
        assert not isinstance(error, RunFailed) or isinstance(error.__cause__, AttributeError)
        assert error.partial is not None
        assert len(error.partial.steps) == model.asked, "what was bought is told"


class WrongModel(Actor):
    """Answers with something that is no completion."""

    def __init__(self, count: Counting) -> None:
        super().__init__()
        self._count = count

    def on_receive(self, message: Any) -> Any:
        return self._count(message)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_that_answers_a_wrong_type_ends_the_run_in_a_named_error(streamed: bool) -> None:
    model = Counting("a text is no completion")
    spec = ChildSpec(WrongModel, (model,), name="model")
    async with Agency(Agent("A"), model=spec) as agency:
        if not streamed:
            await ended_within(agency, model, conversation="c")
            return

        async def read() -> None:
            async for _ in agency.run_streaming("?", limits=Limits(steps=3, seconds=2)):
                pass

        run = asyncio.ensure_future(read())
        await until(lambda: run.done() or model.asked > ENOUGH)
        assert run.done(), f"{model.asked} requests under Limits(steps=3)"
        assert isinstance(await outcome(run), RunError)


async def test_a_hook_that_puts_a_wrong_completion_in_place_is_passed_over() -> None:
    model = Counting("fine")

    @hook("response")
    def wrong(context: HookContext) -> None:
        context.completion = "fine"  # type: ignore[assignment]

    async with Agency(Agent("A", hooks=[wrong]), model=function(model)) as agency:
        assert (await outcome(agency.run("?"))).text == "fine"
        assert model.asked == 1


async def test_a_conversation_goes_on_after_a_run_that_failed_in_a_step(tmp_path: Path) -> None:
    model = Counting('{"text": "x"}')
    path = tmp_path / "j.db"
    async with Agency(Agent("A"), model=function(model), journal=path) as agency:
        await ended_within(agency, model, conversation="c", output_type=Broken)
        asked = model.asked
        assert (await outcome(agency.run("again", conversation="c"))).text == '{"text": "x"}'
        assert model.asked == asked + 1
    async with Agency(Agent("A"), model=function(model), journal=path) as agency:
        assert agency.resumed == {}, "the failed run is begun once more by the next process"
        assert (await outcome(agency.run("more", conversation="c"))).text == '{"text": "x"}'


WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    "a dictionary that is no message": ([{"role": "usr", "content": "hello"}], {}),
    "texts as messages": (["hello"], {}),
    "a number as a question": (5, {}),
    "numbers as messages": ([1, 2], {}),
    "nothing as a question": (None, {}),
    "a number as limits": ("?", {"limits": 5}),
    "a dictionary as limits": ("?", {"limits": {"steps": 3}}),
    "a list as metadata": ("?", {"metadata": ["a"]}),
    "names as tools": ("?", {"tools": ["add"]}),
    "a function as a tool": ("?", {"tools": [echo]}),
    "a number as a conversation": ("?", {"conversation": 5}),
    "a number as a user": ("?", {"user": 5}),
}


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("wrong", list(WRONG))
async def test_a_wrongly_shaped_request_is_refused_at_once(tmp_path: Path, wrong: str, durable: bool) -> None:
    question, options = WRONG[wrong]
    journal = tmp_path / "j.db" if durable else None
    asked: list[Request] = []

    def model(request: Request) -> str:
        asked.append(request)
        return echo(request)

    crashes = 0
    async with Agency(Agent("A"), model=function(model), journal=journal) as agency:
        assert agency.system is not None

        def look(event: Any) -> None:
            nonlocal crashes
            crashes += event.kind == "crashed"

        agency.system.subscribe(look)
        run = asyncio.ensure_future(agency.run(question, **{"conversation": "c", **options}))
        await until(lambda: run.done() or crashes > ENOUGH, within=5_000)
        refused = run.done()
        if not refused:
            run.cancel()
        await asyncio.wait([run])
        assert refused, f"it was accepted, and {crashes} actors crashed on it"
        assert isinstance(run.exception(), DefinitionError), f"it was taken, and ended in {run.exception()!r}"
        assert isinstance(run.exception(), ValueError)
        await passes(20)
        assert (await outcome(agency.run("right", conversation="c"))).text == "to right"
        assert len(asked) == 1
    assert crashes == 0
    if durable:
        async with Agency(Agent("A"), model=function(model), journal=journal) as agency:
            assert agency.resumed == {}, "it is begun once more by the next process"


async def test_a_wrongly_shaped_request_does_no_harm_to_others() -> None:
    async with Agency(Agent("A"), model=function(echo)) as agency:
        wrong = [asyncio.ensure_future(agency.run("?", limits=5)) for _ in range(3)]  # type: ignore[call-overload]
        assert (await outcome(agency.run("right", conversation="c"))).text == "to right"
        assert await until(lambda: all(run.done() for run in wrong), within=5_000), "wrong requests have no outcome"
        assert agency.system is not None
        assert (await outcome(agency.run("right", conversation="c"))).text == "to right"
        assert all(isinstance(run.exception(), DefinitionError) for run in wrong)
