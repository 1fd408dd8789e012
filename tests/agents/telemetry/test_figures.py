"""An agency's figures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    ChildSpec,
    Endpoint,
    Guardrail,
    Pool,
    Priority,
    Quota,
    RateLimited,
    Telemetry,
    TelemetryError,
    ToolContext,
    handoff,
)
from callboard.actors import Actor, System
from callboard.actors.agents.guardrails.patterns.numbers import email_addresses
from callboard.actors.observe.metrics import READ, SECONDS, Family, Times
from callboard.actors.observe.prometheus import prometheus_text
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Completion, Delta, Message, Request, Usage
from callboard.tools import tool
from tests.agents.support import add, function, results, solo

FIGURES = Telemetry(spans=False)


def named(families: tuple[Family, ...]) -> Mapping[str, Family]:
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


async def test_what_runs_do_is_counted() -> None:
    def model(request: Request) -> Any:
        if request.messages[-1].text == "fail":
            raise ValueError("no")
        return "5" if results(request) else [call("add", "c1", a=2, b=3), call("nobody", "c2")]

    async with Agency(Agent("Solo", "x", tools=[add]), model=function(model), telemetry=FIGURES) as agency:
        await agency.run("go")
        answer = await agency.run("go")
        with pytest.raises(Exception, match="no"):
            await agency.run("fail")
        read = named(await agency.metrics())
    assert read["callboard_runs"].total(gen_ai_agent_name="Solo", error="") == 2
    assert read["callboard_runs"].total() == 3
    assert read["gen_ai_invoke_agent_duration_seconds"].total() == 3
    assert read["gen_ai_client_inference_duration_seconds"].total() == 4
    assert read["gen_ai_client_inference_usage_input_tokens"].total() == 2 * answer.usage.input_tokens
    assert read["gen_ai_execute_tool_duration_seconds"].total(gen_ai_tool_name="add") == 2
    assert read["callboard_tool_errors"].samples == {("nobody",): 2.0}
    assert read["callboard_runs_under_way"].total() == 0
    assert b"callboard_runs_total" in prometheus_text(read.values())[0]


async def test_what_runs_cost_retry_hand_on_and_are_kept_from_saying_is_counted() -> None:
    @tool(risk="safe")
    async def search(context: ToolContext) -> str:
        """Search, for half a dollar."""
        context.track_usage(0.5, "a search")
        return "found"

    def model(request: Request) -> Any:
        if "helps" in request.messages[0].text:
            if "fail" in request.messages[-1].text:
                raise ValueError("no")
            return "ann@example.com and bob@example.com"
        if results(request):
            return Completion(Message("assistant", "done"), "stop", Usage(10, 5), "m", "acme", cost=0.25)
        asks = [call("delegate_to_Helper", each, message=each) for each in ("go", "fail")]
        return [call("search", "s"), *asks]

    mail = Guardrail(email_addresses(), on={"output"}, action="redact", name="mail")
    first = Agent("Solo", "x", tools=[search], handoffs=[handoff("Helper")])
    helper = Agent("Helper", "helps", hooks=[mail])
    async with Agency(first, helper, model=function(model), telemetry=FIGURES) as agency:
        answer = await agency.run("go")
        read = named(await agency.metrics())
    assert answer.text == "done"
    assert read["callboard_cost_dollars"].samples == {("Solo",): 0.75}
    assert read["callboard_handoffs"].samples == {("Helper", "false"): 1.0, ("Helper", "true"): 1.0}
    assert read["callboard_guardrail_findings"].samples == {("mail", "redact"): 2.0}
    assert read["callboard_runs"].samples == {("Solo", ""): 1.0, ("Helper", ""): 1.0, ("Helper", "RunFailed"): 1.0}
    by_model = {"gen_ai_response_model": "m", "gen_ai_provider_name": "acme"}
    assert read["gen_ai_client_inference_usage_input_tokens"].total(**by_model) == 10
    assert read["gen_ai_client_inference_usage_output_tokens"].total(**by_model) == 5
    assert read["gen_ai_client_inference_time_to_first_chunk_seconds"].total() == 0, "nothing was streamed"


class Restarting(Actor):
    """Thinks, is cut off, and answers a second later."""

    def on_receive(self, message: Any) -> AsyncIterator[Delta]:
        return self.pieces()

    async def pieces(self) -> AsyncIterator[Delta]:
        yield Delta(reasoning="first thought")
        yield Delta(restart=True)
        await asyncio.sleep(1)
        yield Delta(text="yes")
        await asyncio.sleep(2)
        yield Delta(completion=Completion(Message("assistant", "yes"), "stop"))


@virtual_time
async def test_a_streamed_completion_is_timed_to_its_first_text_and_to_its_end() -> None:
    async with Agency(Agent("A"), model=ChildSpec(Restarting, name="model"), telemetry=FIGURES) as agency:
        for _ in range(2):
            async for _ in agency.run_streaming("go"):
                pass
        read = named(await agency.metrics())
    assert read["callboard_retries"].samples == {("A",): 2.0}
    first = read["gen_ai_client_inference_time_to_first_chunk_seconds"].samples[("A",)]
    whole = read["gen_ai_client_inference_duration_seconds"].samples[("", "")]
    runs = read["gen_ai_invoke_agent_duration_seconds"].samples[("A",)]
    for times, seconds, bucket in ((first, 1.0, 1.28), (whole, 3.0, 5.12), (runs, 3.0, 5.12)):
        assert isinstance(times, Times)
        assert times.sum == pytest.approx(2 * seconds)
        assert {SECONDS[at] for at, count in enumerate(times.counts[:-1]) if count} == {bucket}


@virtual_time
async def test_tool_calls_are_timed() -> None:
    @tool(risk="safe")
    async def slow() -> str:
        await asyncio.sleep(2)
        return "done"

    model = function(lambda request: "done" if results(request) else call("slow", "c1"))
    async with Agency(Agent("A", tools=[slow]), model=model, telemetry=FIGURES) as agency:
        await agency.run("go")
        times = named(await agency.metrics())["gen_ai_execute_tool_duration_seconds"].samples[("slow",)]
    assert isinstance(times, Times)
    assert [times.count, times.sum] == pytest.approx([1, 2])


async def test_each_figure_of_the_page_is_there_with_its_kind(tmp_path: Path) -> None:
    pool = ChildSpec(Pool, ((Endpoint("one", function(lambda request: "done")),),), name="pool")
    async with Agency(Agent("A"), pool=pool, telemetry=FIGURES, journal=tmp_path / "runs.db") as agency:
        await agency.run("go", conversation="c")
        kinds: dict[str, set[str]] = {}
        for family in await agency.metrics():
            kinds.setdefault(family.kind, set()).add(family.name)
    assert kinds["histogram"] == {
        "gen_ai_invoke_agent_duration_seconds",
        "gen_ai_client_inference_duration_seconds",
        "gen_ai_client_inference_time_to_first_chunk_seconds",
        "gen_ai_execute_tool_duration_seconds",
    }
    assert kinds["counter"] >= {
        "callboard_runs",
        "callboard_cost_dollars",
        "callboard_retries",
        "callboard_tool_errors",
        "callboard_handoffs",
        "callboard_guardrail_findings",
        "gen_ai_client_inference_usage_input_tokens",
        "gen_ai_client_inference_usage_output_tokens",
        "callboard_actor_messages",
        "callboard_actor_failures",
        "callboard_actor_restarts",
        "callboard_dead_letters",
    }
    assert kinds["gauge"] >= {
        "callboard_actors",
        "callboard_mailbox_depth",
        "callboard_mailbox_age_seconds",
        "callboard_journal_lag_seconds",
        "callboard_journal_bytes",
        "callboard_journal_free_bytes",
    }


async def test_runs_under_way_and_those_that_wait_for_a_person_are_there_when_somebody_looks() -> None:
    go = asyncio.Event()

    @tool(risk="risky")
    async def pay() -> str:
        return "paid"

    async def model(request: Request) -> Any:
        if request.messages[-1].text == "wait":
            await go.wait()
            return "done"
        return "done" if results(request) else call("pay", "c1")

    agent = Agent("Solo", "x", tools=[pay], autonomy="supervised")
    asked = asyncio.Event()
    async with Agency(agent, model=function(model), telemetry=FIGURES) as agency:
        agency.subscribe(lambda event: asked.set() if type(event).__name__ == "ApprovalRequested" else None)
        first, second = agency.run("wait"), agency.run("pay")
        tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
        await asked.wait()
        read = named(await agency.metrics())
        assert read["callboard_runs_under_way"].total(gen_ai_agent_name="Solo") == 2
        assert read["callboard_run_age_seconds"].total() > 0
        assert read["callboard_approvals_waiting"].total() == 1
        go.set()
        agency.approve(agency.approvals[0].approval)
        await asyncio.gather(*tasks)


async def test_a_pool_tells_of_its_calls_breakers_queue_and_errors() -> None:
    def limited(request: Request) -> Any:
        raise RateLimited("slow down", provider="one", retry_after=60)

    endpoints = (
        Endpoint("one", ChildSpec(FunctionModel, (limited,), name="one")),
        Endpoint("two", ChildSpec(FunctionModel, (lambda request: "done",), name="two"), priority=1),
    )
    pool = ChildSpec(Pool, (endpoints,), {"routing": Priority()}, name="pool")
    async with Agency(Agent("Solo", "x"), pool=pool, telemetry=FIGURES) as agency:
        for _ in range(4):
            await agency.run("go")
        read = named(await agency.metrics())
    assert read["callboard_pool_requests"].total(pool="pool", event="answered") == 4
    assert read["callboard_pool_errors"].total(endpoint="one", error="RateLimited") == 1
    assert read["callboard_pool_breaker"].total(endpoint="one", state="open") == 1
    assert read["callboard_pool_breaker"].total(endpoint="two", state="closed") == 1
    assert read["callboard_pool_calls_sent"].total() == 5
    assert read["callboard_pool_queue_age_seconds"].samples == {("pool",): 0.0}


async def test_the_figures_of_several_pools_stand_side_by_side_and_add_up_where_there_is_no_more_room() -> None:
    def pool(name: str) -> ChildSpec:
        many = tuple(
            Endpoint(f"{name}{n}", ChildSpec(FunctionModel, (lambda _: "done",), name=f"{name}{n}")) for n in range(60)
        )
        return ChildSpec(Pool, (many,), name=name)

    async with System() as system:
        first, second = system.supervise(pool("first")), system.supervise(pool("second"))
        agents = Agent("A", "x", model=first), Agent("B", "x", model=second)
        async with Agency(*agents, system=system, telemetry=Telemetry(spans=False, series=200)) as agency:
            for number in range(120):
                await agency.run("go", agent="AB"[number % 2])
            read = named(await agency.metrics())
            lines = prometheus_text(read.values())[0].decode().splitlines()
    assert read["callboard_pool_calls_sent"].total() == read["callboard_pool_calls_answered"].total() == 120
    assert read["callboard_pool_requests"].total(event="answered") == 120
    assert len([line for line in lines if not line.startswith(("#", "process_"))]) <= 200
    assert len([name for name in read if not name.startswith("gen_ai")]) <= READ  # some of these are counted


async def test_a_request_that_waits_in_the_pools_queue_has_an_age() -> None:
    go = asyncio.Event()

    async def slow(request: Request) -> Any:
        await go.wait()
        return "done"

    endpoint = Endpoint("one", ChildSpec(FunctionModel, (slow,), name="one"), limits=Quota(concurrency=1))
    pool = ChildSpec(Pool, ((endpoint,),), name="pool")
    async with Agency(Agent("Solo", "x"), pool=pool, telemetry=FIGURES) as agency:
        tasks = [asyncio.ensure_future(agency.run("go")) for _ in range(2)]
        for _ in range(100):
            await asyncio.sleep(0)
            read = named(await agency.metrics())
            if read["callboard_pool_waiting"].total():
                break
        assert read["callboard_pool_waiting"].total() == 1
        assert read["callboard_pool_queue_age_seconds"].total() > 0
        go.set()
        await asyncio.gather(*tasks)


async def test_actors_tell_of_mailboxes_restarts_and_dead_letters() -> None:
    async with Agency(Agent("Solo", "x"), model=function(lambda request: "done"), telemetry=FIGURES) as agency:
        await agency.run("go")
        read = named(await agency.metrics())
        own = "callboard.actors.agents.runs.conversation.Conversation"
        assert read["callboard_actor_messages"].total(**{"class": own}) >= 2
        for name in ("callboard_mailbox_depth", "callboard_mailbox_age_seconds", "callboard_actor_restarts"):
            assert own in {key[0] for key in read[name].samples}
        assert read["callboard_dead_letters"].total() == 0


def sizes(journal: Path) -> list[int]:
    """Those of the files of a journal of SQLite."""
    return [journal.with_name(f"{journal.name}{end}").stat().st_size for end in ("", "-wal", "-shm")]


async def test_a_journal_tells_of_its_lag_and_its_room(tmp_path: Path) -> None:
    model, journal = function(lambda request: "done"), tmp_path / "runs.db"
    async with Agency(Agent("Solo", "x"), model=model, telemetry=FIGURES, journal=journal) as agency:
        await agency.run("go", conversation="c")
        before = sizes(journal)
        read = named(await agency.metrics())
        after = sizes(journal)
    assert read["callboard_journal_lag_seconds"].total() >= 0
    assert sum(before) <= read["callboard_journal_bytes"].total() <= sum(after)
    assert read["callboard_journal_free_bytes"].total() == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)


async def test_ten_thousand_names_make_no_more_series_than_are_allowed() -> None:
    def model(request: Request) -> Any:
        asked = request.messages[-1].text
        return "done" if results(request) else call(f"tool_{asked}", "c1")

    async with Agency(Agent("Solo", "x"), model=function(model), telemetry=FIGURES) as agency:
        for number in range(300):
            await agency.run(str(number), user=f"user{number}")
        text, _ = prometheus_text(await agency.metrics())
    lines = [line for line in text.decode().splitlines() if not line.startswith(("#", "process_"))]
    assert len(lines) <= 500
    assert not any("user1" in line for line in lines)


async def test_figures_that_nobody_keeps_cannot_be_read() -> None:
    agency = solo(lambda request: "done")
    with pytest.raises(TelemetryError, match=r"telemetry=Telemetry\(\)"):
        await agency.metrics()
    async with agency:
        with pytest.raises(TelemetryError, match="no figures are kept"):
            await agency.metrics()
