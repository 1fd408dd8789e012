"""What a run's spans say of completions, tools, handoffs and limits that go otherwise than usual."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from callboard import Agency, Agent, ChildSpec, Endpoint, Guardrail, Message, Pool, Window, handoff, tool
from callboard.actors import Actor
from callboard.actors.agents.guardrails.patterns.numbers import email_addresses
from callboard.actors.agents.prompts.functions.plugin import Functions
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Delta, Request, Usage
from tests.agents.support import add, function, results

from .tracing import Traces, seconds, told


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def error(span: ReadableSpan) -> Any:
    """The error that a span ended in, where its status says so, too."""
    found = told(span).get("error.type")
    assert (span.status.status_code is StatusCode.ERROR) == (found is not None)
    return found


async def test_a_completion_says_what_was_asked_for_who_answered_and_all_that_it_took() -> None:
    def model(request: Request) -> Completion:
        usage = Usage(100, 50, cache_read_tokens=40, cache_write_tokens=30, reasoning_tokens=20)
        return Completion(Message("assistant", "hi"), "stop", usage, "m-2", "acme", request_id="req-1", cost=0.25)

    traces = Traces()
    pool = ChildSpec(Pool, ((Endpoint("one", function(model), models=("m",)),),), name="pool")
    async with Agency(Agent("A", model="m"), pool=pool, telemetry=traces.telemetry) as agency:
        answer = await agency.run("go")
    assert told(traces.named("chat m")) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "A",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-2",
        "gen_ai.provider.name": "acme",
        "gen_ai.response.id": "req-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "callboard.cost": 0.25,
        "callboard.step": 1,
        "callboard.run.id": answer.run,
    }, "of a conversation that ends with its run nobody needs the name"


class Restarting(Actor):
    """Thinks, is cut off, thinks again, and answers."""

    def on_receive(self, message: Any) -> AsyncIterator[Delta]:
        return self.pieces()

    async def pieces(self) -> AsyncIterator[Delta]:
        yield Delta(reasoning="first thought")
        yield Delta(restart=True)
        yield Delta(reasoning="second thought")
        yield Delta(completion=Completion(Message("assistant", "yes", reasoning="second thought"), "stop"))


async def test_a_completion_that_begins_anew_is_one_span_which_says_so() -> None:
    traces = Traces(content=True)
    async with Agency(Agent("A"), model=ChildSpec(Restarting, name="model"), telemetry=traces.telemetry) as agency:
        async for _ in agency.run_streaming("go"):
            pass
    chat = traces.named("chat")
    assert events(chat) == [("retry", {"callboard.attempt": 1})]
    assert json.loads(told(chat)["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "second thought"}, {"type": "text", "content": "yes"}],
            "finish_reason": "stop",
        }
    ]
    traces.check()


async def test_what_a_tool_gave_is_told_as_the_conventions_have_it() -> None:
    traces = Traces(content=True)
    model = function(lambda request: "done" if results(request) else call("add", "c1", a=2, b=3))
    async with Agency(Agent("A", "You add", tools=[add]), model=model, telemetry=traces.telemetry) as agency:
        await agency.run("go")
    first, last = (told(span) for span in traces.spans if span.name == "chat")
    (instructions,) = json.loads(first["gen_ai.system_instructions"])
    assert instructions["type"] == "text"
    assert json.loads(first["gen_ai.output.messages"])[0]["finish_reason"] == "tool_calls"
    given = json.loads(last["gen_ai.input.messages"])[-1]
    assert given == {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": "5"}]}


async def test_a_run_says_where_its_model_is_shown_less() -> None:
    traces = Traces()
    agent = Agent("A", context=Window(messages=2))
    async with Agency(agent, model=function(lambda request: "ok"), telemetry=traces.telemetry) as agency:
        for number in range(3):
            await agency.run(f"question {number}", conversation="c")
    told_of = [[name for name, _ in events(span)] for span in traces.spans if span.name == "invoke_agent A"]
    assert told_of == [[], ["context reduced"], ["context reduced"]]
    ((_, said),) = events(traces.spans[-1])
    assert said["callboard.tokens.before"] > said["callboard.tokens.after"] > 0


@virtual_time
async def test_spans_are_as_long_as_what_they_are_of() -> None:
    @tool(risk="safe")
    async def slow() -> str:
        await asyncio.sleep(2)
        return "done"

    async def model(request: Request) -> Any:
        await asyncio.sleep(1)
        return "done" if results(request) else call("slow", "c1")

    traces = Traces()
    async with Agency(Agent("A", tools=[slow]), model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run("go")
    assert traces.names == ["chat", "execute_tool slow", "chat", "invoke_agent A"]
    assert [seconds(span) for span in traces.spans] == pytest.approx([1, 2, 1, 4])


@virtual_time
async def test_a_run_that_waits_for_its_turn_began_when_it_was_asked_for() -> None:
    async def model(request: Request) -> str:
        await asyncio.sleep(5)
        return "done"

    traces = Traces()
    async with Agency(Agent("A"), model=function(model), telemetry=traces.telemetry) as agency:
        await asyncio.gather(*(agency.run("go", conversation="c") for _ in range(2)))
    runs = [seconds(span) for span in traces.spans if span.name == "invoke_agent A"]
    assert runs == pytest.approx([5, 10])
    assert [seconds(span) for span in traces.spans if span.name == "chat"] == pytest.approx([5, 5])


ENDED = {"model": "RunCancelled", "tool": "cancelled", "handoff": "cancelled"}
"""The error of what was under way: a completion has that of its run."""


@pytest.mark.parametrize("at_work", ENDED)
async def test_what_is_under_way_when_a_run_is_cancelled_ends_with_it(at_work: str) -> None:
    began = asyncio.Event()

    async def hang() -> str:
        began.set()
        await asyncio.Event().wait()
        return "never"

    async def model(request: Request) -> Any:
        if at_work == "model" or "helps" in request.messages[0].text:
            return await hang()
        if at_work == "tool":
            return call("stay", "c1")
        return call("SendMessage", "c1", target_agent="Helper", message="help")

    traces = Traces()
    stay = tool(risk="safe", name="stay")(hang)
    agent, helper = Agent("A", "a", tools=[stay], handoffs=["Helper"]), Agent("Helper", "helps")
    async with Agency(agent, helper, model=function(model), telemetry=traces.telemetry) as agency:
        run = asyncio.ensure_future(agency.run("go"))
        await began.wait()
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        assert await agency.drained(60)
    assert error(traces.named("invoke_agent A")) == "RunCancelled"
    name = {"model": "chat", "tool": "execute_tool stay", "handoff": "handoff Helper"}[at_work]
    assert error(next(span for span in traces.spans if span.name == name and error(span))) == ENDED[at_work]
    traces.check()


async def test_a_handoff_says_which_error_the_other_agent_ended_in() -> None:
    def model(request: Request) -> Any:
        if "helps" in request.messages[0].text:
            raise RuntimeError("no oven")
        return "sorry" if results(request) else call("delegate_to_Helper", "c1", message="help")

    traces = Traces()
    agent, helper = Agent("A", "a", handoffs=[handoff("Helper")]), Agent("Helper", "helps")
    async with Agency(agent, helper, model=function(model), telemetry=traces.telemetry) as agency:
        assert (await agency.run("go")).text == "sorry"
    assert error(traces.named("handoff Helper")) == error(traces.named("invoke_agent Helper")) == "RunFailed"
    assert error(traces.named("invoke_agent A")) is None
    traces.check()


async def test_an_agent_that_is_asked_twice_in_one_step_has_two_handoffs() -> None:
    def model(request: Request) -> Any:
        if "helps" in request.messages[0].text:
            return "helped"
        asks = (call("SendMessage", each, target_agent="Helper", message=each) for each in ("c1", "c2"))
        return "done" if results(request) else list(asks)

    traces = Traces()
    agent, helper = Agent("A", "a", handoffs=["Helper"]), Agent("Helper", "helps")
    async with Agency(agent, helper, model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run("go")
    assert traces.tree().count("invoke_agent A > handoff Helper > invoke_agent Helper") == 2
    assert traces.tree().count("invoke_agent A > handoff Helper") == 2
    traces.check()


@pytest.mark.parametrize(("on", "where"), [("tool_result", "execute_tool look"), ("output", "chat")])
async def test_what_a_guardrail_finds_is_told_where_it_looked(on: Any, where: str) -> None:
    @tool(risk="safe")
    async def look() -> str:
        return "ann@example.com"

    traces = Traces()
    guards = [Guardrail(email_addresses(), on={on}, action="redact", name=name) for name in ("one", "two")]
    said = "bob@example.com and ann@example.com"
    model = function(lambda request: said if results(request) else call("look", "c1"))
    async with Agency(Agent("A", "x", tools=[look], hooks=guards), model=model, telemetry=traces.telemetry) as agency:
        await agency.run("go")
    found = told(traces.named("guardrail one"))
    assert found["callboard.guardrail.count"] == (2 if on == "output" else 1)
    assert found["callboard.guardrail.where"] == on
    assert f"invoke_agent A > {where} > guardrail one" in traces.tree()
    traces.check()


async def test_the_calls_that_a_tool_makes_are_within_it() -> None:
    pytest.importorskip("pydantic_monty")

    def define(prompt: Functions) -> None:
        @prompt.function(namespace="shop", risk="safe", idempotent=True)
        async def stock() -> int:
            """What there is."""
            return 5

    def model(request: Request) -> Any:
        return "done" if results(request) else call("RunPython", "c1", code="await shop.stock()")

    traces = Traces()
    agent = Agent("A", prompt=define, plugins=Functions, autonomy="autonomous")
    async with Agency(agent, model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run("go")
    inner = [path for path in traces.tree() if "stock" in path]
    assert len(inner) == 1
    assert inner[0].startswith("invoke_agent A > execute_tool RunPython > execute_tool ")
    traces.check()


@pytest.mark.parametrize("decisions", [[False], [True, False]])
async def test_an_approval_says_what_was_decided(decisions: Sequence[bool]) -> None:
    @tool(risk="risky")
    async def pay() -> str:
        return "paid"

    def model(request: Request) -> Any:
        done = len(results(request))
        return "done" if done == len(decisions) else call("pay", f"c{done}")

    traces = Traces()
    left = list(decisions)
    agent = Agent("A", "x", tools=[pay], autonomy="supervised")
    asked = asyncio.Event()
    async with Agency(agent, model=function(model), telemetry=traces.telemetry) as agency:
        agency.subscribe(lambda event: asked.set() if type(event).__name__ == "ApprovalRequested" else None)
        run = asyncio.ensure_future(agency.run("go"))
        while left:
            await asked.wait()
            asked.clear()
            (request,) = agency.approvals
            (agency.approve if left.pop(0) else agency.deny)(request.approval)
        await run
    found = [told(span) for span in traces.spans if span.name == "approval pay"]
    assert [each["callboard.approval.approved"] for each in found] == list(decisions)
    assert [each["gen_ai.tool.call.id"] for each in found] == [f"c{number}" for number in range(len(decisions))]
    traces.check()
