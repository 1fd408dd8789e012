"""Spans and figures whatever clocks say: one that jumps, one that goes by steps."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from callboard import Agency, Agent, ChildSpec, Endpoint, Pool, Telemetry, tool
from callboard.actors.testing.doubles.models import FunctionModel, call
from callboard.providers.messages import Request
from tests.agents.support import function, results

from .tracing import Traces, check_times, seconds

STEP = 0.02
HOUR = 3600.0


class Coarse(asyncio.SelectorEventLoop):
    """Its time goes by steps, as uvloop's does by milliseconds."""

    def time(self) -> float:
        return super().time() // STEP * STEP


def test_no_span_begins_before_its_parent_on_a_loop_whose_time_goes_by_steps() -> None:
    traces = Traces()

    async def slow(request: Request) -> str:
        await asyncio.sleep(STEP)
        return "done"

    async def main() -> None:
        pool = ChildSpec(Pool, ((Endpoint("one", ChildSpec(FunctionModel, (slow,), name="one")),),), name="pool")
        async with Agency(Agent("Solo", "x"), pool=pool, telemetry=traces.telemetry) as agency:
            for _ in range(5):
                await agency.run("go")

    with asyncio.Runner(loop_factory=Coarse) as runner:
        runner.run(main())
    assert sum(span.name == "attempt one" for span in traces.spans) == 5
    check_times(traces.spans)


class Wall:
    """The system's clock, which somebody sets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real, real_ns = time.time, time.time_ns
        patch.setattr(time, "time", lambda: real() + self.ahead)
        patch.setattr(time, "time_ns", lambda: real_ns() + int(self.ahead * 1e9))


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_no_span_is_longer_or_shorter_for_a_clock_that_is_set_meanwhile(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, traces = Wall(monkeypatch), Traces()

    @tool(risk="safe")
    async def wait() -> str:
        wall.ahead += jump
        return "set"

    def model(request: Request) -> Any:
        wall.ahead += jump
        return "done" if results(request) else call("wait", "c1")

    pool = ChildSpec(Pool, ((Endpoint("one", ChildSpec(FunctionModel, (model,), name="one")),),), name="pool")
    async with Agency(Agent("Solo", "x", tools=[wait]), pool=pool, telemetry=traces.telemetry) as agency:
        await agency.run("go")
    assert len(traces.spans) == 6
    check_times(traces.spans)
    assert all(seconds(span) < HOUR / 2 for span in traces.spans)


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_run_under_way_is_as_old_as_it_is_whatever_the_clock_is_set_to(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, asked, go = Wall(monkeypatch), asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> str:
        asked.set()
        await go.wait()
        return "done"

    async with Agency(Agent("Solo", "x"), model=function(model), telemetry=Telemetry(spans=False)) as agency:
        run = asyncio.ensure_future(agency.run("go"))
        await asked.wait()
        wall.ahead += jump
        read = {family.name: family for family in await agency.metrics()}
        assert 0 <= read["callboard_run_age_seconds"].total() < HOUR / 2
        go.set()
        await run
