"""The tools over a graph of tasks, wherever it is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, TypeAlias

from .....tools.errors import TaskError
from .....tools.function_tool import FunctionTool, tool
from .given import TaskId
from .graph import GraphTask, NewTask, TaskGraphState
from .matching import match
from .status import Status, listed

Change: TypeAlias = "Callable[[Callable[[TaskGraphState], TaskGraphState]], TaskGraphState]"
"""Applies a function to the graph and returns what came of it."""

UNBLOCKED: Final = "get_unblocked_tasks"
"""The tool that only reads."""

_SHOWN: Final = 50
_CHARACTERS: Final = 50_000
"""Tasks in an answer, and how long it may be: one that is longer than a result may be would be cut in its middle."""


def graph_tools(
    read: Callable[[], TaskGraphState],
    change: Change,
    *,
    agent: str = "",
    capabilities: Collection[str] | None = None,
    agents: Mapping[str, Collection[str]] | None = None,
    idempotent: bool = False,
) -> list[FunctionTool]:
    """The tools ``generate_task_graph``, ``get_unblocked_tasks`` and ``update_task_status``.

    Args:
        read: returns the graph.
        change: changes the graph; what it raises is the call's error.
        agent: in whose name tasks are started.
        capabilities: of that agent: it may start only tasks that require no others. None: all.
        agents: to whom tasks may be assigned, and what each is capable of; an answer then names for each task the
            ``worker`` to hand it to. None: to anybody.
        idempotent: a call that was interrupted has changed nothing, and may be made again.
    """

    async def generate(tasks: list[NewTask]) -> dict[str, Any]:
        """Plan work as a graph of tasks, in one call: all of them are added, or none if something is wrong. Tasks that
        do not depend on each other can be worked on at the same time. May be called again to add to the graph.

        Args:
            tasks: the tasks to add; each may depend on any other of them and on those there are.
        """
        _check_agents(tasks, agents)
        graph = change(lambda before: before.generate(tasks))
        return {"tasks": len(graph), **_shown(graph, graph.ready(), agents)}

    async def unblocked(capabilities: list[str] | None = None) -> dict[str, Any]:
        """The tasks that can be started now, each with its input: results of the tasks it depends on among it.

        Args:
            capabilities: only those that require no other capabilities than these.
        """
        graph = read()
        return _shown(graph, graph.ready(own if capabilities is None else capabilities), agents)

    async def update(
        task_id: TaskId, status: Status, output_result: str | dict[str, Any] | list[Any] | None = None
    ) -> dict[str, Any]:
        """Start a task (in_progress), end it (completed, failed), give it back or have it tried again (pending). A
        failed one may be started again. The answer says which tasks that unblocked, with their input.

        Args:
            task_id: the task's id.
            status: its new status.
            output_result: what came out of it, for the tasks that depend on it; of a failed one, why.
        """
        if status == "in_progress" and own is not None:
            lacks = [need for need in read()[task_id].required_capabilities if need not in own]
            if lacks:
                raise TaskError(
                    f"task {task_id!r} requires {listed(lacks)}, which you are not capable of; take another"
                )
        graph = change(lambda before: before.update(task_id, status, output_result, agent=agent))
        return {"task_id": task_id, "status": status, **_shown(graph, graph.unblocked_by(task_id), agents)}

    own = capabilities
    return [
        tool(name="generate_task_graph", risk="safe", trusted=True, idempotent=idempotent)(generate),
        tool(name=UNBLOCKED, risk="safe", trusted=True, idempotent=True)(unblocked),
        tool(name="update_task_status", risk="safe", trusted=True, idempotent=idempotent)(update),
    ]


def _check_agents(tasks: Iterable[NewTask], agents: Collection[str] | None) -> None:
    if agents is None:
        return
    for task in tasks:
        if task.assigned_agent and task.assigned_agent not in agents:
            raise TaskError(
                f"task {task.id!r} is assigned to {task.assigned_agent!r:.80}, who is not there; "
                f"there are: {listed(agents)}; empty leaves it to any capable one"
            )


def _shown(
    graph: TaskGraphState, tasks: list[GraphTask], agents: Mapping[str, Collection[str]] | None
) -> dict[str, Any]:
    """The first of some unblocked tasks as a model is told of them, and how many more there are."""
    matched = match(tasks[:_SHOWN], agents or {})
    shown: list[Mapping[str, Any]] = []
    room = _CHARACTERS
    for task in tasks[:_SHOWN]:
        said = _brief(graph, task)
        if agents is not None:
            said["worker"] = matched.agents.get(task.id) or f"none: {matched.unmatched[task.id]}"
        room -= len(json.dumps(said, ensure_ascii=False))
        if shown and room < 0:
            break
        shown.append(said)
    more = len(tasks) - len(shown)
    return {"unblocked": shown, "more": more} if more else {"unblocked": shown}


def _brief(graph: TaskGraphState, task: GraphTask) -> dict[str, Any]:
    """What whoever is to work on a task is told of it, without what is empty."""
    said = {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "required_capabilities": list(task.required_capabilities),
        "assigned_agent": task.assigned_agent,
        "input_context": graph.input_of(task.id),
    }
    return {name: value for name, value in said.items() if value}
