"""What an agency and its pool have to do with each other: who pays, switching, batches, fan-out, what is kept."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    AgentUnavailable,
    Caller,
    FanOutTarget,
    Limits,
    QuotaExceeded,
    RunFailed,
    TimeLimit,
    handoff,
    tool,
)
from callboard.actors import ChildSpec
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.errors import BudgetSpent, NoProvider, ProviderOverloaded
from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.pool import (
    Batching,
    Budget,
    Endpoint,
    GetStats,
    Pool,
    Price,
    SetBudget,
    SwitchProvider,
)
from tests.providers.pool.scripted import Script, endpoint, fails, overloaded
from tests.providers.pool.test_batches import batching

DOLLAR = Price(1.0, 1.0)
ADA = Caller("ada", "acme")


def dollar_answers(name: str = "a") -> Endpoint:
    return endpoint(Script(name, usage=Usage(1_000_000, 0)), price=DOLLAR)


def agent(name: str = "Planner", **options: Any) -> Agent:
    options.setdefault("settings", {"max_tokens": 1})
    return Agent(name, "", **options)


@virtual_time
async def test_an_agency_says_which_pool_it_has_and_the_pool_what_it_has_done() -> None:
    agency = Agency(agent(), pool=Pool.spec([dollar_answers()]))
    assert agency.pool is None
    async with agency:
        await agency.run("hello", caller=ADA)
        assert agency.pool is not None
        stats = await agency.pool.ask(GetStats())
    assert stats.cost == 1.0
    assert {name: stats.spent[name] for name in ("agent:Planner", "tenant:acme", "user:acme/ada")} == {
        "agent:Planner": 1.0, "tenant:acme": 1.0, "user:acme/ada": 1.0,
    }  # fmt: skip


@virtual_time
async def test_a_callers_budget_is_asked_also_where_the_work_was_handed_on() -> None:
    pool = Pool.spec([dollar_answers()], budgets=[Budget("user", "*", 2.000_001)])
    async with Agency(agent(), agent("Worker"), pool=pool) as agency:
        await agency.run("hello", user="ada")
        await agency.run("hello", user="ada", agent="Worker")
        with pytest.raises(RunFailed) as caught:
            await agency.run("hello", user="ada")
        assert isinstance(caught.value.__cause__, BudgetSpent)
        assert "user ada" in str(caught.value)
        await agency.run("hello", user="bob")


@pytest.mark.parametrize("given", ["spec", "kept elsewhere"])
async def test_what_was_spent_is_kept_in_the_agencys_journal(tmp_path: Path, given: str, caplog: Any) -> None:
    path = tmp_path / "team.db"
    options: dict[str, Any] = {"budgets": [Budget("tenant", "acme", 2.0)]}
    if given != "spec":
        options["journal"] = None  # said to be kept nowhere
    spent = []
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            async with Agency(agent(), pool=Pool.spec([dollar_answers()], **options), journal=path) as agency:
                assert agency.pool is not None
                spent.append((await agency.pool.ask(GetStats())).cost)
                if spent[-1] < 2.0:
                    await agency.run("hello", caller=ADA, conversation="c")
                else:
                    with pytest.raises(QuotaExceeded, match="tenant acme"):
                        await agency.run("hello", caller=ADA)
                assert [one.name for one in await agency.conversations()] == ["Planner/c"]
                assert await agency.pending_approvals() == ()
    assert spent == ([0.0, 1.0, 2.0] if given == "spec" else [0.0, 0.0, 0.0])
    assert caplog.records == []

    from callboard.actors.cli.journals.stores import KeptCodec, fits
    from callboard.actors.journal.sqlite import check

    assert check(path, KeptCodec(), fits) == []


@virtual_time
async def test_an_agent_is_switched_to_another_provider_while_it_works() -> None:
    endpoints = [endpoint(Script("a")), endpoint(Script("b"), priority=1)]
    async with Agency(agent(), agent("Other"), pool=Pool.spec(endpoints)) as agency:
        assert agency.pool is not None
        said = [(await agency.run("hello", conversation="c")).text]
        await agency.pool.ask(SwitchProvider(agent="Planner", endpoint="b"))
        said += [(await agency.run("hello", conversation=name)).text for name in ("c", "d")]
        said.append((await agency.run("hello", agent="Other")).text)
    assert [text.partition(":")[0] for text in said] == ["a", "b", "b", "a"]


@virtual_time
async def test_an_agents_settings_ask_for_batches() -> None:
    script = Script("a")
    spec = Pool.spec([batching(script)], batching=Batching(size=3, min_window=5.0, max_window=5.0))
    hurried = agent("Hurried", settings={})
    async with Agency(agent(settings={"batch": True}), hurried, pool=spec) as agency:
        began = asyncio.get_running_loop().time()
        await agency.run("now", agent="Hurried")
        assert asyncio.get_running_loop().time() - began < 1.0
        answers = await asyncio.gather(*(agency.run(str(n)) for n in range(3)))
    assert script.most == 3
    assert all("batched" in answer.notes for answer in answers)


# -- a fan-out as the target of a handoff ------------------------------------------------------------------------------


def says(name: str, text: str, **options: Any) -> Endpoint:
    """An endpoint that says one thing, and hands off to whoever is offered."""

    def model(request: Request) -> Completion:
        usage = Usage(1_000_000, 0)
        if request.tools and request.messages[-1].role == "user":
            call = ToolCall("1", request.tools[0].name, '{"message": "tea or coffee?"}')
            return Completion(Message("assistant", tool_calls=(call,)), "tool_calls", usage)
        if request.tools:
            return Completion(Message("assistant", f"they say {request.messages[-1].text}"), "stop", usage)
        if text == "fails":
            raise ProviderOverloaded("503", status=503)
        return Completion(Message("assistant", text), "stop", usage)

    return Endpoint(name, ChildSpec(FunctionModel, (model,)), price=DOLLAR, **options)


def panel(**options: Any) -> Agency:
    lead = Agent("Lead", handoffs=[handoff(FanOutTarget("Panel", **options))])
    endpoints = [says("a", "tea"), says("b", "coffee", priority=1), says("c", "tea", priority=2)]
    return Agency(lead, pool=Pool.spec(endpoints))


@virtual_time
async def test_a_task_is_handed_to_several_models_at_once() -> None:
    async with panel() as agency:
        answer = await agency.run("ask them", caller=ADA)
        assert agency.pool is not None
        stats = await agency.pool.ask(GetStats())
    assert answer.text == "they say tea"
    assert [str(one) for one in answer.handoffs] == ["Lead → Panel"]
    assert answer.cost == stats.cost == stats.spent["user:acme/ada"] == 5.0, "two steps of the lead's, and three voices"


@pytest.mark.parametrize(
    ("combine", "said"),
    [
        ("all", "they say a said:\ntea\n\nb said:\ncoffee\n\nc said:\ntea"),
        (lambda outcomes: ", ".join(one.message.text for one in outcomes.values()), "they say tea, coffee, tea"),
        (lambda outcomes: outcomes["b"], "they say coffee"),
    ],
)
@virtual_time
async def test_its_answers_are_combined_as_one_says(combine: Any, said: str) -> None:
    async with panel(combine=combine, concurrency=1, providers=("a", "b", "c")) as agency:
        answer = await agency.run("ask them")
    assert (answer.text, answer.cost) == (said, 5.0)


@virtual_time
async def test_a_fan_out_of_which_nobody_answers_is_told_to_the_model_that_handed_off() -> None:
    lead = Agent("Lead", handoffs=[handoff(FanOutTarget("Panel", providers=("b",)))])
    pool = Pool.spec([says("a", "tea"), says("b", "fails", priority=1)], queue_timeout=2.0)
    async with Agency(lead, pool=pool) as agency:
        answer = await agency.run("ask them")
    assert "Panel could not finish: AgentUnavailable" in answer.text
    assert answer.handoffs[0].failed


@virtual_time
async def test_a_fan_out_without_a_pool_says_so() -> None:
    async with Agency(FanOutTarget("Panel")) as agency:
        with pytest.raises(AgentUnavailable, match="no pool to ask"):
            await agency.run("tea?")


@virtual_time
async def test_a_budget_can_be_set_while_an_agency_runs() -> None:
    async with Agency(agent(), pool=Pool.spec([dollar_answers()])) as agency:
        assert agency.pool is not None
        await agency.run("hello")
        assert await agency.pool.ask(SetBudget(Budget("agent", "Planner", 1.0))) == 1.0
        with pytest.raises(RunFailed, match="agent Planner is spent"):
            await agency.run("hello")


def test_who_asks_reaches_the_pool_also_where_nothing_else_in_the_process_uses_scopes() -> None:
    program = """
