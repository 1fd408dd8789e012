"""A guardrail looks where it is told to, and does what it is told to about what it finds there."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, cast

import pytest

from callboard import (
    Agency,
    Agent,
    Answer,
    Finding,
    Guardrail,
    GuardrailFound,
    Message,
    PatternCheck,
    RunEvent,
    Text,
    ToolCall,
    ToolContext,
    ToolSpec,
    before_remembering,
    handoff,
    hook,
    links,
    tool,
)
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.agents.events import ApprovalRequested, HookFailed
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Completion, VendorState
from callboard.tools import ToolResult
from tests.agents.support import add, scripted, solo, until

CODE = PatternCheck("code name", r"blue-[0-9]{2}", longest=7)
SECRET = "blue-42"


@tool(risk="safe")
async def say(text: str) -> str:
    """Say something."""
    return f"said {text}"


def guard(action: Any, *on: Any) -> Guardrail:
    return Guardrail(CODE, on=on, action=action, name="codes")


def found(events: list[RunEvent]) -> list[tuple[str, str, int, str]]:
    return [(one.where, one.kind, one.count, one.action) for one in events if isinstance(one, GuardrailFound)]


async def watched(agency: Agency, question: Any, **options: Any) -> tuple[Answer | Exception, list[RunEvent]]:
    events: list[RunEvent] = []
    agency.subscribe(events.append)
    try:
        return await agency.run(question, **options), events
    except GuardrailTripped as error:
        return error, events


# -- input -----------------------------------------------------------------------------------------------------------


async def test_input_is_redacted_before_the_model_and_the_conversation_have_it() -> None:
    script = Script(["ok", "again"])
    async with solo(script, hooks=[guard("redact", "input")]) as agency:
        _, events = await watched(agency, f"the code is {SECRET}, not blue-1", conversation="c")
        await agency.run("and?", conversation="c")
        kept = (await agency.conversation("c")).messages
    assert script.requests[0].messages[-1].text == "the code is [code name], not blue-1"
    assert script.requests[1].messages[1].text == "the code is [code name], not blue-1"
    assert SECRET not in str([message.text for message in kept])
    assert found(events) == [("input", "code name", 1, "redact")]


async def test_input_that_is_blocked_ends_the_run_by_name_and_leaves_nothing_in_the_conversation() -> None:
    script = Script(["fine"])
    async with solo(script, hooks=[guard("block", "input")]) as agency:
        error, events = await watched(agency, f"{SECRET} and blue-43", conversation="c")
        answer = await agency.run("hello", conversation="c")
    assert isinstance(error, GuardrailTripped)
    assert str(error) == "guardrail codes blocked the input: code name (2 times)"
    assert found(events) == [("input", "code name", 2, "block")]
    assert answer.text == "fine"
    assert [message.text for message in script.requests[0].messages[1:]] == ["hello"]


async def test_of_a_message_of_several_parts_only_what_was_found_is_replaced() -> None:
    script = Script(["ok"])
    async with solo(script, hooks=[guard("redact", "input")]) as agency:
        await agency.run(Message("user", (Text("a"), Text(f"b {SECRET} c"), Text("d"))))
    content = script.requests[0].messages[-1].content
    assert isinstance(content, tuple)
    assert [part.text for part in content if isinstance(part, Text)] == ["a", "b [code name] c", "d"]


async def test_what_is_said_to_a_run_under_way_is_input_too() -> None:
    go = asyncio.Event()

    @tool(risk="safe")
    async def wait() -> str:
        """Wait."""
        await go.wait()
        return "waited"

    script = Script([call("wait"), "done"])
    async with solo(script, tools=[wait], hooks=[guard("redact", "input")]) as agency:
        running = asyncio.ensure_future(agency.run("go", conversation="c"))
        await until(lambda: script.requests)
        await agency.steer("c", f"use {SECRET}")
        go.set()
        await running
    assert script.requests[1].messages[-1].text == "use [code name]"


async def test_what_is_said_to_a_run_under_way_and_blocked_is_refused_to_who_says_it_and_the_run_goes_on() -> None:
    go = asyncio.Event()

    @tool(risk="safe")
    async def wait() -> str:
        """Wait."""
        await go.wait()
        return "waited"

    script = Script([call("wait"), "done"])
    async with solo(script, tools=[wait], hooks=[guard("block", "input")]) as agency:
        running = asyncio.ensure_future(agency.run("go", conversation="c"))
        await until(lambda: script.requests)
        with pytest.raises(GuardrailTripped, match="guardrail codes blocked the input: code name"):
            await agency.steer("c", f"use {SECRET}")
        go.set()
        assert (await running).text == "done"
    assert SECRET not in str([message.text for message in script.requests[1].messages])


# -- output ----------------------------------------------------------------------------------------------------------


async def test_output_is_redacted_in_the_answer_the_history_and_its_reasoning_and_the_answer_says_so() -> None:
    thought = Completion(
        Message("assistant", f"it is {SECRET}", reasoning=f"hm, {SECRET}", state=VendorState("x", f'"{SECRET}"')),
        "stop",
    )
    async with solo(Script([thought]), hooks=[guard("redact", "output")]) as agency:
        answer, events = await watched(agency, "?", conversation="c")
        kept = (await agency.conversation("c")).messages
    assert isinstance(answer, Answer)
    assert answer.text == "it is [code name]"
    assert answer.notes == ("guardrail codes redacted the output",)
    assert kept[-1].reasoning == "hm, [code name]"
    assert kept[-1].state is None
    assert found(events) == [("output", "code name", 1, "redact")] * 2


async def test_output_that_is_blocked_is_not_the_answer_and_not_in_the_conversation() -> None:
    async with solo(Script([f"it is {SECRET}", "no"]), hooks=[guard("block", "output")]) as agency:
        error, _ = await watched(agency, "?", conversation="c")
        answer = await agency.run("again?", conversation="c")
    assert str(error) == "guardrail codes blocked the output: code name"
    assert SECRET not in repr(error)
    assert SECRET not in str([message.text for message in answer.messages])


async def test_a_warning_changes_nothing_and_is_told_of_and_logged_without_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "callboard"):
        async with solo(Script([f"it is {SECRET}"]), hooks=[guard("warn", "output", "input")]) as agency:
            answer, events = await watched(agency, f"say {SECRET}")
    assert isinstance(answer, Answer)
    assert answer.text == f"it is {SECRET}"
    assert found(events) == [("input", "code name", 1, "warn"), ("output", "code name", 1, "warn")]
    assert [record.getMessage() for record in caplog.records] == [
        "guardrail codes found code name in the input",
        "guardrail codes found code name in the output",
    ]


# -- calls, results, handoffs, memory --------------------------------------------------------------------------------


def calling(arguments: str, name: str = "say") -> tuple[ToolCall, ...]:
    return (ToolCall("call-1", name, arguments),)


async def test_the_arguments_of_a_call_are_redacted_however_json_writes_them() -> None:
    escaped = json.dumps({"text": SECRET}).replace("blue", "\\u0062lue")
    script = Script([calling(escaped), "done"])
    async with solo(script, tools=[say], hooks=[guard("redact", "tool_call")]) as agency:
        _, events = await watched(agency, "?")
    assert script.requests[1].messages[-1].text == "said [code name]"
    assert found(events) == [("tool_call", "code name", 1, "redact")]
    assert [one.call_id for one in events if isinstance(one, GuardrailFound)] == ["call-1"]


async def test_arguments_that_are_no_json_are_redacted_as_the_text_that_they_are() -> None:
    seen: list[str] = []

    @hook("toolcall", priority=-1)
    def look(context: Any) -> None:
        seen.append(context.call.arguments)

    script = Script([calling(f'{{"text": "{SECRET}"'), "done"])
    async with solo(script, tools=[say], hooks=[guard("redact", "tool_call"), look]) as agency:
        _, events = await watched(agency, "?")
    assert seen == ['{"text": "[code name]"']
    assert found(events) == [("tool_call", "code name", 1, "redact")]


async def test_numbers_and_keys_of_arguments_are_looked_at_and_what_has_nothing_stays_as_it_was() -> None:
    number = Guardrail(PatternCheck("number", r"4242"), on={"tool_call"}, action="redact")
    seen: list[str] = []

    @hook("toolcall", priority=-1)
    def look(context: Any) -> None:
        seen.append(context.call.arguments)

    given = ['{"a": 4242, "4242": [1, 2.5, true, null, "x 4242"]}', '{"a":  1}']
    script = Script([calling(given[0]), calling(given[1]), "done"])
    async with solo(script, tools=[say], hooks=[number, look]) as agency:
        await agency.run("?")
    assert json.loads(seen[0]) == {"a": "[number]", "[number]": [1, 2.5, True, None, "x [number]"]}
    assert seen[1] == given[1]


async def test_a_call_that_is_blocked_ends_the_run_and_its_tool_is_not_called() -> None:
    called: list[str] = []

    @tool(risk="safe")
    async def note(text: str) -> str:
        """Note something."""
        called.append(text)
        return "noted"

    async with solo(Script([call("note", text=SECRET)]), tools=[note], hooks=[guard("block", "tool_call")]) as agency:
        error, _ = await watched(agency, "?")
    assert str(error) == "guardrail codes blocked the tool call: code name"
    assert called == []


async def test_a_result_is_redacted_for_the_model_and_for_programs() -> None:
    @tool(risk="safe")
    async def outer(context: ToolContext) -> str:
        """Call another one."""
        result = await context.call(inner, {})
        values.append(result.value)
        return result.text

    @tool(risk="safe")
    async def inner() -> dict[str, Any]:
        """Return data."""
        return {"code": SECRET, "n": [1, SECRET]}

    values: list[Any] = []
    script = Script([call("outer"), "done"])
    async with solo(script, tools=[outer], hooks=[guard("redact", "tool_result")]) as agency:
        _, events = await watched(agency, "?")
    assert values == [{"code": "[code name]", "n": [1, "[code name]"]}]
    assert SECRET not in script.requests[1].messages[-1].text
    assert found(events) == [("tool_result", "code name", 2, "redact")]


@pytest.mark.parametrize("how", ["returned", "raised", "a hook's"])
async def test_a_result_that_is_blocked_ends_the_run_before_the_model_has_it(how: str) -> None:
    @tool(risk="safe")
    async def tell() -> str:
        """Tell."""
        if how == "raised":
            raise ValueError(f"no: {SECRET}")
        return SECRET

    @hook("toolcall")
    def answer(context: Any) -> None:
        if how == "a hook's":
            context.result = ToolResult(SECRET)

    script = Script([call("tell")])
    async with solo(script, tools=[tell], hooks=[guard("block", "tool_result"), answer]) as agency:
        error, _ = await watched(agency, "?")
    assert str(error) == "guardrail codes blocked the tool result: code name"
    assert len(script.requests) == 1


async def test_what_a_delegate_answers_is_a_result() -> None:
    script = Script([call("delegate_to_B", message="go"), f"it is {SECRET}", "done"])
    a = Agent("A", handoffs=[handoff(Agent("B"))], hooks=[guard("redact", "tool_result")])
    async with Agency(a, model=scripted(script)) as agency:
        answer, events = await watched(agency, "?")
    assert isinstance(answer, Answer)
    assert script.requests[2].messages[-1].text == "it is [code name]"
    assert found(events) == [("tool_result", "code name", 1, "redact")]


async def test_what_a_delegate_answers_and_is_blocked_ends_the_run_with_what_it_cost() -> None:
    script = Script([call("delegate_to_B", message="go"), f"it is {SECRET}"], cost=1.0)
    a = Agent("A", handoffs=[handoff(Agent("B"))], hooks=[guard("block", "tool_result")])
    async with Agency(a, model=scripted(script)) as agency:
        error, _ = await watched(agency, "?")
    assert isinstance(error, GuardrailTripped)
    assert error.partial is not None
    assert error.partial.cost == 2.0


async def test_results_that_the_caller_brings_are_results_and_no_input() -> None:
    script = Script([call("outside"), "done"])
    outside = ToolSpec("outside", "", {"type": "object"})
    async with solo(script, hooks=[guard("redact", "tool_result")]) as agency:
        first = await agency.run(f"use {SECRET}", conversation="c", tools=[outside])
        brought = Message("tool", SECRET, tool_call_id=first.tool_calls[0].id)
        await agency.run([brought], conversation="c", tools=[outside])
    assert script.requests[0].messages[-1].text == f"use {SECRET}"
    assert script.requests[1].messages[-1].text == "[code name]"


@pytest.mark.parametrize("kind", ["delegate", "transfer"])
async def test_what_goes_to_another_agent_is_redacted(kind: Any) -> None:
    script = Script(
        [call(f"{kind}_to_B", message=f"find {SECRET}"), "found", *(["done"] if kind == "delegate" else [])]
    )
    a = Agent("A", handoffs=[handoff(Agent("B"), kind=kind)], hooks=[guard("redact", "handoff")])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run(f"I say {SECRET}")
    sent = " ".join(message.text for message in script.requests[1].messages)
    assert SECRET not in sent
    assert "[code name]" in sent


async def test_a_handoff_that_is_blocked_ends_the_run() -> None:
    script = Script([call("delegate_to_B", message=f"find {SECRET}")])
    a = Agent("A", handoffs=[handoff(Agent("B"))], hooks=[guard("block", "handoff")])
    async with Agency(a, model=scripted(script)) as agency:
        error, _ = await watched(agency, "?")
    assert str(error) == "guardrail codes blocked the handoff: code name"


@pytest.mark.parametrize("action", ["redact", "block"])
async def test_what_a_tool_is_about_to_remember_is_looked_at(action: Any) -> None:
    kept: list[str] = []

    @tool(risk="safe")
    async def remember(text: str) -> str:
        """Remember something."""
        kept.append(await before_remembering(text))
        return "remembered"

    script = Script([call("remember", text=f"it is {SECRET}"), "done"])
    async with solo(script, tools=[remember], hooks=[guard(action, "memory")]) as agency:
        _, events = await watched(agency, "?")
    assert kept == (["it is [code name]"] if action == "redact" else [])
    assert found(events) == [("memory", "code name", 1, action)]


async def test_outside_of_an_agent_nobody_minds_what_is_remembered() -> None:
    assert await before_remembering(SECRET) == SECRET


async def test_a_result_of_a_call_within_a_call_that_is_blocked_ends_the_run() -> None:
    @tool(risk="safe")
    async def outer(context: ToolContext) -> str:
        """Call another one."""
        return (await context.call(say, {"text": SECRET})).text

    script = Script([call("outer")])
    async with solo(script, tools=[outer], hooks=[guard("block", "tool_result")]) as agency:
        error, _ = await watched(agency, "?")
    assert str(error) == "guardrail codes blocked the tool result: code name"


# -- asking a person -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("what", ["tool_call", "handoff"])
async def test_a_person_is_asked_about_a_call_in_which_something_is_found_and_told_why(
    what: str, approved: bool
) -> None:
    first = call("add", a=1, b=2)
    calls = call("say", text=SECRET) if what == "tool_call" else call("delegate_to_B", message=SECRET)
    script = Script([first, calls, *(["B says"] if what == "handoff" and approved else []), "done"])
    a = Agent("A", tools=[say, add], handoffs=[handoff(Agent("B"))], hooks=[guard("ask", "tool_call", "handoff")])
    asked: list[ApprovalRequested] = []

    async with Agency(a, model=scripted(script)) as agency:

        def decide(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event)
                (agency.approve if approved else agency.deny)(event)

        agency.subscribe(decide)
        answer, events = await watched(agency, "?")
    assert isinstance(answer, Answer)
    assert [(one.tool, one.why) for one in asked] == [(calls.name, "guardrail codes found code name")]
    assert found(events) == [(what, "code name", 1, "ask")]
    told = script.requests[-1].messages[-1].text
    assert told.startswith("Denied by a person") is not approved


async def test_where_a_person_may_be_asked_about_one_thing_the_other_goes_on_without() -> None:
    script = Script([call("say", text=SECRET), "done"])
    async with solo(script, tools=[say], hooks=[guard("ask", "handoff")]) as agency:
        answer, events = await watched(agency, "?")
    assert isinstance(answer, Answer)
    assert not any(isinstance(event, ApprovalRequested) for event in events)


async def test_a_person_is_asked_about_calls_within_a_call_too() -> None:
    @tool(risk="safe")
    async def outer(context: ToolContext) -> str:
        """Call another one."""
        return (await context.call(say, {"text": SECRET})).text

    script = Script([call("outer"), "done"])
    asked: list[ApprovalRequested] = []
    async with solo(script, tools=[outer], hooks=[guard("ask", "tool_call")]) as agency:

        def decide(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event)
                agency.approve(event)

        agency.subscribe(decide)
        await agency.run("?")
    assert [(one.tool, one.why) for one in asked] == [("say", "guardrail codes found code name")]
    assert script.requests[1].messages[-1].text == f"said {SECRET}"


async def test_where_it_cannot_be_told_whether_a_call_may_run_a_person_is_asked() -> None:
    def broken(text: str) -> list[Finding]:
        raise ValueError(text)

    script = Script([call("say", text=SECRET), "done"])
    asked: list[ApprovalRequested] = []
    async with solo(script, tools=[say], hooks=[Guardrail(broken, on={"tool_call"}, action="ask")]) as agency:

        def decide(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event)
                agency.deny(event)

        agency.subscribe(decide)
        await agency.run("?")
    assert [one.why for one in asked] == ["guardrail broken could not look at the tool call: ValueError"]


# -- checks ----------------------------------------------------------------------------------------------------------


async def test_a_check_may_be_async_and_there_may_be_several() -> None:
    async def shouting(text: str) -> list[Finding]:
        await asyncio.sleep(0)
        return [Finding(0, len(text), "shouting", replacement=text.lower())] if text.isupper() else []

    script = Script(["WHAT", f"ok {SECRET}"])
    async with solo(script, hooks=[Guardrail([shouting, CODE], on="output", action="redact")]) as agency:
        assert (await agency.run("?")).text == "what"
        assert (await agency.run("?")).text == "ok [code name]"


@pytest.mark.parametrize("where", ["input", "output", "tool_call", "tool_result", "handoff"])
@pytest.mark.parametrize("action", ["block", "redact"])
@pytest.mark.parametrize("kind", [ValueError, DefinitionError, SystemExit])
async def test_a_check_that_raises_ends_the_run_and_the_error_says_nothing_of_the_text(
    where: Any, action: Any, kind: type[BaseException]
) -> None:
    def broken(text: str) -> list[Finding]:
        raise kind(f"cannot read {text}")

    script = Script([call("say", text=SECRET), call("delegate_to_B", message=SECRET), SECRET, "done"])
    a = Agent("A", tools=[say], handoffs=[handoff(Agent("B"))], hooks=[Guardrail(broken, on=where, action=action)])
    async with Agency(a, model=scripted(script)) as agency:
        error, _ = await watched(agency, SECRET)
    assert str(error) == f"guardrail broken could not look at the {where.replace('_', ' ')}: {kind.__name__}"


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
@pytest.mark.parametrize(("where", "action"), [("output", "warn"), ("tool_call", "ask")])
async def test_a_check_that_need_not_be_heeded_and_raises_is_reported_without_the_text(
    kind: type[BaseException], where: Any, action: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> list[Finding]:
        raise kind(f"cannot read {text}")

    script = Script([call("say", text=SECRET), "ok"])
    async with solo(script, tools=[say], hooks=[Guardrail(broken, on=where, action=action)]) as agency:

        def agree(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                agency.approve(event)

        agency.subscribe(agree)
        answer, events = await watched(agency, "?")
    assert isinstance(answer, Answer)
    assert answer.text == "ok"
    reports = [event.error for event in events if isinstance(event, HookFailed)]
    assert reports
    assert not any(SECRET in report for report in reports)
    assert f"could not look at the {where.replace('_', ' ')}: {kind.__name__}" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("wrong", ["a text", [1], None, [Finding(0, 99, "too far")]])
async def test_what_a_check_returns_must_be_findings_in_the_text(wrong: Any) -> None:
    def odd(text: str) -> Any:
        return wrong

    async with solo(Script(["ok"]), hooks=[Guardrail(odd, on={"output"})]) as agency:
        error, _ = await watched(agency, "?")
    assert str(error).startswith("guardrail odd could not look at the output: the check odd ")


async def test_a_guardrail_is_taken_from_a_live_agent_as_it_was_given() -> None:
    one = guard("redact", "input", "output")
    async with solo(Script([SECRET, SECRET])) as agency:
        agency.add_hook("Solo", one)
        assert (await agency.run("?")).text == "[code name]"
        agency.remove_hook("Solo", one)
        assert (await agency.run("?")).text == SECRET


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: Guardrail(CODE, on=cast("Any", {"outputs"})),
            "it cannot look on 'outputs'; there are input",
        ),
        (lambda: Guardrail(CODE, on=()), "it looks nowhere"),
        (
            lambda: Guardrail(CODE, action=cast("Any", "delete")),
            "block, redact, warn, ask, not 'delete'",
        ),
        (lambda: Guardrail(cast("Any", "blue")), "a check is a function of a text"),
        (lambda: Guardrail([]), "a check is a function of a text"),
        (lambda: Guardrail(CODE, on={"tool_call", "output"}, action="ask"), "not on output"),
        (lambda: Guardrail(_async_check, on={"tool_call"}, action="ask"), "not async ones"),
        (lambda: Guardrail(CODE, priority=cast("Any", "high")), "priority is a whole number"),
        (lambda: PatternCheck("", "x"), "says in words what it finds"),
        (lambda: PatternCheck("x", "("), "pattern x: the regular expression is wrong"),
        (lambda: PatternCheck("x", "x", longest=0), "longest is 0; expected a number of characters"),
        (lambda: Finding(3, 1, "x"), "not from 3 to 1"),
        (lambda: Finding(0, 1, ""), "needs a kind"),
        (lambda: Finding(0, cast("Any", "1"), "x"), "from one whole number to another"),
        (lambda: Finding(0, 1, "x", replacement=cast("Any", 3)), "its replacement a text"),
        (lambda: Guardrail(cast("Any", links)), "links makes a check, and is none: write links(…)"),
        (lambda: Guardrail([CODE, cast("Any", PatternCheck)]), "PatternCheck makes a check"),
    ],
)
def test_what_cannot_be_a_guardrail_is_refused_where_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        make()
    assert says in str(refused.value)


async def _async_check(text: str) -> list[Finding]:
    return []


async def test_a_match_that_is_longer_than_the_pattern_said_ends_the_run_by_name() -> None:
    wrong = Guardrail(PatternCheck("word", r"[a-z]+", longest=3), on={"output"})
    async with solo(Script(["abcd"]), hooks=[wrong]) as agency:
        error, _ = await watched(agency, "?")
    assert str(error) == "guardrail word could not look at the output: pattern word matched 4 characters; longest is 3"
