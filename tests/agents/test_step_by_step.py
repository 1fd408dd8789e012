"""What decides between two steps: a condition that ends the run, a plan of the next step, and going in circles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    AfterSteps,
    AfterTool,
    Agency,
    Agent,
    DefinitionError,
    Limits,
    RunFailed,
    RunSoFar,
    Step,
    StepPlan,
    StuckLoop,
    TextMatches,
    handoff,
)
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Completion, Message, Request, ToolCall
from callboard.tools import tool

from .support import add, scripted, solo


def said(text: str, *calls: ToolCall) -> Completion:
    return Completion(Message("assistant", text, calls), "tool_calls" if calls else "stop")


ADD = call("add", "c", a=1, b=2)


# -- stop_when ---------------------------------------------------------------------------------------------------------


@tool
async def submit(answer: str) -> str:
    """Hand in the answer."""
    return f"handed in {answer}"


STOPS: dict[str, Any] = {
    "a tool": AfterTool("submit"),
    "steps": AfterSteps(2),
    "a text": TextMatches("I am done"),
    "a function": lambda run: run.last.tool == "submit",
    "one of several": AfterTool("never") | TextMatches("done$"),
    "a function among them": (lambda run: False) | AfterSteps(2),
}


async def test_the_last_step_is_the_last_of_all_steps_with_its_own_seconds() -> None:
    seen: list[tuple[Step | None, Step]] = []

    def look(run: RunSoFar) -> bool:
        seen.append((run.last, run.steps[-1]))
        return False

    turns = Script([ADD, call("add", "d", a=1, b=3), call("no_such_tool", "e"), "3"])
    async with solo(turns, tools=[add], stop_when=look) as agency:
        await agency.run("?")
    assert [last.number for _, last in seen] == [1, 2, 3]
    for last, listed in seen:
        assert last == listed


@pytest.mark.parametrize("what", STOPS)
async def test_a_condition_ends_a_run_with_what_there_is(what: str) -> None:
    script = Script([ADD, said("I am done", call("submit", "s", answer="42"))])
    async with solo(script, tools=[add, submit], stop_when=STOPS[what]) as agency:
        answer = await agency.run("?", conversation="c")
        assert (answer.text, script.left) == ("I am done", 0)
        assert answer.steps[-1].output == "handed in 42", "the calls of the last step have been carried out"
        assert problems(answer.messages) == []
        assert answer.notes[0].startswith("stopped by ")
        view = await agency.conversation("c")
        assert (view.status, view.runs[0].status, view.runs[0].answer) == ("idle", "answered", "I am done")


async def test_where_nothing_was_said_the_text_of_a_stopped_run_is_empty_and_its_results_are_in_the_steps() -> None:
    async with solo(Script([ADD]), tools=[add], stop_when=AfterSteps(1)) as agency:
        answer = await agency.run("?")
    assert (answer.text, answer.steps[0].output, answer.notes) == ("", "3", ("stopped by AfterSteps(steps=1)",))


async def test_a_tool_that_failed_does_not_count_as_called() -> None:
    script = Script([call("submit", "s"), call("submit", "s", answer="42")])
    async with solo(script, tools=[submit], stop_when=AfterTool("submit")) as agency:
        assert len((await agency.run("?")).steps) == 2


async def test_that_a_run_was_stopped_is_recorded_and_is_not_decided_anew(tmp_path: Path) -> None:
    asked: list[int] = []

    def stop(run: RunSoFar) -> bool:
        asked.append(len(run.steps))
        return True

    for _ in range(2):
        agent = Agent("A", tools=[add], stop_when=stop)
        async with Agency(agent, model=scripted(Script([ADD])), journal=tmp_path / "j.db") as agency:
            answer = await agency.run("?", conversation="c", run_id="r")
            assert (answer.notes, len(answer.steps)) == (("stopped by stop",), 1)
            records = [record.type async for record in (await agency.handle("r")).events()]
            assert records[-2:] == ["stopped", "ended"]
    assert asked == [1]
    plain = Agent("A", tools=[add])
    async with Agency(plain, model=scripted(Script([])), journal=tmp_path / "j.db") as agency:
        assert (await agency.replay("c")).same


@pytest.mark.parametrize("wrong", [lambda run: 1 / 0, lambda run: "yes"])
async def test_a_condition_that_is_wrong_ends_the_run_by_name(wrong: Any) -> None:
    async with solo(Script([ADD]), tools=[add], stop_when=wrong) as agency:
        with pytest.raises(
            RunFailed, match=r"stop_when of Solo (raised ZeroDivisionError|returned str, not True or False)"
        ):
            await agency.run("?")


def test_what_can_be_no_condition_is_refused_where_it_is_made() -> None:
    makes: list[Any] = [
        lambda: Agent("A", stop_when=3),  # type: ignore[arg-type]
        lambda: Agent("A", stop_when=AfterSteps),  # type: ignore[arg-type]
        lambda: AfterSteps(0),
        lambda: AfterSteps(True),
        lambda: AfterTool(""),
        lambda: AfterTool(add),  # type: ignore[arg-type]
        lambda: TextMatches("("),
        lambda: TextMatches(7),  # type: ignore[arg-type]
        lambda: AfterSteps(1) | 7,  # type: ignore[operator]
        lambda: StepPlan(tools="add"),
        lambda: StepPlan(model=7),  # type: ignore[arg-type]
        lambda: StepPlan(settings=[1]),  # type: ignore[arg-type]
        lambda: Agent("A", prepare_step="x"),  # type: ignore[arg-type]
    ]
    for make in makes:
        with pytest.raises(DefinitionError):
            make()


# -- prepare_step ------------------------------------------------------------------------------------------------------


async def test_a_plan_says_model_tools_instructions_and_settings_of_one_step() -> None:
    def plan(run: RunSoFar) -> StepPlan | None:
        if not run.steps:
            return StepPlan(model="strong", tools=["submit"], instructions="Plan.", settings={"temperature": 0.5})
        assert run.last is not None
        assert run.last.output == "handed in 42"
        assert run.messages[-1].role == "tool"
        return None

    script = Script([call("submit", "s", answer="42"), "ok"])
    agent = Agent("A", "Work.", model="usual", tools=[add, submit], prepare_step=plan)
    async with Agency(agent, model=scripted(script), shared_instructions="All are brief.") as agency:
        assert (await agency.run("?")).text == "ok"
    first, second = script.requests
    assert (first.model, [spec.name for spec in first.tools], first.temperature) == ("strong", ["submit"], 0.5)
    assert first.messages[0].text == "All are brief.\n\nPlan."
    assert (second.model, [spec.name for spec in second.tools]) == ("usual", ["add", "submit"])
    assert second.messages[0].text == "All are brief.\n\nWork."


@pytest.mark.parametrize("durable", [False, True])
async def test_what_a_step_did_not_offer_is_not_carried_out(durable: bool, tmp_path: Path) -> None:
    def plan(run: RunSoFar) -> StepPlan:
        return StepPlan(tools=["submit"])

    calls = [ADD, call("delegate_to_B", "d", message="do"), call("submit", "s", answer="42")]
    a = Agent("A", tools=[add, submit], handoffs=[handoff(Agent("B"))], prepare_step=plan)
    journal = tmp_path / "j.db" if durable else None
    async with Agency(a, model=scripted(Script([calls, "ok"])), journal=journal) as agency:
        (step, _) = (await agency.run("?")).steps
    assert [one.output for one in step.calls] == [
        "'add' cannot be called now; there are: submit",
        "Refused: 'delegate_to_B' cannot be called now; there are: submit",
        "handed in 42",
    ]


WRONG_PLANS: dict[str, tuple[Any, str]] = {
    "raises": (lambda run: 1 / 0, "prepare_step of A raised ZeroDivisionError"),
    "no plan": (lambda run: "strong", "prepare_step of A returned str, not a StepPlan"),
    "unknown tool": (lambda run: StepPlan(tools=["x"]), "wants the tool 'x'; there are: add"),
    "no such setting": (lambda run: StepPlan(settings={"heat": 1}), "settings are fields of a request"),
    "no plan can be made": (
        lambda run: StepPlan(model=7),  # type: ignore[arg-type]
        "prepare_step of A: StepPlan.model is a text",
    ),
}


@pytest.mark.parametrize("what", WRONG_PLANS)
async def test_a_plan_that_is_wrong_ends_the_run_by_name(what: str) -> None:
    plan, about = WRONG_PLANS[what]
    async with Agency(Agent("A", tools=[add], prepare_step=plan), model=scripted(Script([]))) as agency:
        with pytest.raises(RunFailed, match=about):
            await agency.run("?")


# -- circles -----------------------------------------------------------------------------------------------------------


async def test_a_call_with_the_same_result_again_and_again_ends_the_run_after_a_warning() -> None:
    warned: list[int] = []

    def model(request: Request) -> Any:
        if request.messages[-1].text.startswith("You have called add with the same arguments 2 times"):
            warned.append(len(request.messages))
        return call("add", f"c{len(request.messages)}", a=1, b=2)

    async with solo(model, tools=[add], limits=Limits(repeats=4)) as agency:
        with pytest.raises(
            StuckLoop, match="add was called 4 times with the same arguments and the same result"
        ) as caught:
            await agency.run("?", conversation="c")
        assert len(warned) == 1
        partial = caught.value.partial
        assert partial is not None
        assert len(partial.steps) == 4
        assert problems(partial.messages) == []
        assert (await agency.replay("c")).same


async def test_of_several_calls_the_one_that_was_made_most_often_counts() -> None:
    def model(request: Request) -> Any:
        number = sum(message.role == "assistant" for message in request.messages)
        seldom = [ToolCall(f"s{number}", "add", '{"a": 1, "b": 2}')] if number >= 2 else []
        return said("", ToolCall(f"o{number}", "submit", '{"answer": "x"}'), *seldom)

    async with solo(model, tools=[add, submit], limits=Limits(repeats=4)) as agency:
        with pytest.raises(StuckLoop, match="submit was called 4 times"):
            await agency.run("?")


async def test_a_model_that_heeds_the_warning_goes_on() -> None:
    def model(request: Request) -> Any:
        return "I stop." if request.messages[-1].role == "user" and len(request.messages) > 2 else ADD

    async with solo(model, tools=[add]) as agency:
        answer = await agency.run("?")
    assert (answer.text, len(answer.steps)) == ("I stop.", 6)


@pytest.mark.parametrize("between", [1, 2, 3])
async def test_going_round_between_several_calls_is_found(between: int) -> None:
    async with solo(
        lambda request: call("add", a=len(request.messages) // 2 % (between + 1), b=1),
        tools=[add],
        limits=Limits(steps=None, repeats=3),
    ) as agency:
        with pytest.raises(StuckLoop):
            await agency.run("?")


async def test_other_arguments_or_another_result_are_no_circle() -> None:
    count = 0

    @tool
    async def poll() -> int:
        """Look."""
        nonlocal count
        count += 1
        return count

    def model(request: Request) -> Any:
        results = sum(message.role == "tool" for message in request.messages)
        return "done" if results == 24 else [call("poll"), call("add", a=results, b=1)]

    async with solo(model, tools=[add, poll], limits=Limits(steps=None, repeats=2)) as agency:
        assert (await agency.run("?")).text == "done"


async def test_arguments_are_compared_however_they_are_laid_out_and_errors_count_too() -> None:
    forms = ['{"a": 1, "b": "x"}', '{"a":1,\n"b":"x"}']

    def model(request: Request) -> Any:
        return ToolCall(f"c{len(request.messages)}", "add", forms[len(request.messages) // 2 % 2])

    async with solo(model, tools=[add], limits=Limits(steps=None, repeats=3)) as agency:
        with pytest.raises(StuckLoop, match="3 times"):
            await agency.run("?")


async def test_without_a_limit_of_repeats_only_the_others_end_a_run() -> None:
    async with solo(function_of_add, tools=[add], limits=Limits(steps=30, repeats=None)) as agency:
        with pytest.raises(Exception, match="no answer within 30 steps"):
            await agency.run("?")


def function_of_add(request: Request) -> Any:
    return call("add", a=1, b=2)


@pytest.mark.parametrize("repeats", [0, 1, -1, 2.5, True, "3"])
def test_repeats_that_can_be_no_limit_are_refused(repeats: Any) -> None:
    with pytest.raises(DefinitionError, match=r"Limits\.repeats is a whole number, at least 2, or None"):
        Agent("A", limits=Limits(repeats=repeats))


async def test_a_run_that_began_before_there_was_such_a_limit_has_none(tmp_path: Path) -> None:
    from callboard.actors.agents.turns.encoding.codec import RunCodec
    from callboard.actors.agents.turns.records import Accepted, RunRequest

    codec = RunCodec()
    run = RunRequest("r", "r", "A", "c", (Message("user", "hi"),), ("A",), limits=Limits(steps=3))
    encoded = codec.encode(Accepted(run))
    plain = json.loads(encoded.data)
    assert plain["run"]["limits"].pop("repeats") == 10
    former = codec.decode(encoded.type, encoded.schema, json.dumps(plain))
    assert former.run.limits == Limits(steps=3, repeats=None)
