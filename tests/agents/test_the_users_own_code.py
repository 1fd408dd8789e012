"""An error in what a user wrote (instructions, a history filter, a hook) is told at once, with its cause, by name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, HookContext, guardrail, handoff, hook
from callboard.actors.agents.errors import GuardrailTripped, RunFailed
from callboard.actors.agents.events import HookFailed, RunEvent
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Request
from callboard.tools import FunctionTool
from callboard.tools.signatures.functions import FunctionSignature

from .support import RUN_EVENTS, add, function, scripted, solo


class Broken(Exception):
    """What somebody's code raises."""


def raising(*_: Any) -> Any:
    raise Broken("a bug of one's own")


async def test_instructions_that_raise_end_the_run_at_once_with_their_cause() -> None:
    script = Script([])
    async with Agency(Agent("A", raising), model=scripted(script)) as agency:
        with pytest.raises(RunFailed, match="the instructions of A raised Broken: a bug of one's own") as caught:
            await agency.run("?")
    assert isinstance(caught.value.__cause__, Broken)
    assert script.requests == []


@pytest.mark.parametrize("given", [None, 7, ["be brief"]])
async def test_instructions_that_return_no_text_end_the_run_at_once_by_name(given: Any) -> None:
    async with Agency(Agent("A", lambda _: given), model=scripted(Script([]))) as agency:
        with pytest.raises(RunFailed, match=r"the instructions of A returned .*, not a text"):
            await agency.run("?")


@pytest.mark.parametrize("filter", [raising, lambda messages: 7, lambda messages: ["hi"], lambda messages: ()])
async def test_a_history_filter_that_is_wrong_ends_the_run_at_once_by_name(filter: Any) -> None:
    offer = handoff(Agent("B"), kind="transfer", history_filter=filter)
    script = Script([call("transfer_to_B", message="yours")])
    async with Agency(Agent("A", handoffs=[offer]), model=scripted(script)) as agency:
        with pytest.raises(RunFailed, match=r"the history filter of transfer_to_B") as caught:
            await agency.run("?")
    assert caught.value.__cause__ is not None
    assert len(script.requests) == 1


@pytest.mark.parametrize("event", RUN_EVENTS)
@pytest.mark.parametrize("wrong", ["raises", "leaves nonsense"])
async def test_a_hook_that_is_wrong_is_passed_over_and_told_by_name(event: Any, wrong: str) -> None:
    told: list[HookFailed] = []

    def note(one: RunEvent) -> None:
        if isinstance(one, HookFailed):
            told.append(one)

    @hook(event)
    def mine(context: HookContext) -> None:
        if wrong == "raises":
            raise Broken("a bug of one's own")
        for name in ("messages", "model_request", "chunk", "completion", "call", "handoff", "answer"):
            setattr(context, name, "nonsense")

    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    a = Agent("A", tools=[add], handoffs=[handoff(Agent("B"))], hooks=[mine])
    async with Agency(a, model=scripted(script)) as agency:
        agency.subscribe(note)
        texts = [one async for one in agency.run_streaming("?")]
    assert texts[-1].answer.text == "done"  # type: ignore[attr-defined]
    assert told
    assert {one.hook for one in told} == {"mine"}
    expected = "Broken: a bug of one's own" if wrong == "raises" else "TypeError: it left str as"
    assert all(one.error.startswith(expected) for one in told)


@pytest.mark.parametrize("event", RUN_EVENTS)
@pytest.mark.parametrize("wrong", ["raises", "leaves nonsense"])
async def test_a_guardrail_that_is_wrong_ends_the_run_at_once_with_its_cause(event: Any, wrong: str) -> None:
    @guardrail(event)
    def mine(context: HookContext) -> None:
        if wrong == "raises":
            raise Broken("a bug of one's own")
        context.answer = context.messages = context.chunk = "nonsense"  # type: ignore[assignment]

    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    a = Agent("A", tools=[add], handoffs=[handoff(Agent("B"))], hooks=[mine])
    async with Agency(a, model=scripted(script)) as agency:
        with pytest.raises(GuardrailTripped, match=rf"guardrail mine refused \({event}\)") as caught:
            async for _ in agency.run_streaming("?"):
                pass
    assert isinstance(caught.value.__cause__, Broken if wrong == "raises" else TypeError)


async def test_a_conversation_that_is_given_up_says_on_what_it_crashed(monkeypatch: pytest.MonkeyPatch) -> None:
    from callboard.actors.agents.runs.execution import runner

    monkeypatch.setattr(runner.Runner, "receive", raising)
    async with solo(Script(["x"] * 9)) as agency:
        with pytest.raises(RunFailed, match="crashed 4 times at one step, the last time on Broken: a bug") as caught:
            await agency.run("?")
    assert isinstance(caught.value.__cause__, Broken)


class Moody(FunctionTool):
    """A tool of one's own class that cannot be described any more."""

    broken = False

    @property
    def spec(self) -> Any:
        if self.broken:
            raise Broken("a bug of one's own")
        return super().spec


def moody() -> Moody:
    def look(a: int) -> int:
        return a

    return Moody(look, FunctionSignature(look), name="look")


async def test_an_agent_that_cannot_be_made_ready_ends_its_run_with_the_cause_and_disturbs_nobody() -> None:
    mine = moody()
    async with Agency(Agent("A", tools=[mine]), Agent("B"), model=scripted(Script(["hi", "hi"]))) as agency:
        mine.broken = True
        for _ in range(2):
            with pytest.raises(RunFailed, match="agent A cannot be made ready: Broken: a bug of one's own") as caught:
                await agency.run("?", conversation="c")
            assert isinstance(caught.value.__cause__, Broken)
        assert (await agency.run("?", agent="B")).text == "hi"
        mine.broken = False
        assert (await agency.run("?", conversation="c")).text == "hi"


async def test_a_run_taken_up_again_whose_agent_cannot_be_made_ready_ends_with_the_cause(tmp_path: Path) -> None:
    mine = moody()
    held = asyncio.Event()

    async def wait(_: Request) -> str:
        held.set()
        await asyncio.Event().wait()
        return ""

    async with Agency(Agent("A", tools=[mine]), model=function(wait), journal=tmp_path / "j.db") as agency:
        await agency.start_run("?", run_id="r", conversation="c")
        await held.wait()
    again = Agency(Agent("A", tools=[mine]), Agent("B"), model=scripted(Script(["hi"])), journal=tmp_path / "j.db")
    mine.broken = True
    async with again:
        with pytest.raises(RunFailed, match="agent A cannot be made ready: Broken"):
            await again.resumed["r"]
        assert (await again.run("?", agent="B")).text == "hi"
