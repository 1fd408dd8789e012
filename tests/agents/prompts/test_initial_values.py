"""Initial values count once in a conversation, also for calls that are open when a process ends."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Prompt, TaskGraph, TaskWorker
from callboard.actors.testing.doubles.models import call
from tests.agents.support import function, until

from .test_in_runs import calling

PAY = call("pay", "pay")


async def over_a_restart(first: Agent[Any, Any], then: Agent[Any, Any], journal: Path, model: Any) -> Any:
    """The answer of a run in which a call waits for a person while its process is restarted."""
    async with Agency(first, model=function(model), journal=journal) as agency:
        await agency.start_run("go", conversation="c", run_id="r")
        await until(lambda: bool(agency.approvals))
    async with Agency(then, model=function(model), journal=journal) as agency:
        handle = await agency.handle("r")
        await until(lambda: bool(agency.approvals))
        agency.approve(agency.approvals[0])
        return await handle


@pytest.mark.parametrize("changed", [False, True], ids=["left alone", "changed by an effect"])
async def test_a_call_that_is_open_over_a_restart_closes_over_the_value_that_the_model_was_told(
    tmp_path: Path, changed: bool
) -> None:
    numbers = count(1)
    closed: list[tuple[int, int]] = []

    def seats(prompt: Prompt) -> None:
        seat, set_seat = prompt.state("seat", next(numbers))
        prompt.system("seat", f"seat {seat}")
        if changed:
            prompt.effect(lambda: set_seat(lambda before: before + 100), [])

        @prompt.tool
        def pay() -> str:
            """Pay."""
            closed.append((seat, set_seat(lambda before: before)))
            return f"paid for {seat}"

    agent = Agent("A", prompt=seats, autonomy="supervised")
    answer = await over_a_restart(agent, agent, tmp_path / "runs.db", calling(PAY))
    assert closed == [(1, 101 if changed else 1)]
    assert answer.steps[0].calls[0].output == "paid for 1"
    assert answer.text.endswith(f"seat {101 if changed else 1}\n</seat>")


async def test_a_graph_keeps_its_first_tasks_where_others_are_given_after_a_restart(tmp_path: Path) -> None:
    def work(prompt: Prompt, task: Any) -> None:
        prompt.system("work", str(task))
        prompt.tool(lambda: "paid", name="pay", description="Pay.", risk="risky")

    def planner(*ids: str) -> Agent[Any, Any]:
        def plan(prompt: TaskGraph) -> None:
            tasks = [{"id": each, "title": each} for each in ids]
            prompt.task_graph(tasks, workers=[TaskWorker("ann", "Works.", work)])

        return Agent("A", prompt=plan, plugins=TaskGraph, autonomy="supervised")

    ask = call("work_on_tasks", "one", calls=[{"name": "ann", "args": {"task_id": "a"}}])

    def model(request: Any) -> Any:
        return calling(PAY)(request) if "<work>" in request.messages[0].text else calling(ask)(request)

    answer = await over_a_restart(planner("a", "b"), planner("z"), tmp_path / "runs.db", model)
    assert "1 completed" in answer.text
    assert "z" not in answer.text.partition("<task_graph>")[2].partition("[")[2]


async def test_a_replay_sees_the_initial_value_of_then() -> None:
    numbers = count(1)
    told: list[str] = []

    def seats(prompt: Prompt) -> None:
        seat, _ = prompt.state("seat", next(numbers))
        prompt.system("seat", f"seat {seat}")
        told.append(f"seat {seat}")
        prompt.tool(lambda: "paid", name="pay", description="Pay.", risk="safe")

    async with Agency(Agent("A", prompt=seats), model=function(calling(PAY))) as agency:
        await agency.run("go", conversation="c")
        assert (await agency.replay("c")).same
    assert set(told) == {"seat 1"}
