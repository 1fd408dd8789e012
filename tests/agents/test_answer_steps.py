"""An answer's steps: one record for each completion, with what it asked for and what came of it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Caller, Step, guardrail
from callboard.actors import ChildSpec
from callboard.actors.agents.answer import Answer, Steps
from callboard.actors.agents.errors import GuardrailTripped, InvalidAnswer, RunCancelled
from callboard.actors.agents.turns.confidence import confidence_of
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.records import Ended
from callboard.actors.testing import Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel, Script, call
from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.tools import tool

from .held import Held
from .support import add, function, scripted, solo, until


def thinking(text: str, reasoning: str, *calls: ToolCall, **more: Any) -> Completion:
    message = Message("assistant", text, calls, reasoning=reasoning)
    return Completion(message, "tool_calls" if calls else "stop", Usage(7, 3), "m-1", "there", cost=0.25, **more)


async def test_each_completion_is_a_step_with_thought_action_tool_input_output_and_usage() -> None:
    script = Script([thinking("I look.", "It wants a sum.", call("add", "c1", a=1, b=2)), thinking("Three.", "Done.")])
    async with solo(script, tools=[add]) as agency:
        answer = await agency.run("1 + 2?")
    assert len(answer.steps) == 2
    first, second = answer.steps
    assert (first.number, first.run, first.agent) == (1, answer.run, "Solo")
    assert (first.thought, first.action, first.tool) == ("It wants a sum.", "tool", "add")
    assert (first.input, first.output) == ({"a": 1, "b": 2}, "3")
    assert (first.usage, first.cost, first.model, first.provider) == (Usage(7, 3), 0.25, "m-1", "there")
    assert (second.number, second.thought, second.action, second.tool) == (2, "Done.", "answer", "")
    assert (second.input, second.output, second.calls) == (None, "Three.", ())
    assert sum((step.usage for step in answer.steps), Usage()) == answer.usage
    assert answer.agents == ("Solo",)


async def test_all_calls_of_a_step_are_there_with_their_own_results_failures_included() -> None:
    calls = [call("add", "c1", a=1, b=2), call("nothing", "c2"), ToolCall("c3", "add", "no json")]
    async with solo(Script([calls, "ok"]), tools=[add]) as agency:
        (step, _) = (await agency.run("?")).steps
    assert [one.tool for one in step.calls] == ["add", "nothing", "add"]
    assert [one.result.is_error for one in step.calls if one.result is not None] == [False, True, True]
    assert step.calls[2].input == "no json"
    assert step.thought == ""


async def test_what_a_model_says_beside_its_calls_is_its_thought_where_it_shows_no_other() -> None:
    script = Script([thinking("I look.", "", call("add", "c1", a=1, b=2)), "ok"])
    async with solo(script, tools=[add]) as agency:
        answer = await agency.run("?")
    assert answer.steps[0].thought == "I look."


async def seconds_flow(sim: Simulation) -> None:
    @tool
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def model(request: Request) -> Any:
        await asyncio.sleep(2.0)
        if request.messages[-1].role == "user":
            return [call("slow", "c1", seconds=3.0), call("slow", "c2", seconds=5.0)]
        return "ok"

    spec = ChildSpec(FunctionModel, (model,), name="model")
    async with Agency(Agent("A", tools=[slow]), model=spec, system=sim.system) as agency:
        answer = await agency.run("?", conversation="c")
        view = await agency.conversation("c")
    assert [step.seconds for step in answer.steps] == pytest.approx([2.0, 2.0])
    for first, _ in (answer.steps, view.steps):
        assert [one.seconds for one in first.calls] == pytest.approx([3.0, 5.0])


def test_the_time_of_a_step_is_the_completions_and_that_of_a_call_its_own() -> None:
    simulate(lambda sim: seconds_flow(sim), seeds=1)


def team(journal: Any = None) -> Agency:
    def model(request: Request) -> Any:
        who, last = request.messages[0].text, request.messages[-1]
        if who == "b":
            return "b did it" if last.role == "tool" else thinking("", "b thinks", call("add", "b1", a=1, b=2))
        return "all done" if last.role == "tool" else call("SendMessage", "a1", target_agent="B", message="do it")

    b = Agent("B", "b", tools=[add])
    return Agency(Agent("A", "a", handoffs=[b]), model=function(model), journal=journal)


async def test_the_steps_of_those_that_work_was_handed_to_are_within_the_call() -> None:
    async with team() as agency:
        answer = await agency.run("go")
    (asked,) = answer.steps[0].calls
    assert answer.steps[0].action == "handoff"
    assert [(step.agent, step.tool, step.output) for step in asked.steps] == [("B", "add", "3"), ("B", "", "b did it")]
    assert asked.steps[0].thought == "b thinks"
    assert (asked.output, asked.usage.total_tokens) == ("b did it", 25)
    assert asked.handoff is not None
    assert str(asked.handoff) == "A → B"
    assert answer.agents == ("A", "B")
    assert answer.chain == ("A → B",)


def known(steps: Sequence[Step]) -> list[Step]:
    """Steps without what is measured."""
    return [
        replace(
            step,
            seconds=0.0,
            at=0.0,
            calls=tuple(replace(one, seconds=0.0, steps=tuple(known(one.steps))) for one in step.calls),
        )
        for step in steps
    ]


async def test_the_same_steps_are_read_from_the_journal_after_a_restart(tmp_path: Path) -> None:
    async with team(tmp_path / "j.db") as agency:
        live = await agency.run("go", conversation="c", run_id="r")
        assert known((await agency.conversation("c")).steps) == known(live.steps)
    async with team(tmp_path / "j.db") as agency:
        again = await agency.run("go", conversation="c", run_id="r")
        view = await agency.conversation("c")
    assert [step.seconds for step in again.steps] == [step.seconds for step in live.steps]
    assert again.steps == live.steps
    assert known(view.steps) == known(live.steps)
    assert view.steps[0].calls[0].steps[0].thought == "b thinks"


async def test_a_run_that_was_transferred_has_the_steps_of_who_answered_within_the_call(tmp_path: Path) -> None:
    held = Held(open=True)
    async with held.transferring(tmp_path / "j.db") as agency:
        answer = await agency.run("hello", conversation="c", run_id="r1")
        assert [(step.agent, step.action) for step in answer.steps] == [("A", "handoff")]
        assert [(step.agent, step.output) for step in answer.steps[0].calls[0].steps] == [("B", "heard hello")]
        assert answer.agents == ("A", "B")
        later = await agency.run("and you", conversation="c", run_id="r2")
        assert [(step.agent, step.output) for step in later.steps] == [("B", "heard hello, and you")]
    async with held.transferring(tmp_path / "j.db") as agency:
        again = await agency.run("and you", conversation="c", run_id="r2")
        assert again.steps == later.steps


async def test_a_refused_text_stays_in_the_history_and_its_step_says_what_was_wrong() -> None:
    script = Script(["seven", "7"])
    async with solo(script, output_type=int) as agency:
        answer = await agency.run("?", conversation="c")
        view = await agency.conversation("c")
    assert [(step.output, step.action) for step in answer.steps] == [("seven", "refused"), ("7", "answer")]
    assert answer.steps[0].problem.startswith("the answer: ")
    assert [message.text for message in answer.messages if message.role == "assistant"] == ["seven", "7"]
    assert [message.text for message in script.requests[1].messages[-2:-1]] == ["seven"]
    assert view.steps[0].problem == answer.steps[0].problem


async def test_the_partial_answer_of_an_error_has_the_steps_up_to_it() -> None:
    async with solo(Script(["seven", "eight"]), output_type=int) as agency:
        with pytest.raises(InvalidAnswer) as caught:
            await agency.run("?")
    partial = caught.value.partial
    assert partial is not None
    assert [(step.output, bool(step.problem)) for step in partial.steps] == [("seven", True), ("eight", True)]

    held = Held()
    async with held.agency(None) as agency:
        handle = await agency.start_run("hold on", run_id="r")
        await held.begun.wait()
        await handle.cancel()
        with pytest.raises(RunCancelled) as cancelled:
            await handle
    assert cancelled.value.partial is not None
    (step,) = cancelled.value.partial.steps
    assert [(one.tool, one.result) for one in step.calls] == [("hold", None)]


async def test_a_completion_that_a_guardrail_refused_is_a_step_without_its_words() -> None:
    @guardrail("response")
    def never(context: Any) -> None:
        raise ValueError("not that")

    async with solo(Script(["secret"], cost=0.5), hooks=[never]) as agency:
        with pytest.raises(GuardrailTripped) as caught:
            await agency.run("?")
    assert caught.value.partial is not None
    (step,) = caught.value.partial.steps
    assert (step.output, step.action, step.cost) == ("", "refused", 0.5)
    assert "not that" in step.problem


async def test_what_a_person_decided_is_in_the_step() -> None:
    calls = [call("pay", "c1", amount=5), call("pay", "c2", amount=6)]

    @tool(name="pay", risk="risky")
    async def paying(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    async with solo(Script([calls, "ok"]), tools=[paying], autonomy="supervised") as agency:
        handle = await agency.start_run("?", caller=Caller("ann"))
        await until(lambda: len(agency.approvals) == 2)
        one, two = agency.approvals
        agency.approve(one, arguments='{"amount": 3}')
        agency.deny(two, "too much")
        answer = await handle
    first, second = answer.steps[0].calls
    assert (first.approved, first.input, first.output) == (True, {"amount": 3}, "paid 3")
    assert (second.approved, second.output) == (False, "Denied by a person: too much")
    assert answer.steps[0].message.tool_calls[0].arguments == '{"amount": 3}'


class Sure(BaseModel):
    text: str
    confidence: float


async def test_confidence_is_what_the_model_said_in_a_structured_answer() -> None:
    async with solo(Script([json.dumps({"text": "yes", "confidence": 0.8})]), output_type=Sure) as agency:
        assert (await agency.run("?")).steps[0].confidence == 0.8


async def test_confidence_is_the_mean_probability_of_the_tokens_where_the_vendor_tells_it(tmp_path: Path) -> None:
    logprobs = {"content": [{"token": "so", "logprob": math.log(0.5)}, {"token": "on", "logprob": math.log(0.125)}]}
    said = Completion(Message("assistant", "so on"), "stop", extra={"logprobs": logprobs})
    async with Agency(Agent("A"), model=scripted(Script([said])), journal=tmp_path / "j.db") as agency:
        answer = await agency.run("?", conversation="c")
        assert answer.steps[0].confidence == pytest.approx(0.25)
        assert (await agency.conversation("c")).steps[0].confidence == answer.steps[0].confidence


@pytest.mark.parametrize(
    ("extra", "value", "expected"),
    [
        ({}, None, None),
        ({}, {"confidence": "very"}, None),
        ({}, {"confidence": 80}, None),
        ({}, {"confidence": True}, None),
        ({}, {"confidence": 1}, 1.0),
        ({"logprobs": None}, None, None),
        ({"logprobs": {"content": []}}, None, None),
        ({"logprobs": {"content": [{"token": "a"}]}}, None, None),
        ({"logprobs": "certainly"}, None, None),
        ({"avgLogprobs": 0.0}, None, 1.0),
        ({"avgLogprobs": math.nan}, None, None),
    ],
)
def test_confidence_is_never_invented(extra: Any, value: Any, expected: float | None) -> None:
    assert confidence_of(Completion(Message("assistant", "a"), "stop", extra=extra), value) == expected


async def test_a_note_is_told_once_and_so_are_those_of_agents_that_work_was_handed_to() -> None:
    def model(request: Request) -> Any:
        last = request.messages[-1]
        if request.messages[0].text == "b":
            return thinking("b did it", "", notes=("b had a lesser model",))
        calls = () if last.role == "tool" else (call("SendMessage", "a1", target_agent="B", message="do it"),)
        return (
            thinking("", "", *calls, notes=("failover to m2",))
            if calls
            else thinking("x", "", notes=("failover to m2",))
        )

    async with Agency(Agent("A", "a", handoffs=[Agent("B", "b")]), model=function(model)) as agency:
        answer = await agency.run("go")
    assert answer.notes == ("failover to m2", "b had a lesser model")


def test_steps_are_made_when_they_are_looked_at_and_their_number_is_known_before() -> None:
    made: list[int] = []

    def make(number: int) -> tuple[Step, ...]:
        made.append(number)
        return (Step(1, "r", "A", Message("assistant", "x")),)

    steps = Steps(1, make, 7)
    assert (len(steps), made, repr(steps)) == (1, [], "<1 steps>")
    assert steps[0].output == "x"
    assert steps == (steps[0],)
    assert made == [7]


def test_of_an_answer_that_was_kept_in_the_former_form_the_number_of_steps_is_known() -> None:
    former = '{"run":"r","answer":{"text":"x","steps":3}}'
    ended = RunCodec().decode("Ended", 2, former)
    assert isinstance(ended, Ended)
    assert ended.answer is not None
    assert [step.number for step in ended.answer.steps] == [1, 2, 3]
    encoded = RunCodec().encode(Ended("r", replace(Answer("x"), steps=Steps(3))))
    assert json.loads(encoded.data)["answer"]["steps"] == 3
    own = (Step(1, "r", "A", Message("assistant", "x", (ToolCall("c", "t", "{}"),)), cost=0.5),)
    encoded = RunCodec().encode(Ended("r", replace(Answer("x"), steps=own)))
    again = RunCodec().decode(encoded.type, encoded.schema, encoded.data)
    assert tuple(again.answer.steps) == own
