"""Workers: agents that tasks of a graph are handed to, by what they are capable of."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from callboard import Agency, Agent, NewTask, Prompt, RunFailed, System, TaskGraph, TaskInput, TaskWorker
from callboard.actors.agents.errors import PromptError
from callboard.actors.testing import Crash, Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request, ToolCall
from tests.agents.support import function

from .crashes import Watched

GRAPH = [
    NewTask(id="find", title="find it", required_capabilities=("web",), input_context="in Rome"),
    NewTask(id="read", title="read it", dependencies=("find",)),
    NewTask(id="sum", title="sum up", assigned_agent="clerk"),
]


def surf(prompt: Prompt, task: TaskInput) -> None:
    prompt.system("task", str(task))


WORKERS = [
    TaskWorker("clerk", "Writes.", surf),
    TaskWorker("surfer", "Searches.", surf, ["web"], response_schema=dict[str, int]),
]


def team(prompt: TaskGraph) -> None:
    prompt.task_graph(GRAPH, workers=WORKERS)


def pair(prompt: TaskGraph) -> None:
    tasks = [NewTask(id="find", title="find it"), NewTask(id="sum", title="sum up")]
    prompt.task_graph(tasks, workers=[TaskWorker("surfer", "Searches.", surf), TaskWorker("seeker", "Seeks.", surf)])


def part(request: Request, name: str) -> str:
    found = re.search(f"<{name}>\n(.*?)\n</{name}>", request.messages[0].text, re.DOTALL)
    return found[1] if found else ""


def results(request: Request) -> list[str]:
    return [message.text for message in request.messages if message.role == "tool"]


def handed(*tasks: tuple[str, str]) -> ToolCall:
    """Tasks handed to workers in one call: pairs of worker and task."""
    return call("work_on_tasks", "", calls=[{"name": worker, "args": {"task_id": task}} for worker, task in tasks])


class Model:
    """Makes one call of the lead's after the other, and answers for the workers.

    Args:
        turns: the calls.
        worker: of a worker's request, and its task.
    """

    def __init__(
        self,
        *turns: ToolCall | list[ToolCall],
        worker: Callable[[dict[str, Any]], Any] = lambda task: json.dumps({"pages": 3}),
    ) -> None:
        self.turns = turns
        self.worker = worker
        self.tasks: list[dict[str, Any]] = []
        self.graph = ""
        self.tools: list[Any] = []

    def __call__(self, request: Request) -> Any:
        if task := part(request, "task"):
            self.tasks.append(json.loads(task))
            return self.worker(self.tasks[-1])
        self.graph, self.tools = part(request, "task_graph"), list(request.tools)
        done = len(results(request))
        return self.turns[done] if done < len(self.turns) else "done"

    async def run(self, fn: Callable[[Any], object] = team) -> list[Any]:
        """What the calls were answered with, read from JSON where it is such."""
        async with Agency(Agent("A", prompt=fn, plugins=TaskGraph), model=function(self)) as agency:
            answer = await agency.run("go", conversation="c")
        return [_read(made.output) for step in answer.steps for made in step.calls]


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def test_a_call_names_workers_and_their_tasks() -> None:
    model = Model()
    await model.run()
    (spec,) = [one for one in model.tools if one.name == "work_on_tasks"]
    kinds = spec.parameters["properties"]["calls"]["items"]["anyOf"]
    assert [(one["properties"]["name"]["const"], one["description"]) for one in kinds] == [
        ("clerk", "Writes."),
        ("surfer", "Searches. Capable of: web."),
    ]
    assert [list(one["properties"]["args"]["properties"]) for one in kinds] == [["task_id"], ["task_id"]]


async def test_a_worker_is_given_the_task_with_the_results_that_it_starts_from() -> None:
    model = Model(handed(("surfer", "find")), handed(("clerk", "read")))
    await model.run()
    assert model.tasks == [
        {"id": "find", "title": "find it", "input": {"given": "in Rome"}},
        {"id": "read", "title": "read it", "input": {"results": {"find": {"pages": 3}}}},
    ]


async def test_answers_complete_tasks_and_errors_fail_them_side_by_side() -> None:
    def worker(task: dict[str, Any]) -> Any:
        return OSError("too slow") if task["id"] == "sum" else '{"pages": 3}'

    model = Model(handed(("surfer", "find"), ("clerk", "sum")), worker=worker)
    (answered,) = await model.run()
    found, summed = answered["results"]
    assert found == {"name": "surfer", "response": {"pages": 3}, "steps": 1}
    assert summed["error"].startswith("clerk could not finish")
    assert '[x] find: find it (completed, surfer): {"pages": 3}' in model.graph
    assert "[!] sum: sum up (failed, clerk): " in model.graph
    assert "too slow" in model.graph
    assert "[ ] read: read it (ready)" in model.graph


async def test_an_answer_that_does_not_fit_fails_the_task() -> None:
    model = Model(handed(("surfer", "find")), worker=lambda task: "three pages")
    (answered,) = await model.run()
    assert answered["results"][0]["response"] == "three pages"
    assert "[!] find: find it (failed, requires web, surfer): the answer of surfer does not fit" in model.graph


@pytest.mark.parametrize("calls", ["one call", "two calls"])
async def test_a_task_that_is_handed_over_twice_in_one_step_is_worked_on_once(calls: str) -> None:
    twice = [("surfer", "find"), ("seeker", "find"), ("seeker", "sum")]
    model = Model([handed(*twice)] if calls == "one call" else [handed(*twice[:1]), handed(*twice[1:])])
    answers = await model.run(pair)
    first, second, third = [one for answered in answers for one in answered["results"]]
    assert "'find' has been given to 'surfer' in this step; hand over each task once" in second["error"]
    assert "response" in first
    assert "response" in third
    assert sorted(task["id"] for task in model.tasks) == ["find", "sum"]


def test_a_task_that_is_handed_over_twice_is_worked_on_once_over_crashes_too() -> None:
    async def scenario(sim: Simulation) -> None:
        watched = Watched()

        async def main(system: System) -> str:
            twice = [handed(("surfer", "find")), handed(("seeker", "find"), ("seeker", "sum"))]
            agent, model = Agent("A", prompt=pair, plugins=TaskGraph), function(Model(twice))
            async with Agency(agent, model=model, journal=sim.folder / "j.db", system=system) as agency:
                agency.subscribe(watched.look)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        assert await sim.process("pair", main) == "done"
        assert len(set(watched.asked)) == 3, "the lead, and one worker for each task"

    simulate(scenario, seeds=6, faults=[Restart("pair"), Restart("pair", optional=True)])
    simulate(scenario, seeds=6, faults=[Crash("agency/A/c")])


async def test_a_task_that_another_call_of_the_step_has_started_is_not_handed_over() -> None:
    started = call("update_task_status", "start", task_id="find", status="in_progress")
    model = Model([started, handed(("surfer", "find"))])
    _, answered = await model.run()
    assert "'find' is in_progress; hand over what is ready, or failed" in answered["results"][0]["error"]
    assert not model.tasks


def any_answer(prompt: TaskGraph) -> None:
    prompt.task_graph(
        [NewTask(id="find", title="find it")], workers=[TaskWorker("surfer", "Searches.", surf, response_schema=Any)]
    )


DEEP = f"{'[' * 150}{']' * 150}"


@pytest.mark.parametrize("said", ['{"pages": NaN}', "[1e400]", DEEP], ids=["nan", "infinity", "deep"])
async def test_an_answer_that_cannot_be_kept_fails_the_task_which_may_be_handed_over_again(said: str) -> None:
    answers = iter([said, '"three pages"'])
    find = handed(("surfer", "find"))
    model = Model(find, worker=lambda task: next(answers))
    await model.run(any_answer)
    assert "[!] find: find it (failed, surfer): " in model.graph
    model = Model(find, find, worker=lambda task: next(answers))
    answers = iter([said, '"three pages"'])
    await model.run(any_answer)
    assert "[x] find: find it (completed, surfer): three pages" in model.graph


async def test_half_a_character_in_an_answer_is_kept_as_providers_are_sent_it() -> None:
    model = Model(handed(("clerk", "sum")), worker=lambda task: "cut \ud83d")
    await model.run()
    assert "[x] sum: sum up (completed, clerk): cut \ufffd" in model.graph


@pytest.mark.parametrize(
    ("worker", "task", "said"),
    [
        ("clerk", "find", "requires web, which 'clerk' is not capable of; capable of all it requires: surfer"),
        ("surfer", "read", "'read' depends on find, which must be completed first"),
        ("surfer", "sum", "'sum' is assigned to 'clerk', not to 'surfer'"),
        ("surfer", "done", "there is no task 'done'; there are: find, read, sum"),
        ("baker", "find", "no agent is called 'baker'; there are: clerk, surfer"),
    ],
)
async def test_what_a_worker_cannot_work_on_is_refused_and_stays_as_it_was(worker: str, task: str, said: str) -> None:
    model = Model(handed((worker, task)))
    (answered,) = await model.run()
    assert said in answered["results"][0]["error"]
    assert model.tasks == []
    assert model.graph.startswith("3 tasks: 2 ready, 1 blocked")


async def test_a_failed_task_is_handed_over_again_and_a_completed_one_is_not() -> None:
    model = Model(
        *(handed(("surfer", "find")) for _ in range(3)),
        worker=lambda task: OSError("slow") if len(model.tasks) == 1 else '{"pages": 1}',
    )
    failed, made, again = await model.run()
    assert "error" in failed["results"][0]
    assert made["results"][0]["response"] == {"pages": 1}
    assert "'find' is completed; hand over what is ready, or failed" in again["results"][0]["error"]


async def test_the_plan_is_answered_with_the_worker_for_each_task() -> None:
    law = {"id": "y", "title": "y", "required_capabilities": ["law"]}
    model = Model(
        call("get_unblocked_tasks"),
        call("generate_task_graph", tasks=[{"id": "x", "title": "x", "assigned_agent": "y"}]),
        call("generate_task_graph", tasks=[law]),
    )
    unblocked, wrong, lawful = await model.run()
    assert [(task["id"], task["worker"]) for task in unblocked["unblocked"]] == [("find", "surfer"), ("sum", "clerk")]
    assert "task 'x' is assigned to 'y', who is not there; there are: clerk, surfer" in wrong
    assert lawful["unblocked"][-1]["worker"] == "none: no agent is capable of law"


async def test_a_wrong_worker_is_refused_by_name() -> None:
    def one(prompt: Prompt) -> None:
        pass

    def twice(prompt: TaskGraph) -> None:
        prompt.task_graph(workers=[TaskWorker("w", "", surf), TaskWorker("w", "", surf)])

    with pytest.raises(PromptError, match=r"worker .w.: .* takes"):
        TaskWorker("w", "works", one)
    with pytest.raises(PromptError, match="worker 'w': capabilities are several texts, not 'web'"):
        TaskWorker("w", "works", surf, "web")
    with pytest.raises(PromptError, match="worker 'w': capabilities are several texts, not 5"):
        TaskWorker("w", "works", surf, 5)  # type: ignore[arg-type]
    with pytest.raises(RunFailed, match="two are called 'w'"):
        await Model().run(twice)
    wrongs: list[tuple[Any, str]] = [
        ([{"name": "w"}], r"a worker is TaskWorker\(name, description, fn, capabilities\), not a dict"),
        (TaskWorker("w", "", surf), "workers are several in a list, not TaskWorker"),
        ("w", "workers are several in a list, not 'w'"),
    ]
    for workers, said in wrongs:
        with pytest.raises(RunFailed, match=f"task_graph: {said}") as raised:
            await Model().run(partial(graph_of, workers))
        assert isinstance(raised.value.__cause__, PromptError)


def graph_of(workers: Any, prompt: TaskGraph) -> None:
    prompt.task_graph(workers=workers)


async def test_a_graph_without_workers_offers_none() -> None:
    def alone(prompt: TaskGraph) -> None:
        prompt.task_graph()

    model = Model()
    await model.run(alone)
    assert "work_on_tasks" not in [one.name for one in model.tools]


def test_tasks_that_are_half_done_when_the_process_is_killed_are_gone_on_with_and_finished_ones_stay_so() -> None:
    """Four tasks at once, and one that waits for them, of several steps each: none is worked on again once done."""
    names = ["a", "b", "c", "d"]
    tasks = [NewTask(id=name, title=name) for name in names]
    tasks.append(NewTask(id="all", title="all", dependencies=tuple(names)))

    def work(prompt: Prompt, task: TaskInput) -> None:
        made, set_made = prompt.state("made", 0)
        prompt.system("task", json.dumps({"id": task.id, "made": made, "input": task.input_context}))

        @prompt.tool(risk="safe", idempotent=True)
        async def make() -> int:
            """Make one more."""
            await asyncio.sleep(1 + names.index(task.id) if task.id in names else 1)
            return set_made(lambda before: before + 1)

    def lead(prompt: TaskGraph) -> None:
        prompt.task_graph(tasks, workers=[TaskWorker("maker", "Makes.", work)])

    def model(request: Request) -> Any:
        if told := part(request, "task"):
            task = json.loads(told)
            if task["made"] < 2:
                return call("make", f"m{task['made']}")
            return f"{task['made']} of {task['id']} {sorted(task['input'].get('results', {}).values())}"
        done = len(results(request))
        turns = [handed(*(("maker", name) for name in names)), handed(("maker", "all"))]
        return turns[done] if done < 2 else part(request, "task_graph")

    async def scenario(sim: Simulation) -> None:
        watched = Watched()

        async def main(system: System) -> str:
            agent = Agent("A", prompt=lead, plugins=TaskGraph)
            async with Agency(agent, model=function(model), journal=sim.folder / "j.db", system=system) as agency:
                agency.subscribe(watched.look)
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        text = await sim.process("makers", main)
        assert text.startswith("5 tasks: 5 completed"), text
        assert "2 of all ['2 of a []', '2 of b []', '2 of c []', '2 of d []']" in text
        assert not watched.again, "worked on again although it was done"

    simulate(scenario, seeds=6, faults=[Restart("makers"), Restart("makers", optional=True)])
