"""Pipelines of agents and plain functions: what each stage is given, what is told of it, and what survives a crash."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, DefinitionError, Limits, Pipeline, Request, handoff, request_context
from callboard.actors.agents.errors import CostLimit
from callboard.actors.agents.events import RunEvent, RunStarted
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted


def shout(text: str) -> str:
    """Says it loud."""
    return text.upper()


async def sign(text: str) -> Answer:
    return Answer(f"{text} — signed", cost=0.5)


def line(*stages: Any, script: list[Any], **options: Any) -> Agency:
    """An agency of A, who hands everything to a pipeline of these stages."""
    lead = Agent("A", "a", handoffs=[handoff(Pipeline("Line", *stages))], **options)
    return Agency(lead, model=scripted(Script([call("delegate_to_Line", message="start"), *script], cost=1.0)))


async def test_a_pipeline_may_be_of_agents_and_of_plain_functions() -> None:
    one, two = Agent("One", "1"), Agent("Two", "2")
    async with line(one, shout, two, sign, script=["one", "two", "done"]) as agency:
        answer = await agency.run("?")
    model = answer.messages
    assert [message.text for message in model if message.role == "tool"] == ["two — signed"]
    assert answer.cost == 4.5


async def test_the_stages_of_a_pipeline_are_in_the_chain_and_know_where_they_stand() -> None:
    chains: list[tuple[str, ...]] = []

    def look(text: str) -> str:
        context = request_context()
        assert context is not None
        chains.append(context.chain)
        return text

    async with line(Agent("One", "1"), look, Agent("Two", "2"), script=["one", "two", "done"]) as agency:
        seen: list[RunEvent] = []
        agency.subscribe(seen.append)
        answer = await agency.run("?")
    assert answer.chain == ("A → Line", "Line → One", "Line → Line-look", "Line → Two")
    assert [record.task for record in answer.handoffs] == ["start", "start", "one", "one"]
    assert chains == [("A", "Line", "Line-look")]
    assert [event.chain for event in seen if isinstance(event, RunStarted)] == [
        ("A",),
        ("A", "Line", "One"),
        ("A", "Line", "Line-look"),
        ("A", "Line", "Two"),
    ]


async def test_handoffs_stand_each_before_those_that_came_of_it() -> None:
    script = Script(
        [
            call("delegate_to_Line", message="start"),
            call("SendMessage", target_agent="Deep", message="help"),
            "deep",
            "one",
            "two",
            "done",
        ]
    )
    one = Agent("One", "1", handoffs=[Agent("Deep", "d")])
    lead = Agent("A", "a", handoffs=[handoff(Pipeline("Line", one, Agent("Two", "2")))])
    async with Agency(lead, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.chain == ("A → Line", "Line → One", "One → Deep", "Line → Two")


async def test_a_stage_that_fails_ends_the_pipeline_and_the_sender_is_told() -> None:
    def broken(text: str) -> str:
        raise ValueError("no such page")

    async with line(Agent("One", "1"), broken, Agent("Two", "2"), script=["one", "so be it"]) as agency:
        answer = await agency.run("?")
    assert answer.text == "so be it"
    told = next(message for message in answer.messages if message.role == "tool")
    assert "Line could not finish: RunFailed: ValueError: no such page" in told.text
    assert [bool(record.failed) for record in answer.handoffs] == [True, False, True]


async def test_a_function_that_blocks_does_not_hold_up_the_loop() -> None:
    going = threading.Event()

    def blocking(text: str) -> str:
        assert going.wait(5), "the loop stood still while the function blocked"
        return text

    async with line(blocking, script=["done"]) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        asyncio.get_running_loop().call_later(0.01, going.set)
        assert (await run).text == "done"


async def test_a_pipeline_in_a_pipeline_is_its_stages() -> None:
    inner = Pipeline("Inner", shout, sign)
    async with line(Agent("One", "1"), inner, script=["one", "done"]) as agency:
        answer = await agency.run("?")
    assert next(message.text for message in answer.messages if message.role == "tool") == "ONE — signed"


@pytest.mark.parametrize("stage", [7, "Name", None, ["x"]])
def test_what_cannot_be_a_stage_is_refused(stage: Any) -> None:
    with pytest.raises(DefinitionError, match="a stage of pipeline 'Line' is an agent or a function"):
        Pipeline("Line", stage)


async def test_functions_of_one_name_lambdas_and_partials_are_stages_with_names_of_their_own() -> None:
    class Bang:
        def __call__(self, text: str) -> str:
            return f"{text}!"

    again = partial(partial(str.replace), "o")  # called with what a stage is given in the middle
    stages = (shout, shout, lambda text: text + "1", lambda text: text + "2", partial(_joined, "x"), Bang())
    assert [one.name for one in Pipeline("P", *stages, again).stages] == [
        *("P-shout", "P-shout-2", "P-lambda", "P-lambda-2", "P-_joined", "P-Bang", "P-replace")
    ]
    async with line(*stages, script=["done"]) as agency:
        answer = await agency.run("?")
    assert next(one.text for one in answer.messages if one.role == "tool") == "xSTART12!"


def _joined(before: str, text: str) -> str:
    return before + text


@pytest.mark.parametrize("whom", ["agency/A/c", "agency/A", "agency/Two", "agency"])
async def test_a_stage_whose_result_was_recorded_is_not_run_again_after_a_crash(whom: str, tmp_path: Path) -> None:
    ran: list[str] = []
    reached, again = asyncio.Event(), asyncio.Event()

    def once(text: str) -> str:
        ran.append(text)
        return text.upper()

    async def model(request: Request) -> Any:
        match request.messages[0].text:
            case "1":
                return "one"
            case "2":
                reached.set()
                await again.wait()
                return f"two after {request.messages[-1].text}"
            case _ if request.messages[-1].role == "tool":
                return f"done: {request.messages[-1].text}"
        return call("delegate_to_Line", message="start")

    lead = Agent("A", "a", handoffs=[handoff(Pipeline("Line", Agent("One", "1"), once, Agent("Two", "2")))])
    async with Agency(lead, model=function(model), journal=tmp_path / "j.db") as agency:
        assert agency.system is not None
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await reached.wait()
        victim = agency.system.find(whom)
        assert victim is not None
        victim.kill()
        again.set()
        answer = await run
    assert "two after" in answer.text
    assert "ONE" in answer.text
    assert ran == ["one"], f"the function ran {len(ran)} times"


async def test_a_process_that_stops_in_a_pipeline_leaves_the_rest_to_the_next_one(tmp_path: Path) -> None:
    ran: list[str] = []
    reached = asyncio.Event()
    hang = True

    def once(text: str) -> str:
        ran.append(text)
        return text.upper()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "2":
            reached.set()
            if hang:
                await asyncio.Event().wait()
            return "two"
        return "done" if request.messages[-1].role == "tool" else call("delegate_to_Line", message="start")

    def team() -> Agency:
        lead = Agent("A", "a", handoffs=[handoff(Pipeline("Line", once, Agent("Two", "2")))])
        return Agency(lead, model=function(model), journal=tmp_path / "j.db")

    async with team() as agency:
        await agency.start_run("?", conversation="c", run_id="r")
        await reached.wait()
    hang = False
    async with team() as agency:
        answer = await agency.run("?", conversation="c", run_id="r")
    assert (answer.text, answer.chain) == ("done", ("A → Line", "Line → Line-once", "Line → Two"))
    assert ran == ["start"], f"the function ran {len(ran)} times"


async def test_a_pipeline_has_what_is_left_of_its_askers_money() -> None:
    one, two = Agent("One", "1"), Agent("Two", "2")
    async with line(one, two, script=["one"], limits=Limits(cost=2.0)) as agency:
        with pytest.raises(CostLimit) as told:
            await agency.run("?")
    assert told.value.partial is not None
    assert told.value.partial.cost == 2.0
    assert told.value.partial.chain == ("A → Line", "Line → One", "Line → Two")
    assert "CostLimit" in told.value.partial.handoffs[-1].failed
