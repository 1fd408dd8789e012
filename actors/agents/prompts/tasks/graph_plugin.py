"""The plugin that gives a prompt a graph of tasks, and agents that work on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .....tools.errors import TaskError
from ...errors import PromptError
from ..prompt import Prompt
from ..state.cells import StateSetter
from .given import Several
from .graph import NewTask, TaskGraphState
from .graph_tools import Change, graph_tools
from .workers import TaskWorker, as_agents, check_workers


class TaskGraph(Prompt):
    """A prompt with a graph of tasks, which the conversation keeps, and which the model and its workers work off."""

    __slots__ = ()

    def task_graph(
        self, tasks: Several[NewTask | Mapping[str, Any]] = (), *, workers: Sequence[TaskWorker] = ()
    ) -> tuple[TaskGraphState, StateSetter[TaskGraphState]]:
        """Offer the tools ``generate_task_graph``, ``get_unblocked_tasks`` and ``update_task_status``, and show how far
        the graph is in the system prompt of each step, as ``<task_graph>``. With workers, ``work_on_tasks`` hands
        ready tasks to them, side by side.

        Args:
            tasks: those there are at first in a conversation, or mappings of their fields.
            workers: agents, and what each is capable of.

        Returns:
            The graph, and what sets it, as of `Prompt.state`:
            ``set_graph(lambda graph: graph.update("draw", "pending"))``.

        Raises:
            PromptError: the tasks do not fit together (see `TaskGraphState.generate`), there is a graph in this step
                already, or a worker is written wrongly.
        """
        parts = self._parts or self._over("task_graph")
        check_workers(workers, parts.name)
        try:
            first = TaskGraphState().generate(tasks)
        except TaskError as wrong:
            raise PromptError(f"{parts.name}: task_graph: {wrong}") from wrong
        graph, set_graph = self.state("task_graph", first)
        agents = {worker.name: worker.capabilities for worker in workers} or None
        # They change nothing but state: a call that a crash interrupted has done nothing, and is made again.
        view = _Step(graph, set_graph)
        for made in graph_tools(view.read, view.change, agents=agents, idempotent=True):
            self.tool(made)
        self.system("task_graph", graph.text())
        if workers:
            self.agents(WORK, _WORK_ON, as_agents(graph, set_graph, workers, now=view.now))
        return graph, set_graph


class _Step:
    """The graph as the calls of one step see it.

    What a call sets is the conversation's once its result is recorded, so calls that run side by side do not see each
    other's; of two that complete what a third task waits for neither would say that it unblocked it.
    """

    __slots__ = ("_changes", "_graph", "_set")

    def __init__(self, graph: TaskGraphState, set_graph: Change) -> None:
        self._graph = graph
        self._set = set_graph
        self._changes: list[Callable[[TaskGraphState], TaskGraphState]] = []

    def read(self) -> TaskGraphState:
        return self._with_others(self._graph)

    def now(self) -> TaskGraphState:
        """Also with what was recorded since the step was rendered; in a call."""
        return self._with_others(self._set(lambda before: before))

    def change(self, function: Callable[[TaskGraphState], TaskGraphState]) -> TaskGraphState:
        changed = self._with_others(self._set(function))
        self._changes.append(function)
        return changed

    def _with_others(self, graph: TaskGraphState) -> TaskGraphState:
        for function in self._changes:
            with suppress(TaskError):  # what has been recorded is in there already
                graph = function(graph)
        return graph


WORK = "work_on_tasks"
_WORK_ON = (
    "Hand ready tasks of the task graph to workers, who work on them at the same time. Give each task to the worker "
    "that get_unblocked_tasks names for it. What comes out becomes the task's result, and unblocks those that wait for "
    "it: no need to update their status."
)
