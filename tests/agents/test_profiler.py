"""Profiling an agent."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent, Completion, Message, Profile, Request, Usage, profile
from callboard.actors import ChildSpec
from callboard.actors.agents.errors import AgencyClosed, DefinitionError
from callboard.actors.testing import Simulation, simulate
from callboard.actors.testing.doubles.models import FunctionModel

from .support import function


def taking(seconds: float, tokens: int = 5) -> Any:
    """A model that takes so long, and more the more it is asked; each third completion fails."""
    asked = 0

    async def model(request: Request) -> Completion:
        nonlocal asked
        asked += 1
        await asyncio.sleep(seconds * asked)
        if request.messages[-1].text == "fail":
            raise RuntimeError("down")
        return Completion(Message("assistant", "x"), "stop", Usage(10, tokens), cost=0.25)

    return model


async def measured_under_simulation(sim: Simulation) -> None:
    agent = Agent("A", "a")
    model = ChildSpec(FunctionModel, (taking(1.0),), name="model")
    found = await profile(agent, "go", iterations=10, model=model, system=sim.system)
    assert found.latencies == pytest.approx(range(1, 11))
    assert (found.runs, found.error_rate, found.cost) == (10, 0.0, 2.5)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (100, 50)
    assert [found.seconds, found.tokens_per_second] == pytest.approx([55, 50 / 55])
    assert [found.percentile(p) for p in (50, 90, 99, 100)] == pytest.approx([5, 9, 10, 10])
    assert [each.count for each in found.histogram(3)] == [3, 3, 4]


def test_time_is_the_loops_so_that_a_simulation_measures_its_own() -> None:
    simulate(measured_under_simulation, seeds=3)


async def many_at_once(sim: Simulation) -> None:
    async def model(request: Request) -> str:
        await asyncio.sleep(1.0)
        return "x"

    spec = ChildSpec(FunctionModel, (model,), name="model")
    found = await profile(Agent("A"), ["a", "b"], iterations=4, concurrency=8, model=spec, system=sim.system)
    assert found.runs == 8
    assert found.seconds == pytest.approx(1.0)


def test_so_many_runs_are_under_way_at_once_as_are_wanted() -> None:
    simulate(many_at_once, seeds=3)


async def test_each_message_is_asked_as_often_as_wanted_in_a_conversation_of_its_own() -> None:
    seen: list[str] = []

    def model(request: Request) -> str:
        seen.append(" ".join(message.text for message in request.messages))
        return "x"

    async with Agency(Agent("A"), model=function(model)) as agency:
        found = await profile(agency, ["one", Message("user", "two")], iterations=2)
    assert seen == ["one", "two", "one", "two"]
    assert (found.agent, found.runs) == ("A", 4)


async def test_failures_are_counted_by_name_and_measured_apart() -> None:
    found = await profile(Agent("A"), ["fail", "go", "go"], iterations=2, model=function(taking(0.0)))
    assert (found.errors, found.error_rate, len(found.latencies)) == ({"RunFailed": 2}, 2 / 6, 4)
    table = found.table()
    assert "errors     33.3%" in table
    assert "  RunFailed 2" in table


async def test_where_every_run_failed_there_is_no_latency() -> None:
    found = await profile(Agent("A"), "fail", iterations=2, model=function(taking(0.0)))
    assert (found.error_rate, found.histogram()) == (1.0, ())
    assert math.isnan(found.percentile(50))
    assert "p50        -" in found.table()
    assert "p50 -" in found.svg()


async def test_a_profile_is_saved_as_a_picture(tmp_path: Path) -> None:
    found = await profile(Agent("A"), "go", iterations=5, model=function(taking(0.0)))
    found.save(tmp_path / "profile.svg")
    root = ElementTree.parse(tmp_path / "profile.svg").getroot()
    bars = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    assert len(bars) == len(found.histogram())
    with pytest.raises(DefinitionError, match=r"saved as an \.svg"):
        found.save(tmp_path / "profile.png")


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.integers(1, 30))
def test_a_histogram_has_every_run_once_and_its_bins_join(latencies: list[float], bins: int) -> None:
    found = Profile("A", tuple(latencies), {}, 1.0, Usage(), 0.0)
    drawn = found.histogram(bins)
    assert sum(each.count for each in drawn) == len(latencies)
    assert (drawn[0].low, drawn[-1].high) == (latencies[0], latencies[-1])
    assert all(one.high == other.low for one, other in pairwise(drawn))
    assert len(drawn) <= bins
    assert found.percentile(100) == latencies[-1]
    assert found.table()
    ElementTree.fromstring(found.svg())


WRONG: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "nothing to ask": (Agent("A"), [], {}, "messages are a text, a Message, or several"),
    "no agent": ("A", "go", {}, "an Agent or an Agency, not 'A'"),
    "no iterations": (Agent("A"), "go", {"iterations": 0}, "iterations is a number above 0, not 0"),
    "concurrency that is none": (Agent("A"), "go", {"concurrency": True}, "concurrency is a number above 0"),
    "options for an agency": (
        Agency(Agent("A")),
        "go",
        {"model": "m"},
        "model: options are for the agency of",
    ),
    "a question that is none": (Agent("A"), [5], {"model": function(lambda request: "x")}, "a question is a text"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_profiled_is_refused_by_name(case: str) -> None:
    agent, messages, options, problem = WRONG[case]
    with pytest.raises(DefinitionError, match=problem):
        await profile(agent, messages, **options)


async def test_an_agency_that_does_not_run_is_not_profiled() -> None:
    with pytest.raises(AgencyClosed):
        await profile(Agency(Agent("A")), "go")


@pytest.mark.parametrize("percent", [0, -1, 101])
def test_a_percentile_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(DefinitionError, match="above 0 and up to 100"):
        Profile("A", (1.0,), {}, 1.0, Usage(), 0.0).percentile(percent)
