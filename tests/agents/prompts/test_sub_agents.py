"""Sub-agents of a prompt function: each call is a run of its own, and what comes of it may set the caller's state."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from callboard import (
    Agency,
    Agent,
    Answer,
    Caller,
    EffectContext,
    GuardrailTripped,
    HandoffDepth,
    HandoffLimits,
    HandoffPolicy,
    HookContext,
    Limits,
    Prompt,
    PromptError,
    Request,
    RunFailed,
    Skill,
    StepModifier,
    SubAgent,
    ToolContext,
    ToolResult,
    guardrail,
    hook,
    tool,
)
from callboard.actors.agents.context import request_context
from callboard.actors.agents.events import ApprovalRequested, HandoffFinished, HandoffStarted, RunEvent
from callboard.actors.agents.team.diagram import conversation_diagram
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.store import at_hand
from callboard.actors.testing import Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Message, ToolCall, Usage
from tests.agents.support import function, until


class Find(BaseModel):
    topic: str


class Fact(BaseModel):
    fact: str
    sure: float


def told(request: Request) -> str:
    """What stands in the system prompt."""
    first = request.messages[0]
    return first.text if first.role == "system" else ""


def results(request: Request) -> list[str]:
    return [one.text for one in request.messages if one.role == "tool"]


def lead(*calls: ToolCall, worker: Callable[[Request], Any] = lambda request: "found") -> Callable[[Request], Any]:
    """A model that makes the calls in one step as the lead, and answers with their results, one a line; of others it
    is the worker."""

    def model(request: Request) -> Any:
        if "<lead>" not in told(request):
            return worker(request)
        done = results(request)
        return "\n".join(done) if done else list(calls)

    return model


def agency(
    prompt: Callable[[Any], object],
    model: Callable[[Request], Any],
    *,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> Agency:
    return Agency(Agent("Lead", prompt=prompt, **more), model=function(model), **(options or {}))


def silent(prompt: Prompt, given: Any) -> None:
    """A prompt function of a sub-agent that defines nothing."""


def offering(*, name: str = "research", fn: Callable[..., object] = silent, **options: Any) -> Callable[[Prompt], None]:
    """A prompt function that offers one sub-agent, and shows a state."""

    def leading(prompt: Prompt) -> None:
        found, _ = prompt.state("found", [], list[Any])
        prompt.system("lead", f"found {json.dumps(found)}")
        prompt.agent(name, "Researches.", Find, fn, **options)

    return leading


CATS = call("research", "c", topic="cats")


async def answered(made: Agency, **options: Any) -> Answer:
    async with made:
        return await made.run("go", **options)


# -- a call ------------------------------------------------------------------------------------------------------------


async def test_a_call_is_a_run_of_its_own_that_is_told_what_its_function_defines() -> None:
    seen: list[Request] = []

    def research(prompt: Prompt, given: Find) -> None:
        prompt.system("role", f"You look for {given.topic}.")
        prompt.user(f"Tell me of {given.topic}.")

    def worker(request: Request) -> str:
        seen.append(request)
        return "They purr."

    answer = await answered(agency(offering(fn=research), lead(CATS, worker=worker)))
    assert answer.text == '{"response": "They purr."}'
    (request,) = seen
    assert [(one.role, one.text) for one in request.messages] == [
        ("system", "<role>\nYou look for cats.\n</role>"),
        ("user", "Tell me of cats."),
    ]
    (step,) = answer.steps[0].calls[0].steps
    assert (step.agent, step.message.text) == ("Lead-research", "They purr.")
    (record,) = answer.handoffs
    assert (record.sender, record.target, record.kind) == ("Lead", "Lead-research", "delegate")


async def test_the_model_sees_its_input_as_parameters_and_one_that_is_told_nothing_is_told_its_input() -> None:
    seen: list[Request] = []

    def model(request: Request) -> Any:
        seen.append(request)
        return lead(CATS)(request)

    await answered(agency(offering(system="Be brief."), model))
    (spec,) = seen[0].tools
    assert (spec.name, spec.description) == ("research", "Researches.")
    assert spec.parameters == {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}
    assert [(one.role, one.text) for one in seen[1].messages] == [("system", "Be brief."), ("user", '{"topic":"cats"}')]


class Typed(TypedDict):
    topic: str


@pytest.mark.parametrize(("kind", "given"), [(Typed, {"topic": "cats"}), ({"topic": str}, {"topic": "cats"})])
async def test_an_input_may_be_a_typed_dict_or_a_mapping(kind: Any, given: Any) -> None:
    seen: list[Any] = []

    def leading(prompt: Prompt) -> None:
        prompt.system("lead", "")
        prompt.agent("research", "", kind, lambda prompt, given: seen.append(given))

    await answered(agency(leading, lead(CATS)))
    assert seen == [given]


async def test_arguments_that_do_not_fit_go_back_to_the_model_and_nobody_is_asked() -> None:
    asked: list[Request] = []
    wrong = [call("research", "a", topic=7), ToolCall("b", "research", "no json"), call("research", "d", topics="x")]
    answer = await answered(agency(offering(), lead(*wrong, worker=asked.append)))
    first, second, third = answer.steps[0].calls
    assert "topic: Input should be a valid string (got 7)" in first.output
    assert "Error (InvalidArguments)" in second.output
    assert "topic: required, but missing" in third.output
    assert all(one.result is not None and one.result.is_error for one in (first, second, third))
    assert asked == []


async def test_it_has_the_model_and_the_settings_of_its_caller_or_a_model_of_its_own() -> None:
    seen: list[tuple[str, float | None]] = []

    def model(request: Request) -> Any:
        seen.append((request.model, request.temperature))
        return lead(CATS)(request)

    for own in ("", "small"):
        agent = Agent("Lead", prompt=offering(model=own), model="big", settings={"temperature": 0.5})
        await answered(Agency(agent, model=function(model)))
    assert [name for name, _ in seen] == ["big", "big", "big", "big", "small", "big"]
    assert {temperature for _, temperature in seen} == {0.5}


async def test_it_knows_for_whom_it_works() -> None:
    seen: list[Any] = []

    def research(prompt: Prompt, given: Find) -> None:
        context = prompt.context
        seen.append((context.caller.user, context.metadata["order"], context.chain))

        @prompt.tool(risk="safe")
        def look(context: ToolContext[str]) -> str:
            """Look there."""
            return f"{context.caller.user} in {context.deps}"

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("look", "l")

    made = agency(offering(fn=research), lead(CATS, worker=worker))
    answer = await answered(made, caller=Caller("ada"), metadata={"order": 7}, deps="Rome")
    assert set(seen) == {("ada", 7, ("Lead", "Lead-research"))}
    assert answer.text == '{"response": "ada in Rome"}'


async def test_a_step_that_does_not_offer_it_has_it_no_more() -> None:
    def leading(prompt: Prompt) -> None:
        step, set_step = prompt.state("step", 1)
        prompt.system("lead", "")
        prompt.effect(lambda: set_step(step + 1))
        if step == 1:
            prompt.agent("research", "", Find, silent)
        else:
            prompt.agent("look", "", Find, silent)

    def model(request: Request) -> Any:
        if not told(request):
            return "found"
        return CATS if len(results(request)) < 2 else "done"

    answer = await answered(agency(leading, model))
    assert answer.steps[0].calls[0].output == '{"response": "found"}'
    assert answer.steps[1].calls[0].output == "no tool is called 'research'; there are: look"


# -- what it answers ---------------------------------------------------------------------------------------------------


async def test_its_schema_stands_in_its_system_prompt() -> None:
    seen: list[str] = []

    def worker(request: Request) -> str:
        seen.append(told(request))
        return '{"fact": "They purr.", "sure": 0.9}'

    answer = await answered(agency(offering(response_schema=Fact, system="Be brief."), lead(CATS, worker=worker)))
    shown = seen[0].partition("<response_schema>\n")[2].partition("\n</response_schema>")[0]
    assert json.loads(shown) == Fact.model_json_schema()
    assert seen[0].startswith("Be brief.")
    assert answer.text == '{"response": {"fact": "They purr.", "sure": 0.9}}'


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"fact": "They purr.", "sure": 1}\n```',
        'Here it is:\n```json\n{"fact": "They purr.", "sure": 1}\n```\nAnything else?',
        '```\nfirst\n```\n```JSON\n{"fact": "They purr.", "sure": 1}\n```',
    ],
)
async def test_an_answer_may_stand_in_a_fence(text: str) -> None:
    answer = await answered(agency(offering(response_schema=Fact), lead(CATS, worker=lambda request: text)))
    assert json.loads(answer.text) == {"response": {"fact": "They purr.", "sure": 1.0}}


async def test_an_answer_that_does_not_fit_comes_back_with_what_is_wrong() -> None:
    made = agency(offering(response_schema=Fact), lead(CATS, worker=lambda request: '{"fact": "They purr."}'))
    answer = await answered(made)
    assert json.loads(answer.text) == {"response": '{"fact": "They purr."}', "validation_error": "sure: Field required"}
    assert len(answer.steps[0].calls[0].steps) == 1, "it is asked once"


async def test_an_error_in_it_is_told_to_the_model() -> None:
    def broken(prompt: Prompt, given: Find) -> None:
        raise KeyError("the library")

    answer = await answered(agency(offering(fn=broken), lead(CATS)))
    assert answer.text.startswith("research could not finish: RunFailed: the prompt function ")
    assert answer.text.endswith("broken raised KeyError: 'the library'")
    result = answer.steps[0].calls[0].result
    assert result is not None
    assert result.is_error
    assert answer.handoffs[0].failed.startswith("RunFailed")


# -- functions around a call -------------------------------------------------------------------------------------------


def noting(**callbacks: Callable[[Callable[[Any], Any]], Callable[..., Any]]) -> Callable[[Prompt], None]:
    """A prompt function whose sub-agent has functions made of ``note``, which adds to what was found."""

    def leading(prompt: Prompt) -> None:
        found, set_found = prompt.state("found", [], list[Any])
        prompt.system("lead", f"found {json.dumps(found)}")

        def note(what: Any) -> None:
            set_found(lambda before: [*before, what])

        made = {name: make(note) for name, make in callbacks.items()}
        prompt.agent("research", "", Find, silent, response_schema=Fact, **made)  # type: ignore[call-overload]

    return leading


def good(request: Request) -> str:
    return '{"fact": "They purr.", "sure": 1}'


def seen_by(model: Callable[[Request], Any]) -> tuple[Callable[[Request], Any], list[Any]]:
    """The model, and what the lead was told to have been found in each of its steps."""
    seen: list[Any] = []

    def watched(request: Request) -> Any:
        text = told(request)
        if "<lead>" in text:
            seen.append(json.loads(text.partition("found ")[2].partition("\n")[0]))
        return model(request)

    return watched, seen


async def test_on_success_sees_the_input_and_the_answer_and_may_set_the_callers_state() -> None:
    model, seen = seen_by(lead(CATS, worker=good))
    prompt = noting(on_success=lambda note: lambda given, fact: note([given.topic, fact.fact]))
    await answered(agency(prompt, model))
    assert seen == [[], [["cats", "They purr."]]]


async def test_functions_may_be_async_and_take_less() -> None:
    def later(note: Callable[[Any], Any]) -> Callable[..., Any]:
        async def told_later(given: Find) -> None:
            await asyncio.sleep(0)
            note(given.topic)

        return told_later

    model, seen = seen_by(lead(CATS, worker=good))
    await answered(agency(noting(on_success=later), model))
    assert seen[-1] == ["cats"]


async def test_on_error_is_told_of_an_answer_that_does_not_fit_and_may_set_state_too() -> None:
    model, seen = seen_by(lead(CATS, worker=lambda request: "dunno"))
    prompt = noting(
        on_success=lambda note: lambda fact: note("never"),
        on_error=lambda note: lambda given, error: note([given.topic, type(error).__name__]),
    )
    answer = await answered(agency(prompt, model))
    assert json.loads(answer.text)["response"] == "dunno"
    assert seen[-1] == [["cats", "InvalidAnswer"]]


async def test_on_error_is_told_of_what_a_run_ended_in_and_what_it_sets_counts_although_the_result_is_an_error() -> (
    None
):
    model, seen = seen_by(lead(CATS, worker=lambda request: OSError("down")))
    answer = await answered(agency(noting(on_error=lambda note: lambda _, error: note(type(error).__name__)), model))
    result = answer.steps[0].calls[0].result
    assert result is not None
    assert result.is_error
    assert seen[-1] == ["RunFailed"]


async def test_on_error_may_put_something_in_the_place_of_the_error() -> None:
    made = agency(
        noting(on_error=lambda note: lambda error: ToolResult("ask a librarian")),
        lead(CATS, worker=lambda request: OSError("down")),
    )
    answer = await answered(made)
    assert answer.text == "ask a librarian"
    result = answer.steps[0].calls[0].result
    assert result is not None
    assert not result.is_error


async def test_what_on_success_raises_is_the_calls_error_and_nothing_is_set() -> None:
    def breaks(note: Callable[[Any], Any]) -> Callable[..., Any]:
        def told_of(fact: Fact) -> None:
            note("half")
            raise ValueError("the shelf is full")

        return told_of

    model, seen = seen_by(lead(CATS, worker=good))
    answer = await answered(agency(noting(on_success=breaks), model))
    assert answer.text == "ValueError: the shelf is full"
    assert seen[-1] == []


async def test_what_on_error_raises_is_logged_and_the_first_error_counts(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(note: Callable[[Any], Any]) -> Callable[..., Any]:
        def told_of(error: Exception) -> None:
            note("half")
            raise ValueError("the shelf is full")

        return told_of

    model, seen = seen_by(lead(CATS, worker=lambda request: OSError("down")))
    with caplog.at_level(logging.WARNING, logger="callboard"):
        answer = await answered(agency(noting(on_error=breaks), model))
    assert answer.text.startswith("research could not finish: RunFailed")
    assert "on_error of research raised ValueError: the shelf is full" in caplog.text
    assert seen[-1] == []


@pytest.mark.parametrize("told", [False, True])
async def test_what_before_call_has_set_of_a_call_that_fails_is_gone(told: bool) -> None:
    callbacks: dict[str, Any] = {"on_error": lambda note: lambda error: note("failed")} if told else {}
    model, seen = seen_by(lead(CATS, worker=lambda request: OSError("down")))
    await answered(agency(noting(before_call=lambda note: lambda given: note("asked"), **callbacks), model))
    assert seen[-1] == (["failed"] if told else [])


async def test_what_before_call_has_set_is_gone_where_it_puts_an_error_in_the_place_of_the_call() -> None:
    def refuses(note: Callable[[Any], Any]) -> Callable[..., Any]:
        def before(given: Find) -> ToolResult:
            note("asked")
            return ToolResult("not today", True)

        return before

    model, seen = seen_by(lead(CATS, worker=good))
    answer = await answered(agency(noting(before_call=refuses), model))
    assert answer.text == "not today"
    assert seen[-1] == []


async def test_before_call_may_change_the_input_which_is_looked_at_again() -> None:
    def worker(request: Request) -> str:
        return request.messages[-1].text

    better = agency(offering(before_call=lambda given: Find(topic=given.topic.upper())), lead(CATS, worker=worker))
    assert (await answered(better)).text == '{"response": "{\\"topic\\":\\"CATS\\"}"}'


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"topic": 7}, "a dict, which is no input of it: .*topic: Input should be a valid string"),
        (3, "an int, which is no input of it"),
    ],
)
async def test_what_before_call_returns_and_is_no_input_is_its_mistake_and_not_the_models(
    instead: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Request] = []
    worker: Any = asked.append
    with caplog.at_level(logging.WARNING, logger="callboard"):
        answer = await answered(agency(offering(before_call=lambda given: instead), lead(CATS, worker=worker)))
    assert re.match(f"PromptError: before_call of research returned {said}", answer.text, re.DOTALL)
    assert "before_call of research returned" in caplog.text
    assert not asked


async def test_before_call_may_answer_in_its_place_or_refuse_and_nobody_is_asked() -> None:
    asked: list[Request] = []
    worker: Any = asked.append

    def refuse(given: Find) -> None:
        raise PermissionError(f"no {given.topic} today")

    known = await answered(agency(offering(before_call=lambda given: ToolResult("known")), lead(CATS, worker=worker)))
    assert known.text == "known"
    refused = await answered(agency(offering(before_call=refuse), lead(CATS, worker=worker)))
    assert refused.text == "PermissionError: no cats today"
    assert asked == []


async def test_before_call_may_set_state_unless_it_refuses() -> None:
    def remember(note: Callable[[Any], Any]) -> Callable[..., Any]:
        def look(given: Find) -> None:
            note(given.topic)
            if given.topic == "dogs":
                raise ValueError("no dogs")

        return look

    model, seen = seen_by(lead(CATS, call("research", "d", topic="dogs"), worker=good))
    await answered(agency(noting(before_call=remember), model))
    assert seen[-1] == ["cats"]


async def test_two_calls_at_once_set_state_on_top_of_each_other() -> None:
    calls = [call("research", str(number), topic=f"t{number}") for number in range(5)]
    model, seen = seen_by(lead(*calls, worker=good))
    await answered(agency(noting(on_success=lambda note: lambda given, fact: note(given.topic)), model))
    assert sorted(seen[-1]) == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_setter_of_the_caller_is_out_of_reach_in_the_sub_agent() -> None:
    def leading(prompt: Prompt) -> None:
        _, set_found = prompt.state("found", "")
        prompt.system("lead", "")

        def research(inner: Prompt, given: Find) -> None:
            inner.tool(lambda: set_found("here"), name="keep", risk="safe")

        prompt.agent("research", "", Find, research)

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("keep", "k")

    answer = await answered(agency(leading, lead(CATS, worker=worker)))
    assert "set it in on_success of prompt.agent" in answer.text


# -- several -----------------------------------------------------------------------------------------------------------


def team(**options: Any) -> Callable[[Prompt], None]:
    """A prompt function that offers several at once."""

    def leading(prompt: Prompt) -> None:
        found, set_found = prompt.state("found", [], list[Any])
        prompt.system("lead", f"found {json.dumps(found)}")

        def note(given: Find, answer: Any) -> None:
            set_found(lambda before: [*before, given.topic])

        members = [
            SubAgent("web", "Searches.", Find, silent, on_success=note, **options),
            SubAgent("books", "Reads.", Find, silent, response_schema=Fact, on_success=note, **options),
        ]
        prompt.agents("ask", "Ask several.", members)

    return leading


def asking(*calls: tuple[str, Any]) -> ToolCall:
    return call("ask", "a", calls=[{"name": name, "args": args} for name, args in calls])


async def test_several_are_asked_by_one_call_and_answer_in_order() -> None:
    def worker(request: Request) -> str:
        return good(request) if "response_schema" in told(request) else f"seen {request.messages[-1].text}"

    model, seen = seen_by(
        lead(asking(("books", {"topic": "b"}), ("web", {"topic": "w"}), ("web", {"topic": "v"})), worker=worker)
    )
    answer = await answered(agency(team(), model))
    assert json.loads(answer.text) == {
        "results": [
            {"name": "books", "response": {"fact": "They purr.", "sure": 1.0}, "steps": 1},
            {"name": "web", "response": 'seen {"topic":"w"}', "steps": 1},
            {"name": "web", "response": 'seen {"topic":"v"}', "steps": 1},
        ]
    }
    assert seen[-1] == ["b", "w", "v"]
    assert [record.target for record in answer.handoffs] == ["Lead-books", "Lead-web", "Lead-web"]
    assert len(answer.steps[0].calls[0].steps) == 3


async def test_they_work_side_by_side() -> None:
    started = 0
    all_started = asyncio.Event()

    async def worker(request: Request) -> str:
        nonlocal started
        started += 1
        if started == 3:
            all_started.set()
        await asyncio.wait_for(all_started.wait(), 30)
        return "found"

    async def model(request: Request) -> Any:
        return (
            await worker(request)
            if "<lead>" not in told(request)
            else lead(asking(*[("web", {"topic": "t"})] * 3))(request)
        )

    answer = await answered(agency(team(), model))
    assert [one["response"] for one in json.loads(answer.text)["results"]] == ["found"] * 3


async def test_one_that_fails_does_not_touch_the_others() -> None:
    def worker(request: Request) -> Any:
        return OSError("down") if "down" in request.messages[-1].text else "dunno"

    calls = [("web", {"topic": "down"}), ("radio", {}), ("web", {}), ("web", "cats"), ("books", {"topic": "b"})]
    model, seen = seen_by(lead(asking(*calls, ("web", {"topic": "w"})), worker=worker))
    answer = await answered(agency(team(), model))
    down, radio, empty, text, books, web = json.loads(answer.text)["results"]
    assert down["name"] == "web"
    assert down["error"].startswith("web could not finish: RunFailed")
    assert radio == {"name": "radio", "error": "no agent is called 'radio'; there are: web, books"}
    assert "topic: required, but missing" in empty["error"]
    assert text == {"name": "web", "error": "'args' of 'web' must be an object"}
    assert (books["response"], books["steps"]) == ("dunno", 1)
    assert books["validation_error"].startswith("the answer: Invalid JSON")
    assert web == {"name": "web", "response": "dunno", "steps": 1}
    assert seen[-1] == ["w"]


@pytest.mark.parametrize("arguments", ['{"calls": 7}', "{}", "[]", "no json"])
async def test_a_call_of_several_that_is_none_goes_back_to_the_model(arguments: str) -> None:
    answer = await answered(agency(team(), lead(ToolCall("a", "ask", arguments))))
    result = answer.steps[0].calls[0].result
    assert result is not None
    assert result.is_error
    assert "Error (InvalidArguments)" in result.text


async def test_a_call_of_nobody_has_no_results() -> None:
    answer = await answered(agency(team(), lead(asking())))
    assert answer.text == '{"results": []}'


async def test_nothing_of_their_conversations_is_left_in_the_journal() -> None:
    def worker(request: Request) -> Any:
        return OSError("down") if "down" in request.messages[-1].text else "found"

    journal = MemoryJournal()
    calls = asking(("web", {"topic": "w"}), ("web", {"topic": "down"}), ("web", {"topic": "v"}))
    async with agency(team(), lead(calls, worker=worker), options={"journal": journal}) as made:
        await made.run("go", conversation="c")
        kept = [header.name for header in await at_hand(journal.headers())]
        waiting = made._runtime.register.open()
    assert kept == ["Lead/c"]
    assert waiting == []


async def test_ids_that_look_like_those_of_parts_do_no_harm() -> None:
    def leading(prompt: Prompt) -> None:
        prompt.system("lead", "")
        prompt.agent("research", "", Find, silent)
        prompt.agents("ask", "", [SubAgent("web", "", Find, silent)])

    several = ToolCall("c", "ask", asking(("web", {"topic": "w"})).arguments)
    alone = ToolCall("c#1", "research", '{"topic": "r"}')
    model = lead(several, alone, worker=lambda request: request.messages[-1].text)
    answer = await answered(agency(leading, model))
    assert [json.loads(one) for one in answer.text.splitlines()] == [
        {"results": [{"name": "web", "response": '{"topic":"w"}', "steps": 1}]},
        {"response": '{"topic":"r"}'},
    ]


@pytest.mark.parametrize("id", ["a/b", "a\n", "%2F", "\ud800", "a#1~0>."])
async def test_a_call_may_have_any_id(id: str) -> None:
    model = lead(ToolCall(id, "ask", asking(("web", {"topic": "w"}), ("web", {"topic": "v"})).arguments))
    answer = await answered(agency(team(), model))
    assert [one["response"] for one in json.loads(answer.text)["results"]] == ["found", "found"]


# -- deeper ------------------------------------------------------------------------------------------------------------


async def test_sub_agents_have_sub_agents_each_with_a_state_of_its_own() -> None:
    seen: list[tuple[str, int]] = []

    def at(depth: int) -> Callable[..., None]:
        def defines(prompt: Prompt, given: Any = None) -> None:
            count, set_count = prompt.state("count", 0)
            prompt.system("level", str(depth))
            seen.append((f"level {depth}", count))
            if depth < 3:
                prompt.agent(
                    "below",
                    "",
                    Find,
                    at(depth + 1),
                    on_success=lambda _, text: set_count(lambda before: before + len(text)),
                )

        return defines

    def model(request: Request) -> Any:
        done = results(request)
        if "<level>\n3\n" in told(request):
            return "deep"
        return json.loads(done[0])["response"] + "!" if done else call("below", "b", topic="t")

    made = agency(at(1), model)
    answer = await answered(made)
    assert answer.text == "deep!!"
    assert seen == [("level 1", 0), ("level 2", 0), ("level 3", 0), ("level 2", 4), ("level 1", 5)]
    assert [one.target for one in answer.handoffs] == ["Lead-below", "Lead-below-below"]


async def test_one_that_calls_itself_comes_to_an_end_by_name() -> None:
    def again(prompt: Prompt, given: Any = None) -> None:
        prompt.agent("x", "", Find, again)
        prompt.user("go")

    made = agency(again, lambda request: call("x", "x", topic="t"), options={"handoff_limits": HandoffLimits(depth=3)})
    with pytest.raises(HandoffDepth, match="more than 3 handoffs in one chain: Lead → Lead-x → Lead-x-x"):
        await answered(made)


# -- limits, people, hooks ---------------------------------------------------------------------------------------------


async def test_what_it_uses_counts_for_its_caller_and_its_own_limits_hold() -> None:
    def worker(request: Request) -> Any:
        return Completion(Message("assistant", "x"), "stop", Usage(100, 10), cost=0.5)

    answer = await answered(agency(offering(), lead(CATS, worker=worker)))
    assert answer.cost == 0.5
    assert answer.usage.total_tokens == 110 + 2 * 15

    def circling(request: Request) -> Any:
        return call("look", "l")

    def research(prompt: Prompt, given: Find) -> None:
        prompt.tool(lambda: len(prompt_calls), name="look", risk="safe")

    prompt_calls: list[int] = []
    limited = await answered(agency(offering(fn=research, limits=Limits(steps=2)), lead(CATS, worker=circling)))
    assert "StepLimit: no answer within 2 steps" in limited.text
    assert len(limited.steps[0].calls[0].steps) == 2


async def test_its_tools_wait_for_a_person_where_those_of_its_caller_do() -> None:
    def research(prompt: Prompt, given: Find) -> None:
        prompt.tool(lambda: "bought", name="buy", risk="risky")

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("buy", "b")

    asked: list[ApprovalRequested] = []
    async with agency(offering(fn=research), lead(CATS, worker=worker), autonomy="supervised") as made:

        def look(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event)
                made.approve(event.approval)

        made.subscribe(look)
        answer = await made.run("go")
    assert [(one.agent, one.tool) for one in asked] == [("Lead-research", "buy")]
    assert answer.text == '{"response": "bought"}'


async def test_a_call_waits_for_a_person_where_all_calls_do() -> None:
    asked: list[str] = []
    async with agency(offering(), lead(CATS), autonomy="manual") as made:

        def look(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                made.deny(event.approval, "not now")

        made.subscribe(look)
        answer = await made.run("go")
    assert asked == ["research"]
    assert "Denied by a person: not now" in answer.text


async def test_a_guardrail_on_handoffs_looks_at_what_it_is_given() -> None:
    def no_dogs(context: HookContext) -> None:
        assert context.handoff is not None
        if "dogs" in context.handoff.task:
            raise ValueError("no dogs")

    guard = guardrail("handoff")(no_dogs)
    made = agency(offering(), lead(CATS), hooks=[guard])
    assert (await answered(made)).text == '{"response": "found"}'
    with pytest.raises(GuardrailTripped, match="no dogs"):
        await answered(agency(offering(), lead(call("research", "d", topic="dogs")), hooks=[guard]))


async def test_a_hook_may_change_what_it_is_given_and_what_it_sees_but_not_who_is_asked() -> None:
    def changing(**fields: Any) -> Agency:
        @hook("handoff")
        def change(context: HookContext) -> None:
            assert context.handoff is not None
            context.handoff = replace(context.handoff, **fields)
            context.messages = (Message("user", "By the way."),)

        def research(prompt: Prompt, given: Find) -> None:
            prompt.system("topic", given.topic)

        def worker(request: Request) -> str:
            return " ".join(one.text for one in request.messages)

        return agency(offering(fn=research), lead(CATS, worker=worker), hooks=[change])

    changed = await answered(changing(task='{"topic": "dogs"}'))
    assert json.loads(changed.text)["response"] == "<topic>\ndogs\n</topic> By the way."
    assert "topic: required, but missing" in (await answered(changing(task="{}"))).text
    refused = await answered(changing(target="Lead"))
    assert refused.text == "Refused: a hook may change what a sub-agent is given, not who is asked"


async def test_a_handoff_policy_holds_for_it() -> None:
    for allowed, text in (("Lead-research", '{"response": "found"}'), ("Other", "Refused: Lead may not hand off to")):
        policy = HandoffPolicy({"Lead": [allowed]})
        made = agency(offering(), lead(CATS), options={"handoff_policy": policy})
        assert (await answered(made)).text.startswith(text)


def test_the_time_of_a_person_counts_for_nobody() -> None:
    def research(prompt: Prompt, given: Find) -> None:
        prompt.tool(lambda: "bought", name="buy", risk="risky")

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("buy", "b")

    async def scenario(sim: Simulation) -> None:
        limits = Limits(seconds=20.0)
        agent = Agent("Lead", prompt=offering(fn=research, limits=limits), limits=limits, autonomy="supervised")
        async with Agency(agent, model=function(lead(CATS, worker=worker)), system=sim.system) as made:

            def look(event: RunEvent) -> None:
                if isinstance(event, ApprovalRequested):
                    asyncio.get_running_loop().call_later(500, made.approve, event.approval)

            made.subscribe(look)
            assert (await made.run("go")).text == '{"response": "bought"}'

    simulate(scenario, seeds=2)


async def test_a_person_may_decide_about_its_calls_in_another_process(tmp_path: Path) -> None:
    def research(prompt: Prompt, given: Find) -> None:
        prompt.tool(lambda: "bought", name="buy", risk="risky", idempotent=True)

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("buy", "b")

    def made() -> Agency:
        options = {"journal": tmp_path / "j.db"}
        return agency(offering(fn=research), lead(CATS, worker=worker), options=options, autonomy="supervised")

    approvals: list[str] = []
    async with made() as first, made() as second:
        first.subscribe(
            lambda event: approvals.append(event.approval) if isinstance(event, ApprovalRequested) else None
        )
        handle = await first.start_run("go", conversation="c", run_id="r")
        await until(lambda: approvals)
        await second.approve(approvals[0])
        answer = await handle
    assert answer.text == '{"response": "bought"}'


class Noting(Prompt):
    def note(self, what: str) -> None:
        self.system("note", what)


async def test_it_has_plugins_of_its_own() -> None:
    def research(prompt: Noting, given: Find) -> None:
        prompt.note(given.topic)

    made = agency(offering(fn=research, plugins=Noting), lead(CATS, worker=told))
    assert json.loads((await answered(made)).text)["response"] == "<note>\ncats\n</note>"


async def test_a_step_may_offer_some_of_them_only() -> None:
    def leading(prompt: Prompt) -> None:
        offering()(prompt)

        def none(context: EffectContext, step: StepModifier) -> None:
            assert context.tools.has("research")
            step.tools = []

        prompt.effect(none)

    answer = await answered(agency(leading, lead(CATS)))
    assert answer.text == "Refused: 'research' cannot be called now; there are: none"


async def test_what_stands_around_requests_and_calls_of_its_caller_stands_around_its_own() -> None:
    seen: list[str] = []

    @hook("toolcall")
    def look(context: HookContext) -> None:
        assert context.call is not None
        seen.append(f"{context.request.agent} {context.call.name}")

    def research(prompt: Prompt, given: Find) -> None:
        prompt.tool(lambda: "looked", name="look", risk="safe")

    def worker(request: Request) -> Any:
        return results(request)[0] if results(request) else call("look", "l")

    await answered(agency(offering(fn=research), lead(CATS, worker=worker), hooks=[look]))
    assert seen == ["Lead-research look"]


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_cancelling_at_any_event_stops_all_that_work_and_leaves_nothing_behind() -> None:
    calls = asking(("web", {"topic": "w"}), ("web", {"topic": "v"})), call("ask", "b", calls=[])

    async def run(at: int) -> int:
        count = 0
        working = 0

        def look(event: RunEvent) -> None:
            nonlocal count
            count += 1
            if count == at:
                task.cancel()

        async def model(request: Request) -> Any:
            nonlocal working
            working += 1
            try:
                await asyncio.sleep(0)
                return lead(*calls)(request)
            finally:
                working -= 1

        async with agency(team(), model) as made:
            made.subscribe(look)
            task = asyncio.ensure_future(made.run("go", conversation="c"))
            async with asyncio.timeout(30):
                try:
                    await task
                except asyncio.CancelledError:
                    await until(lambda: working == 0)
                again = await made.run("go", conversation="c")
            assert again.text.count("results") >= 1
            assert made._runtime.register.open() == []
        return count

    for at in range(1, 1 + await run(0)):
        await run(at)


# -- names -------------------------------------------------------------------------------------------------------------


async def test_two_conversations_at_once_have_each_their_own_function_under_one_name() -> None:
    both = asyncio.Event()
    count = 0

    def leading(prompt: Prompt) -> None:
        who = prompt.context.caller.user
        prompt.system("lead", "")
        prompt.agent("research", "", Find, lambda inner, given: inner.user(f"for {who}"), system=f"of {who}")

    async def model(request: Request) -> Any:
        nonlocal count
        if "<lead>" in told(request):
            return lead(CATS)(request)
        count += 1
        if count == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 30)
        return f"{told(request)}, {request.messages[-1].text}"

    async with agency(leading, model) as made:
        ada, bob = await asyncio.gather(*(made.run("go", user=user) for user in ("ada", "bob")))
    assert ada.text == '{"response": "of ada, for ada"}'
    assert bob.text == '{"response": "of bob, for bob"}'


async def test_it_is_no_member_of_the_agency() -> None:
    async with agency(offering(), lead(CATS)) as made:
        await made.run("go")
        assert list(made.agents) == ["Lead"]
        with pytest.raises(Exception, match="no agent is called 'Lead-research'"):
            await made.run("go", agent="Lead-research")


async def test_a_name_that_is_too_long_or_taken_ends_the_run_by_name() -> None:
    with pytest.raises(RunFailed, match=r"the sub-agent 'r{44}' of Lead is called .* at most 48 characters") as raised:
        await answered(agency(offering(name="r" * 44), lead(CATS)))
    assert isinstance(raised.value.__cause__, PromptError)
    taken = Agency(Agent("Lead", prompt=offering()), Agent("Lead-research"), model=function(lead(CATS)))
    with pytest.raises(RunFailed, match="called 'Lead-research' in the agency, as another agent there: rename one"):
        await answered(taken)


async def test_a_tool_of_the_agent_of_that_name_is_a_named_error() -> None:
    @tool
    def research() -> str:
        """Look."""
        return ""

    with pytest.raises(RunFailed, match=r"'research'.*the agent itself offers one of that name"):
        await answered(agency(offering(), lead(CATS), tools=[research]))


async def test_events_and_diagrams_show_it_by_its_name() -> None:
    events: list[RunEvent] = []
    async with agency(team(), lead(asking(("web", {"topic": "w"}), ("web", {"topic": "v"})))) as made:
        made.subscribe(events.append)
        await made.run("go")
    started = [(one.agent, one.target, one.call_id) for one in events if isinstance(one, HandoffStarted)]
    assert started == [("Lead", "Lead-web", "a")] * 2
    assert sorted(one.call_id for one in events if isinstance(one, HandoffFinished)) == ["a", "a"]
    drawn = conversation_diagram(events)
    assert 'Lead->>Lead-web: {"topic":"w"}' in drawn
    assert "Lead-web-->>Lead: found" in drawn


@pytest.mark.parametrize(
    ("callback", "function", "says"),
    [
        ("before_call", lambda one, two: None, r"before_call takes \(input\), or less; this requires \(one, two\)"),
        ("on_success", lambda a, b, c: None, r"on_success takes \(input, answer\), or less; this requires \(a, b, c\)"),
        ("on_error", lambda a, *, b: None, r"on_error takes \(input, error\), or less; this requires \(a, b\)"),
    ],
)
def test_a_function_that_takes_more_than_there_is_is_refused(callback: str, function: Any, says: str) -> None:
    with pytest.raises(PromptError, match=rf"sub-agent 'research': {says}"):
        SubAgent("research", "", Find, silent, **{callback: function})


async def test_callbacks_know_the_request_that_they_work_for() -> None:
    seen: list[str] = []

    def look(answer: str) -> None:
        context = request_context()
        assert context is not None
        seen.append(context.caller.user)

    await answered(agency(offering(on_success=look), lead(CATS)), user="ada")
    assert seen == ["ada"]


async def test_what_on_success_returns_is_passed_over() -> None:
    made = agency(offering(on_success=lambda given, answer: ToolResult("instead")), lead(CATS))
    assert (await answered(made)).text == '{"response": "found"}'


async def test_on_error_is_not_called_where_nobody_was_asked() -> None:
    told: list[Exception] = []

    def look(given: Find) -> ToolResult:
        if given.topic == "dogs":
            raise ValueError("no dogs")
        return ToolResult("no such topic", True)

    calls = [call("research", "w", topic=7), call("research", "d", topic="dogs"), call("research", "c", topic="cats")]
    prompt = offering(before_call=look, on_error=lambda given, error: told.append(error))
    answer = await answered(agency(prompt, lead(*calls, worker=lambda request: OSError("down"))))
    assert [one.result.is_error for one in answer.steps[0].calls if one.result is not None] == [True] * 3
    assert told == []


async def test_there_is_one_actor_for_each_name_as_long_as_the_agency_runs() -> None:
    async with agency(offering(), lead(CATS, call("research", "d", topic="dogs"))) as made:
        assert made.system is not None
        for conversation in ("a", "b", "c"):
            await made.run("go", conversation=conversation)
            (top,) = (node for node in made.system.tree() if node.name == "agency")
            assert [node.name for node in top.children].count("Lead-research") == 1


async def test_instructions_tools_skills_and_hooks_around_runs_are_not_handed_down() -> None:
    seen: list[Request] = []
    runs: list[str] = []

    @tool(risk="safe")
    async def own() -> str:
        """One of the caller's own."""
        return "own"

    def around(context: HookContext) -> None:
        runs.append(context.request.agent)

    @hook("request")
    def look(context: HookContext) -> None:
        runs.append(f"asks {context.request.agent}")

    def worker(request: Request) -> str:
        seen.append(request)
        return "found"

    skill = Skill("polite", "Say please.", tools=[own])
    hooks = [hook("connection")(around), hook("finalize")(around), look]
    model = lead(CATS, worker=worker)
    await answered(agency(offering(), model, instructions="You lead.", skills=[skill], hooks=hooks))
    (request,) = seen
    assert [(one.role, one.text) for one in request.messages] == [("user", '{"topic":"cats"}')]
    assert request.tools == ()
    assert runs == ["Lead", "asks Lead", "asks Lead-research", "asks Lead", "Lead"]


