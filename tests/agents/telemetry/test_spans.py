"""A run's spans: every one of them, with every attribute, by the conventions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from callboard import (
    Agency,
    Agent,
    AgentUnavailable,
    ApprovalRequested,
    ChildSpec,
    Endpoint,
    Finding,
    Guardrail,
    GuardrailFound,
    GuardrailTripped,
    Handoff,
    Pool,
    Priority,
    RateLimited,
    RemoteAgent,
    RunEvent,
    RunFailed,
    Telemetry,
    TelemetryError,
    span_here,
    tool,
)
from callboard.actors import Actor, ActorRef
from callboard.actors.agents.errors import AgentError, DefinitionError
from callboard.actors.agents.guardrails.patterns.numbers import email_addresses
from callboard.actors.observe.spans import SpanWriter, trace_headers
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request
from tests.agents.support import add, function, results

from .tracing import Traces, id_of, seconds, told


@tool(risk="risky")
async def pay(amount: int) -> str:
    """Pay."""
    return "paid"


def planner(request: Request) -> Any:
    """Adds, pays once a person has approved, asks a helper, and answers."""
    if "You help" in request.messages[0].text:
        return "helped"
    done = results(request)
    match len(done):
        case 0:
            return call("add", "c1", a=2, b=3)
        case 1:
            return call("pay", "c2", amount=5)
        case 2:
            return call("SendMessage", "c3", target_agent="Helper", message="help")
    return f"all: {done[-1]}"


def approving(agency: Agency) -> None:
    def approve(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            assert agency.system is not None
            agency.system.loop.call_soon(agency.approve, event.approval)

    agency.subscribe(approve)


def shop(traces: Traces, **options: Any) -> Agency:
    helper = Agent("Helper", "You help")
    plans = Agent("Planner", "You plan", tools=[add, pay], handoffs=[helper], autonomy="supervised", **options)
    agency = Agency(plans, model=function(planner), telemetry=traces.telemetry)
    approving(agency)
    return agency


async def test_each_thing_a_run_does_is_a_span_under_the_one_it_is_part_of() -> None:
    traces = Traces()
    async with shop(traces) as agency:
        assert (await agency.run("go")).text == "all: helped"
    run = "invoke_agent Planner"
    assert traces.tree() == sorted(
        [
            run,
            *[f"{run} > chat"] * 4,
            f"{run} > execute_tool add",
            f"{run} > approval pay",
            f"{run} > execute_tool pay",
            f"{run} > handoff Helper",
            f"{run} > handoff Helper > invoke_agent Helper",
            f"{run} > handoff Helper > invoke_agent Helper > chat",
        ]
    )
    traces.check()


async def test_every_attribute_is_the_conventions_or_says_that_it_is_ours() -> None:
    traces = Traces()
    async with shop(traces) as agency:
        answer = await agency.run("go", conversation="c1")
    first = traces.named("invoke_agent Planner")
    assert told(first) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "Planner",
        "gen_ai.conversation.id": "c1",
        "gen_ai.usage.input_tokens": answer.usage.input_tokens,
        "gen_ai.usage.output_tokens": answer.usage.output_tokens,
        "callboard.cost": answer.cost,
        "callboard.run.id": answer.run,
        "callboard.run.root": answer.run,
    }
    assert first.kind is SpanKind.INTERNAL
    chat = next(span for span in traces.spans if span.name == "chat" and told(span)["callboard.run.id"] == answer.run)
    usage = answer.steps[0].usage
    assert told(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.agent.name": "Planner",
        "gen_ai.conversation.id": "c1",
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "gen_ai.response.model": "scripted",
        "gen_ai.provider.name": "scripted",
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "callboard.step": 1,
        "callboard.run.id": answer.run,
    }
    assert chat.kind is SpanKind.CLIENT
    assert told(traces.named("execute_tool add")) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.agent.name": "Planner",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
        "callboard.run.id": answer.run,
    }
    assert told(traces.named("approval pay")) == {
        "gen_ai.operation.name": "approval",
        "gen_ai.agent.name": "Planner",
        "gen_ai.tool.name": "pay",
        "gen_ai.tool.call.id": "c2",
        "callboard.approval.approved": True,
        "callboard.run.id": answer.run,
    }
    assert told(traces.named("handoff Helper")) == {
        "gen_ai.operation.name": "handoff",
        "gen_ai.agent.name": "Planner",
        "callboard.handoff.target": "Helper",
        "callboard.handoff.kind": "delegate",
        "callboard.run.id": answer.run,
    }


async def test_what_is_said_is_in_no_span_unless_it_is_wanted() -> None:
    traces = Traces()
    async with shop(traces) as agency:
        await agency.run("the secret word is swordfish")
    assert "swordfish" not in "".join(span.to_json() for span in traces.spans)


async def test_what_is_said_is_told_without_what_the_patterns_of_the_guardrails_find() -> None:
    traces = Traces(content=True)
    async with shop(traces) as agency:
        await agency.run("write to ann@example.com")
    said = told(traces.named("invoke_agent Planner"))
    assert json.loads(said["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "write to [e-mail address]"}]}
    ]
    assert json.loads(said["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "all: helped"}]
    assert "ann@example.com" not in "".join(span.to_json() for span in traces.spans)
    assert json.loads(told(traces.named("execute_tool add"))["gen_ai.tool.call.arguments"]) == {"a": 2, "b": 3}
    assert told(traces.named("execute_tool add"))["gen_ai.tool.call.result"] == "5"
    last = [span for span in traces.spans if span.name == "chat"][-1]
    assert json.loads(told(last)["gen_ai.system_instructions"])[0]["content"].startswith("You plan")
    asked = json.loads(told(last)["gen_ai.input.messages"])
    assert [message["role"] for message in asked] == ["user", *["assistant", "tool"] * 3]
    assert asked[1]["parts"] == [{"type": "tool_call", "id": "c1", "name": "add", "arguments": '{"a": 2, "b": 3}'}]


async def test_a_function_of_ones_own_takes_out_what_nobody_may_read() -> None:
    traces = Traces(content=True, redact=lambda text: text.replace("swordfish", "…"))
    async with shop(traces) as agency:
        await agency.run("swordfish")
    assert "swordfish" not in "".join(span.to_json() for span in traces.spans)


async def test_a_run_is_part_of_the_span_in_force_where_it_is_asked_for() -> None:
    traces = Traces()
    async with shop(traces) as agency:
        with traces.provider.get_tracer("mine").start_as_current_span("request"):
            await agency.run("go")
    assert any(path.startswith("request > invoke_agent Planner > chat") for path in traces.tree())
    traces.check()


async def test_a_parent_that_is_no_text_is_refused() -> None:
    agency = Agency(Agent("A"), model=function(lambda request: "done"))
    with pytest.raises(DefinitionError, match="traceparent is a text, not int"):
        agency.part_of(cast(Any, 5))


async def test_what_a_tool_traces_itself_is_part_of_its_call() -> None:
    traces = Traces()

    @tool(risk="safe")
    async def look() -> str:
        with traces.provider.get_tracer("mine").start_as_current_span("GET"):
            return "seen"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("look", "c1")

    async with Agency(Agent("Solo", "x", tools=[look]), model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run("go")
        assert not trace.get_current_span().get_span_context().is_valid
    assert "invoke_agent Solo > execute_tool look > GET" in traces.tree()


async def test_a_handoff_from_an_actor_that_a_tool_asks_is_part_of_the_tools_call() -> None:
    traces = Traces()
    agency: Agency

    class Clerk(Actor):
        async def on_receive(self, message: Any) -> str:
            ref: ActorRef[Any] = agency.agent_ref("Helper")
            with span_here(), traces.provider.get_tracer("mine").start_as_current_span("look up"):
                pass
            assert not trace.get_current_span().get_span_context().is_valid
            return str((await ref.ask(Handoff("Clerk", "Helper", "help"))).text)

    @tool(risk="safe")
    async def ask_clerk() -> str:
        assert agency.system is not None
        clerk = agency.system.spawn(Clerk)
        return str(await clerk.ask("go"))

    def model(request: Request) -> Any:
        if "You help" in request.messages[0].text:
            return "helped"
        return results(request)[-1] if results(request) else call("ask_clerk", "c1")

    solo, helper = Agent("Solo", "x", tools=[ask_clerk]), Agent("Helper", "You help")
    agency = Agency(solo, helper, model=function(model), telemetry=traces.telemetry)
    async with agency:
        assert (await agency.run("go")).text == "helped"
    assert "invoke_agent Solo > execute_tool ask_clerk > invoke_agent Helper > chat" in traces.tree()
    assert "invoke_agent Solo > execute_tool ask_clerk > look up" in traces.tree()
    traces.check()


async def test_each_call_of_the_pool_is_a_span_of_the_completion_that_it_was_made_for() -> None:
    traces = Traces()
    asked: list[int] = []

    def limited(request: Request) -> Any:
        asked.append(1)
        raise RateLimited("slow down", provider="one", retry_after=0.001)

    endpoints = (
        Endpoint("one", ChildSpec(FunctionModel, (limited,), name="one")),
        Endpoint("two", ChildSpec(FunctionModel, (lambda request: "done",), name="two"), priority=1),
    )
    pool = ChildSpec(Pool, (endpoints,), {"routing": Priority()}, name="pool")
    async with Agency(Agent("Solo", "x"), pool=pool, telemetry=traces.telemetry) as agency:
        for _ in range(4):
            await agency.run("go")
    assert asked
    calls = [span for span in traces.spans if span.name.startswith("attempt")]
    assert {path.rpartition(" > ")[0] for path in traces.tree() if "attempt" in path} == {"invoke_agent Solo > chat"}
    failed = next(span for span in calls if span.name == "attempt one")
    assert told(failed) == {
        "gen_ai.operation.name": "attempt",
        "callboard.pool.endpoint": "one",
        "callboard.pool.attempt": 1,
        "callboard.pool.outcome": "refused",
        "error.type": "RateLimited",
    }
    assert failed.status.status_code is StatusCode.ERROR
    traces.check()


async def test_what_a_guardrail_finds_is_a_span_that_never_says_what() -> None:
    traces = Traces()
    guard = Guardrail(email_addresses(), on={"output"}, action="redact", name="mail")
    model = function(lambda request: "ann@example.com")
    async with Agency(Agent("Solo", "x", hooks=[guard]), model=model, telemetry=traces.telemetry) as agency:
        answer = await agency.run("go")
    found = told(traces.named("guardrail mail"))
    assert found == {
        "gen_ai.operation.name": "guardrail",
        "gen_ai.agent.name": "Solo",
        "callboard.guardrail.name": "mail",
        "callboard.guardrail.where": "output",
        "callboard.guardrail.kind": "e-mail address",
        "callboard.guardrail.count": 1,
        "callboard.guardrail.action": "redact",
        "callboard.run.id": answer.run,
    }


@virtual_time
async def test_a_guardrails_span_is_as_long_as_it_looked() -> None:
    traces = Traces()

    async def slow(text: str) -> list[Finding]:
        await asyncio.sleep(3)
        return list(email_addresses()(text))

    guard = Guardrail(slow, on={"output"}, action="redact", name="mail")
    model = function(lambda request: "ann@example.com")
    seen: list[float] = []
    async with Agency(Agent("Solo", "x", hooks=[guard]), model=model, telemetry=traces.telemetry) as agency:
        agency.subscribe(lambda event: seen.append(event.seconds) if isinstance(event, GuardrailFound) else None)
        await agency.run("go")
    assert seen == [3]
    assert seconds(traces.named("guardrail mail")) == 3
    chat = traces.named("chat")
    assert seconds(chat) >= 3


@virtual_time
async def test_a_guardrails_span_in_a_stream_is_as_long_as_it_looked() -> None:
    traces = Traces()

    async def slow(text: str) -> list[Finding]:
        await asyncio.sleep(3)
        return list(email_addresses()(text))

    guard = Guardrail(slow, on={"output"}, action="block", name="mail")
    model = function(lambda request: "ann@example.com")
    async with Agency(Agent("Solo", "x", hooks=[guard]), model=model, telemetry=traces.telemetry) as agency:
        with pytest.raises(GuardrailTripped):
            async for _ in agency.run_streaming("go"):
                pass
    assert seconds(traces.named("guardrail mail")) == 3


@pytest.mark.parametrize(("how", "durable"), [("killed", False), ("stopped", False), ("stopped", True)])
async def test_a_run_whose_actor_fails_for_good_is_told_of(how: str, durable: bool, tmp_path: Path) -> None:
    traces = Traces()
    asked = asyncio.Event()

    async def hang(request: Request) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    journal = tmp_path / "runs.db" if durable else None
    solo = Agent("Solo", "x")
    async with Agency(solo, model=function(hang), telemetry=traces.telemetry, journal=journal) as agency:
        run = asyncio.ensure_future(agency.run("go", conversation="c"))
        await asked.wait()
        assert agency.system is not None
        while not run.done():
            ref = agency.system.find("agency/Solo")
            if ref is not None and how == "killed":
                ref.kill()
            elif ref is not None:
                await ref.stop()
            await asyncio.sleep(0)
        with pytest.raises((AgentUnavailable, RunFailed)) as caught:
            await run
    failed = traces.named("invoke_agent Solo")
    assert told(failed)["error.type"] == type(caught.value).__name__
    assert seconds(failed) >= 0
    assert failed.status.status_code is StatusCode.ERROR
    traces.check()


async def test_processors_are_told_of_each_start_before_those_within_it_and_of_each_end_after_them() -> None:
    order: list[str] = []

    class Watching(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            within = trace.get_current_span(parent_context)
            order.append(f"{span.name} begins in {getattr(within, 'name', 'nothing')}")
            span.set_attribute("tenant", "shop")

        def on_end(self, span: Any) -> None:
            order.append(f"{span.name} ends")

    @tool(risk="safe")
    async def look() -> str:
        trace.get_current_span().set_attribute("rows", 3)
        trace.get_current_span().add_event("looked")
        return "seen"

    traces = Traces()
    traces.provider.add_span_processor(Watching())
    model = function(lambda request: "done" if results(request) else call("look", "c1"))
    async with Agency(Agent("Solo", "x", tools=[look]), model=model, telemetry=traces.telemetry) as agency:
        await agency.run("go")
    run = "invoke_agent Solo"
    chat = [f"chat begins in {run}", "chat ends"]
    call_ = [f"execute_tool look begins in {run}", "execute_tool look ends"]
    assert order == [f"{run} begins in nothing", *chat, *call_, *chat, f"{run} ends"]
    assert {told(span)["tenant"] for span in traces.spans} == {"shop"}
    looked = traces.named("execute_tool look")
    assert told(looked)["rows"] == 3
    assert [event.name for event in looked.events] == ["looked"]


async def test_a_run_that_fails_says_with_which_error_and_ends_what_was_under_way() -> None:
    traces = Traces()
    model = function(lambda request: call("nobody", "c1") if not results(request) else 1 / 0)
    async with Agency(Agent("Solo", "x"), model=model, telemetry=traces.telemetry) as agency:
        with pytest.raises(AgentError) as failed:
            await agency.run("go")
    first = traces.named("invoke_agent Solo")
    assert told(first)["error.type"] == type(failed.value).__name__
    assert first.status.status_code is StatusCode.ERROR
    assert told(traces.named("execute_tool nobody"))["error.type"] == "tool_error"
    traces.check()


async def test_a_streamed_completion_says_when_its_first_piece_came() -> None:
    traces = Traces()
    async with Agency(
        Agent("Solo", "x"), model=function(lambda r: "one two three"), telemetry=traces.telemetry
    ) as agency:
        async for _ in agency.run_streaming("go"):
            pass
    chat = told(traces.named("chat"))
    assert chat["gen_ai.request.stream"] is True
    assert chat["gen_ai.response.time_to_first_chunk"] >= 0


async def test_a_sampler_keeps_its_share_of_traces_and_all_of_each() -> None:
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.5)))
    traces = Traces()
    traces.provider.sampler = provider.sampler
    async with shop(traces) as agency:
        for _ in range(40):
            await agency.run("go")
    kept = traces.names.count("invoke_agent Planner")
    assert 5 < kept < 35, f"{kept} of 40 traces were kept"
    assert len(traces.spans) == 11 * kept
    traces.check()


async def test_two_agencies_may_have_the_same_provider() -> None:
    traces = Traces()
    async with shop(traces) as one, shop(traces) as other:
        await one.run("go")
        await other.run("go")
    assert traces.names.count("invoke_agent Planner") == 2
    traces.check()


async def test_without_a_provider_or_an_address_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert Telemetry().writer() is None
    assert Telemetry(spans=False, tracer_provider=TracerProvider()).writer() is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"spans": "yes"}, "spans is 'yes'"),
        ({"endpoint": "localhost:4318"}, "an address http"),
        ({"endpoint": "http://x", "tracer_provider": TracerProvider()}, "give one of them"),
        ({"metrics": 1}, "metrics is 1; it is True or False"),
        ({"content": None}, "content is None; it is True or False"),
        ({"endpoint": 5}, "endpoint is 5; it is a text"),
        ({"service": None}, "service is None; it is a text"),
        ({"series": -1}, "series is -1"),
        ({"series": 199}, "series is 199; it is a whole number, at least 200"),
        ({"series": True}, "series is True"),
        ({"series": 1.5}, "series is 1.5"),
        ({"endpoint": "http://x#y"}, "without a query or a fragment"),
        ({"redact": "mail"}, "a function"),
        ({"endpoint": "http://"}, "an address http"),
        ({"endpoint": "http://x y"}, "an address http"),
        ({"endpoint": "http://x:99999"}, "an address http"),
        ({"endpoint": "http://[::1"}, "an address http"),
        ({"endpoint": "http://x?y=1"}, "without a query"),
        ({"tracer_provider": 5}, "tracer_provider is 5"),
        ({"tracer_provider": TracerProvider}, "as it was made"),
    ],
)
def test_what_is_wrong_with_telemetry_is_said_where_it_is_made(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(TelemetryError, match=says):
        Telemetry(**wrong)


def test_where_nothing_is_said_spans_and_figures_are_told_and_nothing_of_what_is_said() -> None:
    usual = Telemetry()
    assert (usual.spans, usual.metrics, usual.content, usual.series) == (True, True, False, 500)
    assert (usual.tracer_provider, usual.endpoint, usual.redact, usual.alerts) == (None, "", None, None)
    assert usual.service == "callboard"


async def test_the_provider_that_the_process_has_set_gets_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = Traces()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: traces.provider)
    async with Agency(Agent("A"), model=function(lambda request: "done"), telemetry=Telemetry()) as agency:
        await agency.run("go")
    assert traces.names == ["chat", "invoke_agent A"]
    traces.provider.get_tracer("mine").start_span("later").end()
    assert traces.names[-1] == "later", "it is not ours to shut down"


async def test_a_tool_may_hand_on_whose_part_it_is() -> None:
    traces = Traces()
    sent: list[dict[str, str]] = []

    @tool(risk="safe")
    async def look() -> str:
        sent.append(trace_headers())
        return "seen"

    model = function(lambda request: "done" if results(request) else call("look", "c1"))
    async with Agency(Agent("Solo", "x", tools=[look]), model=model, telemetry=traces.telemetry) as agency:
        await agency.run("go")
    span = traces.named("execute_tool look")
    assert span.context is not None
    assert sent == [{"traceparent": f"00-{span.context.trace_id:032x}-{id_of(span):016x}-03"}]


def test_a_password_of_a_collector_is_not_shown() -> None:
    assert "swordfish" not in repr(Telemetry(endpoint="http://ann:swordfish@collector:4318"))


def test_a_provider_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(TelemetryError, match=r"opentelemetry\.sdk\.trace\.TracerProvider"):
        SpanWriter(object())


async def test_the_ids_of_spans_follow_from_the_run() -> None:
    ids = []
    for _ in range(2):
        traces = Traces()
        async with shop(traces) as agency:
            await agency.run("go", run_id="r1")
        ids.append({(span.name, id_of(span)) for span in traces.spans})
    assert ids[0] == ids[1]


async def test_another_service_that_is_handed_work_is_told_whose_part_it_is() -> None:
    traces = Traces()
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        said = {"role": "assistant", "content": "far away"}
        return httpx.Response(200, json={"choices": [{"message": said, "finish_reason": "stop"}]})

    def model(request: Request) -> Any:
        return results(request)[-1] if results(request) else call("SendMessage", "c1", target_agent="Far", message="go")

    far = RemoteAgent("Far", "https://far.example/v1/chat/completions", transport=httpx.MockTransport(answer))
    near = Agent("Near", "x", handoffs=[far])
    async with Agency(near, model=function(model), telemetry=traces.telemetry) as agency:
        assert (await agency.run("go")).text == "far away"
    sent = asked[0].headers["traceparent"].split("-")
    far_chat = next(span for span in traces.spans if span.name == "chat" and told(span)["gen_ai.agent.name"] == "Far")
    assert far_chat.context is not None
    assert sent == ["00", f"{far_chat.context.trace_id:032x}", f"{id_of(far_chat):016x}", "03"]
    traces.check()


class Broken(SpanProcessor):
    def __init__(self, error: type[BaseException], *where: str) -> None:
        self.error = error
        self.where = where

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if "start" in self.where:
            raise self.error("no disk")

    def on_end(self, span: Any) -> None:
        if "end" in self.where:
            raise self.error("no disk")


class Undecided(Sampler):
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def should_sample(self, *given: Any, **named: Any) -> Any:
        raise self.error("cannot say")

    def get_description(self) -> str:
        return "Undecided"


ANYTHING = (OSError, SystemExit, asyncio.CancelledError, GeneratorExit, StopIteration)
"""What a function of the user's may raise."""


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize("where", ["start", "end"])
async def test_a_processor_that_raises_harms_no_run(
    error: type[BaseException], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    traces = Traces()
    traces.provider.add_span_processor(Broken(error, where))
    async with shop(traces) as agency:
        assert (await agency.run("go")).text == "all: helped"
        assert (await agency.run("go")).text == "all: helped"
    assert "could not be" in caplog.text
    assert len(caplog.records) == 1, "one that fails at every span fills no log"


@pytest.mark.parametrize("error", ANYTHING)
async def test_a_sampler_that_raises_harms_no_run(error: type[BaseException]) -> None:
    traces = Traces(sampler=Undecided(error))
    async with shop(traces) as agency:
        assert (await agency.run("go")).text == "all: helped"
    assert not traces.spans


async def awaited(text: str) -> str:
    return text


def broken(error: type[BaseException]) -> Any:
    def redact(text: str) -> str:
        raise error(text)

    return redact


@pytest.mark.parametrize(
    "redact", [*map(broken, ANYTHING), len, str.encode, lambda text: None, lambda text, more: text]
)
async def test_what_a_function_cannot_look_at_is_not_told_and_harms_no_run(
    redact: Any, caplog: pytest.LogCaptureFixture
) -> None:
    traces = Traces(content=True, redact=redact)
    async with shop(traces) as agency:
        assert (await agency.run("swordfish")).text == "all: helped"
    assert "messages" not in "".join(span.to_json() for span in traces.spans)
    assert "redact raised" in caplog.text
    assert "swordfish" not in caplog.text
    assert len(traces.spans) == 11
    traces.check()


def test_a_function_that_has_to_be_awaited_takes_nothing_out_in_time() -> None:
    with pytest.raises(TelemetryError, match="redact is async"):
        Telemetry(content=True, redact=cast(Any, awaited))


@pytest.mark.parametrize("name", ["half \ud800 a letter", "x" * 100_000])
async def test_whatever_a_model_calls_a_tool_the_spans_are_sent(name: str) -> None:
    def model(request: Request) -> Any:
        return f"done {name}" if results(request) else call(name, "c1")

    traces = Traces(content=True)
    async with Agency(Agent("A", "x"), model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run(f"go {name}")
    encode_spans(traces.spans).SerializeToString()
    assert len(traces.spans) == 4
    assert max(len(span.name) for span in traces.spans) <= len("execute_tool ") + 200
    assert all("\ud800" not in str(value) for span in traces.spans for value in told(span).values())
    traces.check()


async def test_a_handoff_that_is_refused_says_so_without_its_words() -> None:
    traces = Traces()

    def model(request: Request) -> Any:
        return "done" if results(request) else call("SendMessage", "c1", target_agent="Nobody", message="swordfish")

    helper = Agent("Helper", "You help")
    async with Agency(Agent("A", "x", handoffs=[helper]), model=function(model), telemetry=traces.telemetry) as agency:
        await agency.run("go")
    assert "swordfish" not in "".join(span.to_json() for span in traces.spans)
    traces.check()


def test_where_nobody_traces_there_is_no_span_here() -> None:
    with span_here():
        assert not trace.get_current_span().get_span_context().is_valid
