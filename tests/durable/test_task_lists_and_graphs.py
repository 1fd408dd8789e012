"""Task lists and graphs in processes that are killed at any write of their journal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from callboard import Agency, Agent, System, TaskGraph, TaskList
from callboard.testing import Fault, Restart, Simulation, StoreFault, simulate
from tests.agents.support import postgres, sqlite

from .support import call, function, results

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "4"))
"""Schedules of each; `make schedules` runs many more."""

PLAN = [
    {"id": "draw", "title": "draw it"},
    {"id": "price", "title": "price it"},
    {"id": "build", "title": "build it", "dependencies": ["draw", "price"]},
]
DONE = (
    '<task_list>\n1 of 2 completed\n[x] 1: plan\n[!] 2: dance {"reason": "no music"}\n</task_list>\n\n'
    "<task_graph>\n3 tasks: 2 completed, 1 ready\n[x] draw: draw it (completed): of draw\n"
    "[x] price: price it (completed): of price\n[ ] build: build it (ready)\n</task_graph>"
)


class Both(TaskList, TaskGraph):
    """A prompt with a list and a graph."""


def prompt(prompt: Both) -> None:
    prompt.task_list(["plan", "dance"])
    prompt.task_graph()


def model(request: Any) -> Any:
    """Does what is to be done next, by what the prompt says of it: so it asks for nothing twice that has been done."""
    told = request.messages[0].text
    assert not [text for text in results(request) if text.startswith("Error")]
    if "(no tasks)" in told:
        return [call("start_task", "1", task_id="1"), call("generate_task_graph", "2", tasks=PLAN)]
    graph = told.split("<task_graph>")[1]
    calls = [
        call("update_task_status", f"{task}+", task_id=task, status="in_progress")
        for task in re.findall(r"\] (draw|price): .*\(ready", graph)
    ]
    calls += [
        call("update_task_status", f"{task}-", task_id=task, status="completed", output_result=f"of {task}")
        for task in re.findall(r"\[>\] (\w+):", graph)
    ]
    if "[>] 1:" in told:
        calls += [call("complete_task", "3", task_id="1"), call("start_task", "4", task_id="2")]
    if "[>] 2:" in told:
        calls.append(call("fail_task", "5", task_id="2", reason="no music"))
    return calls or told


def worked_off(journal: Callable[[Simulation], Any]) -> Any:
    """A run in a process, asked for again by each start of it."""

    async def scenario(sim: Simulation) -> None:

        async def main(system: System) -> str:
            agent = Agent("A", prompt=prompt, plugins=Both)
            async with Agency(agent, model=function(model), journal=journal(sim), system=system) as agency:
                sim.watch(agency)
                answer = await agency.run("go", conversation="one", run_id="r")
                return answer.text

        assert await sim.process("shop", main) == DONE

    return scenario


@pytest.mark.parametrize("journal", [sqlite, postgres])
@pytest.mark.parametrize(
    "faults",
    [[Restart("shop")], [Restart("shop", optional=True)] * 3, [StoreFault("shop", what="unreachable", seconds=4)]],
    ids=["killed", "killed several times", "out of reach"],
)
def test_a_list_and_a_graph_are_as_they_would_have_been_whenever_the_process_is_killed(
    faults: list[Fault], journal: Any
) -> None:
    simulate(worked_off(journal), seeds=SEEDS, faults=faults)


def test_a_power_cut_in_the_middle_of_any_write_loses_nothing_of_them() -> None:
    simulate(worked_off(sqlite), seeds=SEEDS, faults=[Restart("shop", when="torn")])