import asyncio
from callboard import Agency, Agent
from callboard.providers.pool import GetStats, Pool
from tests.agents.test_agencies_and_pools import dollar_answers

async def main():
    async with Agency(Agent("Planner"), pool=Pool.spec([dollar_answers()])) as agency:
        await agency.run("hello", user="ada")
        print(sorted((await agency.pool.ask(GetStats())).spent))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['agent:Planner', 'pool:', 'provider:a', 'user:ada']"


@pytest.mark.parametrize("stream", [False, True])
@virtual_time
async def test_a_run_out_of_time_says_why_no_provider_answered(stream: bool) -> None:
    pool = Pool.spec([endpoint(Script("north", failure=fails(overloaded)))])
    async with Agency(agent(), pool=pool) as agency:
        handle = await agency.start_run("?", limits=Limits(seconds=5), stream=stream)
        with pytest.raises(TimeLimit) as caught:
            await handle
    said, cause = str(caught.value), caught.value.__cause__
    assert "no answer within 5 seconds: it waited for its model, and no provider answered" in said
    assert "(north: ProviderOverloaded: 529)" in said
    assert "Limits.seconds" not in said
    assert isinstance(cause, NoProvider)
    assert isinstance(cause.causes["north"], ProviderOverloaded)


@pytest.mark.parametrize(
    ("asked", "awaited"),
    [("", "its model"), ("sleep", "the tool sleep"), ("SendMessage", "the agent Worker")],
)
@virtual_time
async def test_it_says_what_it_waited_for(asked: str, awaited: str) -> None:
    @tool
    async def sleep() -> str:
        await asyncio.sleep(1_000)
        return ""

    async def model(request: Request) -> Any:
        if request.tools and asked:
            arguments = {"target_agent": "Worker", "message": "do"} if asked == "SendMessage" else {}
            return call(asked, "c", **arguments)
        await asyncio.sleep(1_000)
        return ""

    front = agent("Front", tools=[sleep], handoffs=[agent("Worker")], limits=Limits(seconds=5))
    async with Agency(front, model=ChildSpec(FunctionModel, (model,))) as agency:
        with pytest.raises(TimeLimit) as caught:
            await agency.run("?")
    assert f"no answer within 5 seconds: it waited for {awaited}; raise limits.seconds" in str(caught.value)
