"""Workers: agents that tasks of a graph are handed to, by what they are capable of."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from callboard import NewTask, Prompt, SubAgent, TaskError, TaskGraph, TaskInput, TaskWorker
from callboard.actors.agents.errors import PromptError
from callboard.actors.agents.prompts.cells import RENDER, Cells
from callboard.actors.agents.prompts.prompt import as_prompt
from callboard.actors.agents.prompts.rendering import Rendered, StepFacts, render
from callboard.actors.agents.prompts.subagents import SubAgents
from callboard.actors.agents.prompts.tasks.workers import TaskCall

GRAPH = [
    NewTask(id="find", title="find it", required_capabilities=("web",), input_context="in Rome"),
    NewTask(id="read", title="read it", dependencies=("find",)),
    NewTask(id="sum", title="sum up", assigned_agent="clerk"),
]


def surf(prompt: Prompt, task: TaskInput) -> None:
    prompt.system("task", str(task))


NOBODY: Any = None  # the request context, which nothing here looks at
WORKERS = [
    TaskWorker("clerk", "Writes.", surf),
    TaskWorker("surfer", "Searches.", surf, ["web"], response_schema=dict[str, int]),
]


def team(prompt: TaskGraph) -> None:
    prompt.task_graph(GRAPH, workers=WORKERS)


class Conversation:
    """One conversation's prompt, a step at a time."""

    def __init__(self) -> None:
        self.cells = Cells({}, {})
        self.calls = 0
        self.step()

    def step(self, fn: Callable[[Any], object] = team) -> Rendered:
        made = render(as_prompt(fn, TaskGraph, "A"), self.cells, StepFacts((), 1, "", NOBODY))
        assert isinstance(made, Rendered)
        self.cells.take(RENDER)
        return made

    def within(self, function: Callable[[], Any]) -> Any:
        """Call something as within a call of its own, whose result is recorded."""
        self.calls += 1
        scope = str(self.calls)
        with self.cells.open(scope):
            done = function()
        self.cells.take(scope)
        return done

    @property
    def text(self) -> str:
        return self.step().system

    def worker(self, name: str) -> SubAgent:
        (made,) = self.step().agents
        assert isinstance(made, SubAgents)
        found = made.member(name)
        assert found is not None
        return found


def test_a_call_names_a_worker_and_its_task() -> None:
    (made,) = Conversation().step().agents
    assert made.name == "work_on_tasks"
    assert isinstance(made, SubAgents)
    assert [(one.name, one.description) for one in made.members] == [
        ("clerk", "Writes."),
        ("surfer", "Searches. Capable of: web."),
    ]
    assert made.members[0].read('{"task_id": "sum"}') == TaskCall("sum")


def test_a_worker_is_given_the_task_with_the_results_that_it_starts_from() -> None:
    made = Conversation()
    finish = made.worker("surfer").on_success
    assert finish is not None
    made.within(lambda: finish({"pages": 3}, TaskCall("find")))
    worker = made.worker("clerk")
    spec = as_prompt(worker.fn, worker.plugins, "clerk", takes=2)
    facts = StepFacts((), 1, "", NOBODY)
    rendered = render(spec, Cells({}, {}), facts, input=TaskCall("read"))
    assert isinstance(rendered, Rendered)
    told = json.loads(rendered.system.removeprefix("<task>").removesuffix("</task>"))
    assert told == {"id": "read", "title": "read it", "input": {"results": {"find": {"pages": 3}}}}


def test_an_answer_completes_the_task_and_an_error_fails_it() -> None:
    made = Conversation()
    for name, how, outcome, task in (
        ("surfer", "on_success", {"pages": 3}, "find"),
        ("clerk", "on_error", TimeoutError("too slow"), "sum"),
    ):
        hook = getattr(made.worker(name), how)
        made.within(partial(hook, outcome, TaskCall(task)))
    assert '[x] find: find it (completed, surfer): {"pages": 3}' in made.text
    assert "[!] sum: sum up (failed, clerk): too slow" in made.text
    assert "[ ] read: read it (ready)" in made.text


def test_a_task_that_two_worked_on_is_completed_once() -> None:
    made = Conversation()
    finish = made.worker("surfer").on_success
    assert finish is not None
    made.within(lambda: finish({"pages": 1}, TaskCall("find")))
    with pytest.raises(TaskError, match="'find' is completed and stays so"):
        made.within(lambda: finish({"pages": 2}, TaskCall("find")))
    assert '{"pages": 1}' in made.text


@pytest.mark.parametrize(
    ("worker", "task", "said"),
    [
        ("clerk", "find", "requires web, which 'clerk' is not capable of; capable of all it requires: surfer"),
        ("surfer", "read", "'read' depends on find, which must be completed first"),
        ("surfer", "sum", "'sum' is assigned to 'clerk', not to 'surfer'"),
        ("surfer", "done", "there is no task 'done'; there are: find, read, sum"),
    ],
)
def test_what_a_worker_cannot_work_on_is_refused_so_that_the_call_can_be_repaired(
    worker: str, task: str, said: str
) -> None:
    check = Conversation().worker(worker).before_call
    assert check is not None
    with pytest.raises(TaskError, match=said):
        check(TaskCall(task))


def test_a_failed_task_is_handed_over_again_and_a_completed_one_is_not() -> None:
    made = Conversation()
    worker = made.worker("surfer")
    assert worker.on_error is not None
    assert worker.on_success is not None
    made.within(lambda: worker.on_error(TimeoutError("slow"), TaskCall("find")))  # type: ignore[misc]
    again = made.worker("surfer")
    assert again.before_call is not None
    assert again.before_call(TaskCall("find")) is None
    made.within(lambda: again.on_success({"pages": 1}, TaskCall("find")))  # type: ignore[misc]
    with pytest.raises(TaskError, match="'find' is completed; hand over what is ready, or failed"):
        made.worker("surfer").before_call(TaskCall("find"))  # type: ignore[misc]


async def test_the_plan_is_answered_with_the_worker_for_each_task() -> None:
    made = Conversation()
    tools = {tool.name: tool for tool in made.step().tools}
    with made.cells.open("1"):
        result = await tools["get_unblocked_tasks"].run()
        wrong = await tools["generate_task_graph"].run({"tasks": [{"id": "x", "title": "x", "assigned_agent": "y"}]})
        law = await tools["generate_task_graph"].run(
            {"tasks": [{"id": "x", "title": "x", "required_capabilities": ["law"]}]}
        )
    assert [(task["id"], task["worker"]) for task in json.loads(result.text)["unblocked"]] == [
        ("find", "surfer"),
        ("sum", "clerk"),
    ]
    assert "task 'x' is assigned to 'y', who is not there; there are: clerk, surfer" in wrong.text
    assert json.loads(law.text)["unblocked"][-1]["worker"] == "none: no agent is capable of law together"


def test_a_wrong_worker_is_refused_by_name() -> None:
    def one(prompt: Prompt) -> None:
        pass

    def twice(prompt: TaskGraph) -> None:
        prompt.task_graph(workers=[TaskWorker("w", "", surf), TaskWorker("w", "", surf)])

    with pytest.raises(PromptError, match=r"worker .w.: .* takes"):
        TaskWorker("w", "works", one)
    with pytest.raises(PromptError, match="worker 'w': capabilities are several texts, not 'web'"):
        TaskWorker("w", "works", surf, "web")
    with pytest.raises(PromptError, match="two are called 'w'"):
        Conversation().step(twice)


def test_a_graph_without_workers_offers_none() -> None:
    def alone(prompt: TaskGraph) -> None:
        prompt.task_graph()

    assert Conversation().step(alone).agents == ()