async def test_functions_that_do_not_say_what_they_take_are_called_with_the_input_and_open_ones_with_all() -> None:
    seen: list[int] = []
    for callback in (type, lambda *given: seen.append(len(given))):
        assert (await answered(agency(offering(on_success=callback), lead(CATS)))).text == '{"response": "found"}'
    assert seen == [2]


@pytest.mark.parametrize("callback", ["before_call", "on_success", "on_error"])
async def test_a_function_around_a_call_that_ends_in_no_exception_ends_the_run_by_name(callback: str) -> None:
    def leave(given: Find) -> None:
        raise SystemExit("bye")

    options: dict[str, Any] = {callback: leave}
    worker: Any = (lambda request: OSError("down")) if callback == "on_error" else lambda request: "found"
    with pytest.raises(RunFailed, match=f"{callback}.*SystemExit"):
        await answered(agency(offering(**options), lead(CATS, worker=worker)))


@pytest.mark.parametrize("several", [False, True])
async def test_on_error_is_not_told_of_what_ends_the_callers_run_too(several: bool) -> None:
    told: list[Exception] = []

    def note(given: Find, error: Exception) -> None:
        told.append(error)

    def again(prompt: Prompt, given: Any = None) -> None:
        if several:
            prompt.agents("x", "", [SubAgent("y", "", Find, again, on_error=note)])
        else:
            prompt.agent("x", "", Find, again, on_error=note)
        prompt.user("go")

    asked = call("x", "x", calls=[{"name": "y", "args": {"topic": "t"}}]) if several else call("x", "x", topic="t")
    made = agency(again, lambda request: asked, options={"handoff_limits": HandoffLimits(depth=2)})
    with pytest.raises(HandoffDepth):
        await answered(made)
    assert told == []
