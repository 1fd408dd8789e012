"""Composite tools in an agency: each of their calls is one of its own."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from callboard import Agency, Agent, Prompt, Request, System, ToolContext, composite, tool
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.testing import Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from tests.agents.support import function

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""


def batch(*calls: tuple[str, dict[str, Any]]) -> Any:
    return call("batch", "c", calls=[{"name": name, "args": given} for name, given in calls])


def asks(*calls: tuple[str, dict[str, Any]]) -> Any:
    """A model that makes the calls in one, and answers with what came of them."""

    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else batch(*calls)

    return function(model)


class Shop:
    """Tools, and what they did."""

    def __init__(self, *, parallel: bool = False) -> None:
        self.bought: list[str] = []
        self.parallel = parallel

    @property
    def batch(self) -> Any:
        @tool(risk="safe", idempotent=True)
        async def price(name: str) -> int:
            return len(name)

        @tool(risk="risky")
        async def buy(name: str) -> str:
            self.bought.append(name)
            return f"bought {name}"

        return composite([price, buy], parallel=self.parallel)


async def test_a_person_is_asked_about_each_call_that_would_wait_by_itself() -> None:
    shop = Shop()
    agent = Agent("Clerk", tools=[shop.batch], autonomy="supervised")
    model = asks(("price", {"name": "tea"}), ("buy", {"name": "tea"}), ("buy", {"name": "gold"}), ("sell", {}))
    async with Agency(agent, model=model) as agency:
        asked: list[tuple[str, str, str]] = []

        def look(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append((event.call_id, event.tool, event.arguments))
                if "gold" in event.arguments:
                    agency.deny(event, "too dear")
                else:
                    agency.approve(event)

        agency.subscribe(look)
        answer = await agency.run("go")
    assert asked == [("c/2", "buy", '{"name": "tea"}'), ("c/3", "buy", '{"name": "gold"}')]
    assert shop.bought == ["tea"]
    first, second, third, fourth = json.loads(answer.text)["results"]
    assert first == {"name": "price", "result": 3}
    assert second == {"name": "buy", "result": "bought tea"}
    assert third == {"name": "buy", "error": "Denied by a person: too dear"}
    assert "sell" in fourth["error"]


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_call_that_fails_keeps_nothing_of_what_it_has_set(parallel: bool) -> None:
    def define(prompt: Prompt) -> None:
        total, set_total = prompt.state("total", 0)
        prompt.system("total", str(total))

        @tool(risk="safe", idempotent=True)
        async def add(n: int) -> int:
            now = set_total(lambda before: before + n)
            if n > 9:
                raise ValueError("too much")
            return now

        prompt.tool(composite([add], parallel=parallel))

    def model(request: Request) -> Any:
        if request.messages[-1].role != "tool":
            return batch(("add", {"n": 1}), ("add", {"n": 100}), ("add", {"n": 2}))
        return request.messages[0].text + request.messages[-1].text

    async with Agency(Agent("A", prompt=define), model=function(model)) as agency:
        text = (await agency.run("go")).text
    assert "<total>\n3\n</total>" in text
    assert "too much" in text


async def test_calls_at_once_are_as_many_as_were_said() -> None:
    at_work = 0
    most = 0

    @tool(risk="safe")
    async def work(context: ToolContext[Any], n: int) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(20):
            await asyncio.sleep(0)
        at_work -= 1
        return f"{context.call_id} {n}"

    agent = Agent("A", tools=[composite([work], parallel=True, concurrency=2)])
    async with Agency(agent, model=asks(*(("work", {"n": n}) for n in range(5)))) as agency:
        results = json.loads((await agency.run("go")).text)["results"]
    assert most == 2
    assert [one["result"] for one in results] == ["c/1 0", "c/2 1", "c/3 2", "c/4 3", "c/5 4"]


WRITES = 14
"""About as often as a process writes that makes the calls."""


def scenario(*, parallel: bool, restarts: int) -> Any:
    async def scenario(sim: Simulation) -> None:
        sim.expect_dead_letters()  # what an agency's actors still say to each other as it stops
        shop = Shop(parallel=parallel)

        async def main(system: System) -> str:
            agent = Agent("Clerk", tools=[shop.batch])
            model = asks(*(("buy", {"name": name}) for name in "abc"))
            path = sim.folder / "shop.db"
            async with Agency(agent, model=model, journal=path, system=system) as agency:
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        results = json.loads(await sim.process("shop", main))["results"]
        assert len(shop.bought) == len(set(shop.bought)), "something was bought twice"
        for name, result in zip("abc", results, strict=True):
            if "result" in result:
                assert result["result"] == f"bought {name}"
                assert name in shop.bought
            else:  # nobody can know whether it was
                assert result["error"].startswith("Interrupted: ")
        if not parallel:  # one was under way
            assert sum("error" in result for result in results) <= restarts

    return scenario


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_at_each_write_makes_no_call_twice_and_the_rest_after_it(
    parallel: bool, when: Any
) -> None:
    for nth in range(1, WRITES + 1):
        simulate(
            scenario(parallel=parallel, restarts=1),
            seeds=1,
            faults=[Restart("shop", nth=nth, when=when, optional=True)],
        )


@pytest.mark.parametrize("parallel", [False, True])
def test_a_process_that_is_killed_several_times_makes_no_call_twice(parallel: bool) -> None:
    simulate(scenario(parallel=parallel, restarts=3), seeds=SEEDS, faults=[Restart("shop", optional=True)] * 3)
