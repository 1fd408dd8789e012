"""Agents that work on the tasks of a graph: a call of one is a task, its answer the task's result."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import wraps
from typing import Any

from .....tools.errors import TaskError
from ...errors import PromptError, said
from ...turns.rules import Limits
from ..prompt import as_prompt
from ..state.serializing import whole, with_texts
from ..subagents import SubAgent
from .given import TaskId
from .graph import TaskGraphState
from .graph_tools import Change
from .status import listed, plain


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What a call of a worker gives: the task's id."""

    task_id: TaskId


@dataclass(frozen=True, eq=False)
class TaskWorker:
    """An agent that works on tasks of a graph.

    Args:
        name: its name, as of a tool.
        description: what it does, for the model that plans.
        fn: its prompt function, called with the prompt and the `TaskInput`.
        capabilities: what it is capable of: it gets only tasks that require no others.
        model: the model it uses; empty for the one of the agent that hands the tasks over.
        system: what it is told before all that its prompt function defines.
        plugins: those of its prompt.
        response_schema: the type that its answer, and so the task's result, must fit.
        limits: what one task may use; None for what is left to the run that hands it over.

    Raises:
        PromptError: the capabilities are no texts.
    """

    name: str
    description: str
    fn: Callable[..., object]
    capabilities: Collection[str] = ()
    _: KW_ONLY
    model: str = ""
    system: str = ""
    plugins: Any = ()
    response_schema: Any = None
    limits: Limits | None = None

    def __post_init__(self) -> None:
        given = self.capabilities
        several = isinstance(given, Collection) and not isinstance(given, str)
        if not several or not all(isinstance(one, str) for one in given):
            raise PromptError(f"worker {self.name!r:.80}: capabilities are several texts, not {given!r:.80}")
        as_prompt(self.fn, self.plugins, f"worker {self.name!r:.80}", takes=2)


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What a worker is given. As a text it is all of it, as JSON.

    Args:
        id: the task's.
        title: what is to be done.
        description: all that is to be known of it.
        input_context: what it starts from; see `TaskGraphState.input_of`.
    """

    id: str
    title: str
    description: str
    input_context: dict[str, Any]

    def __str__(self) -> str:
        said = {"id": self.id, "title": self.title, "description": self.description, "input": self.input_context}
        return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)


def check_workers(workers: object, where: str) -> None:
    """Look whether these are workers.

    Raises:
        PromptError: they are not.
    """
    if not isinstance(workers, Sequence) or isinstance(workers, str):
        raise PromptError(f"{where}: task_graph: workers are several in a list, not {workers!r:.80}")
    for one in workers:
        if not isinstance(one, TaskWorker):
            raise PromptError(
                f"{where}: task_graph: a worker is TaskWorker(name, description, fn, capabilities), "
                f"not a {type(one).__name__}"
            )


def as_agents(
    graph: TaskGraphState, change: Change, workers: Sequence[TaskWorker], *, now: Callable[[], TaskGraphState]
) -> list[SubAgent]:
    """The workers as sub-agents whose calls name a task.

    A task that a worker answered for is completed together with the answer's being recorded, in one write: where a
    restart comes between several, those that are finished stay so, and the others are gone on with.

    Args:
        graph: as it is in the step that offers them.
        change: changes the graph of the conversation.
        workers: they.
        now: returns the graph with what calls of this step have done so far; called in a call.
    """
    given_to: dict[str, str] = {}  # in this step, by task: what a call sets others do not see before its end
    return [_as_agent(graph, change, worker, workers, now, given_to) for worker in workers]


def _as_agent(
    graph: TaskGraphState,
    change: Change,
    worker: TaskWorker,
    workers: Sequence[TaskWorker],
    now: Callable[[], TaskGraphState],
    given_to: dict[str, str],
) -> SubAgent:
    able = frozenset(worker.capabilities)

    def check(given: TaskCall) -> None:
        """Refuse a task that cannot be worked on, or not by this worker, or that one works on."""
        task = graph[given.task_id]  # of the step, as the worker is told it
        if other := given_to.get(task.id):
            raise TaskError(f"task {task.id!r} has been given to {other!r} in this step; hand over each task once")
        if (status := now()[task.id].status) not in ("pending", "failed"):
            raise TaskError(f"task {task.id!r} is {status}; hand over what is ready, or failed")
        if waits := graph.waits_for(task.id):
            raise TaskError(f"task {task.id!r} depends on {listed(waits)}, which must be completed first")
        if task.assigned_agent not in ("", worker.name):
            raise TaskError(f"task {task.id!r} is assigned to {task.assigned_agent!r}, not to {worker.name!r}")
        if lacks := [need for need in task.required_capabilities if need not in able]:
            required = set(task.required_capabilities)
            others = [one.name for one in workers if required <= set(one.capabilities)]
            raise TaskError(
                f"task {task.id!r} requires {listed(lacks)}, which {worker.name!r} is not capable of; "
                f"capable of all it requires: {listed(others)}"
            )
        given_to[task.id] = worker.name

    @wraps(worker.fn)
    def work(prompt: Any, given: TaskCall) -> object:
        task = graph[given.task_id]
        return worker.fn(prompt, TaskInput(task.id, task.title, task.description, graph.input_of(task.id)))

    def finish(given: TaskCall, answer: Any) -> None:
        from pydantic_core import to_jsonable_python

        try:
            result = plain(with_texts(to_jsonable_python(answer), whole), "the answer")
        except TaskError as error:
            fail(given, error)
            return
        try:
            change(lambda before: before.finish(given.task_id, "completed", result, agent=worker.name))
        except PromptError as error:  # no state keeps it; handed over again the task would end so again
            fail(given, error)

    def fail(given: TaskCall, error: BaseException) -> None:
        change(lambda before: before.finish(given.task_id, "failed", said(error), agent=worker.name))

    capable = f" Capable of: {', '.join(worker.capabilities)}." if worker.capabilities else ""
    return SubAgent(
        worker.name,
        f"{worker.description}{capable}",
        TaskCall,
        work,
        model=worker.model,
        system=worker.system,
        plugins=worker.plugins,
        response_schema=worker.response_schema,
        limits=worker.limits,
        before_call=check,
        on_success=finish,
        on_error=fail,
    )
