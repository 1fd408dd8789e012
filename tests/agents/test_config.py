"""An agency whose models a file describes."""

from __future__ import annotations

from pathlib import Path

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    ChildSpec,
    ConfigError,
    DefinitionError,
    Message,
    Request,
    RunFailed,
    System,
    load_config,
    pool_from_config,
)
from callboard.providers.pool import CallRecord, GetStats
from callboard.providers.simulated import SimulatedProvider

FILE = """
providers:
  one: {{base_url: "{one}", default_model: m1}}
  two: {{base_url: "{two}", default_model: m2}}
roles: {{Writer: two}}
agent_models: {{planner: {{primary: one, model: m3}}}}
prices: {{m2: {{input: 1000000, output: 1000000}}, m1: {{input: 0, output: 0}}, m3: {{input: 0, output: 0}}}}
budgets: [{{scope: tenant, name: "*", dollars: 0.5, period: month}}]
"""


async def test_each_agent_has_the_model_that_the_file_gives_it(tmp_path: Path) -> None:
    async with SimulatedProvider() as one, SimulatedProvider() as two:
        (tmp_path / "llm.yaml").write_text(FILE.format(one=one.base_url, two=two.base_url))
        agents = Agent("Planner"), Agent("Writer"), Agent("Reader"), Agent("Clerk", model="one:m1")
        async with Agency(*agents, config=tmp_path / "llm.yaml") as agency:
            for agent in ("Planner", "Reader", "Clerk", "Writer"):
                await agency.run("hello", agent=agent)
            await agency.add_agent(Agent("writer"))
            await agency.run("hello", agent="writer")
            assert agency.pool is not None
            stats = await agency.pool.ask(GetStats())
            calls = [
                (at, model, counts.answered) for at, models in stats.models.items() for model, counts in models.items()
            ]
            assert sorted(calls) == [("one", "m1", 2), ("one", "m3", 1), ("two", "m2", 2)]


@pytest.mark.parametrize(
    "text",
    [
        "agent_models: {Writer: {primary: one, model: m1}}\nfallback: {m1: [m2]}",
        "agent_models: {Writer: {primary: one, model: m1}}\nfallback: {large: [small]}",
        'roles: {Writer: large}\nfallback: {"one:m1": ["two:m2"]}',
        'roles: {Writer: m1}\nfallback: {"large": [two]}',
        "default_model: large\nfallback: {m1: [small]}",
        "fallback: {large: [small]}",
        "fallback: [small]",
    ],
)
async def test_a_lesser_model_answers_however_both_are_named(tmp_path: Path, text: str) -> None:
    async with SimulatedProvider() as one, SimulatedProvider() as two:
        text += f"""
retry: {{initial: 0.01}}
aliases: {{large: "one:m1", small: "two:m2"}}
providers:
  one: {{base_url: "{one.base_url}", models: [m1], default_model: m1}}
  two: {{base_url: "{two.base_url}", models: [m2], default_model: m2}}
"""
        (tmp_path / "llm.yaml").write_text(text)
        await one.stop()
        async with Agency(Agent("Writer"), config=tmp_path / "llm.yaml") as agency:
            answer = await agency.run("hello")
    assert any(note.startswith("degraded to model") for note in answer.notes)


async def test_a_function_is_told_of_each_call_of_the_pool_that_the_agency_makes(tmp_path: Path) -> None:
    async with SimulatedProvider() as one, SimulatedProvider() as two:
        (tmp_path / "llm.yaml").write_text(FILE.format(one=one.base_url, two=two.base_url))
        told: list[CallRecord] = []
        async with Agency(Agent("Writer"), config=tmp_path / "llm.yaml", on_usage=told.append) as agency:
            await agency.run("hello", caller=Caller("ada"))
        record, *others = told
    assert not others
    assert (record.endpoint, record.asked, record.outcome) == ("two", "two", "answered")
    assert (record.requesters[0].agent, record.requesters[0].user) == ("Writer", "ada")


async def test_a_function_is_told_of_calls_also_without_a_file() -> None:
    told: list[CallRecord] = []
    async with Agency(Agent("Writer"), model="offline", on_usage=told.append) as agency:
        await agency.run("hello")
    assert [record.endpoint for record in told] == ["offline"]


def test_who_cannot_be_told_or_nobody_would_tell_is_refused() -> None:
    async def later(record: CallRecord) -> None: ...

    class Book:
        async def __call__(self, record: CallRecord) -> None: ...

    for wrong in (later, Book(), 3, "module:function"):
        with pytest.raises(DefinitionError, match="on_usage is a plain function of a CallRecord"):
            Agency(Agent("A"), on_usage=wrong)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match=r"give it to your own: Pool\.spec"):
        Agency(Agent("A"), pool=ChildSpec(object), on_usage=print)


async def test_a_pool_of_a_file_is_had_without_an_agency(tmp_path: Path) -> None:
    (tmp_path / "llm.yaml").write_text("providers: {offline: {}}\nprices: {offline: {input: 1, output: 1}}")
    told: list[CallRecord] = []
    async with System("mine") as system:
        pool = system.supervise(pool_from_config(load_config(tmp_path / "llm.yaml"), on_usage=told.append))
        assert (await pool.ask(Request((Message("user", "hello"),)))).provider == "offline"
    assert len(told) == 1


async def test_a_budget_of_the_file_holds_for_the_tenant_who_asks(tmp_path: Path) -> None:
    async with SimulatedProvider() as one, SimulatedProvider() as two:
        (tmp_path / "llm.yaml").write_text(FILE.format(one=one.base_url, two=two.base_url))
        config = load_config(tmp_path / "llm.yaml")
        async with Agency(Agent("Writer"), Agent("Planner"), config=config) as agency:
            with pytest.raises(RunFailed, match="the budget of tenant acme for a month is too small"):
                await agency.run("hello", caller=Caller("ada", "acme"))
            await agency.run("hello", agent="Planner", caller=Caller("ada", "acme"))
            assert agency.pool is not None
            assert (await agency.pool.ask(GetStats())).cost == 0


def test_a_wrong_file_is_refused_as_the_agency_is_made(tmp_path: Path) -> None:
    (tmp_path / "llm.yaml").write_text("providers:\n  offline:\n    timeot: 3\n")
    with pytest.raises(ConfigError, match=r"llm\.yaml, line 3: .*did you mean 'timeout'"):
        Agency(Agent("A"), config=tmp_path / "llm.yaml")
    with pytest.raises(ConfigError, match="no such file"):
        Agency(Agent("A"), config=tmp_path / "none.yaml")


def test_a_file_stands_in_place_of_a_model_or_pool() -> None:
    with pytest.raises(DefinitionError, match="not both"):
        Agency(Agent("A"), config="llm.yaml", model="gpt-5.4")
    with pytest.raises(DefinitionError, match="not both"):
        Agency(Agent("A"), config="llm.yaml", pool=ChildSpec(object))
    with pytest.raises(DefinitionError, match="config is a path"):
        Agency(Agent("A"), config=3)  # type: ignore[arg-type]
