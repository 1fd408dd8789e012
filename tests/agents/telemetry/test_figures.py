"""An agency's figures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ChildSpec, Endpoint, Pool, Priority, Quota, RateLimited, Telemetry, TelemetryError
from callboard.actors import System
from callboard.actors.observe.metrics import READ, Family
from callboard.actors.observe.prometheus import prometheus_text
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request
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


async def test_a_journal_tells_of_its_lag_and_its_room(tmp_path: Path) -> None:
    model = function(lambda request: "done")
    async with Agency(Agent("Solo", "x"), model=model, telemetry=FIGURES, journal=tmp_path / "runs.db") as agency:
        await agency.run("go", conversation="c")
        read = named(await agency.metrics())
    assert read["callboard_journal_lag_seconds"].total() >= 0
    assert read["callboard_journal_bytes"].total() > 1_000
    assert read["callboard_journal_free_bytes"].total() > 0


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
