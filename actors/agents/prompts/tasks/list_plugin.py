"""The plugin that gives a prompt a list of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .....tools.errors import TaskError
from ...errors import PromptError
from ..prompt import Prompt
from ..state.cells import StateSetter
from .given import Several, TaskId
from .listed import ListedTask, TaskListState


class TaskList(Prompt):
    """A prompt with a list of tasks, which the conversation keeps and the model works off."""

    __slots__ = ()

    def task_list(
        self, tasks: Several[str | ListedTask | Mapping[str, Any]] = ()
    ) -> tuple[TaskListState, StateSetter[TaskListState]]:
        """Offer the tools ``start_task``, ``complete_task`` and ``fail_task``, and show how far the list is in the
        system prompt of each step, as ``<task_list>``.

        Args:
            tasks: those there are at first in a conversation: titles, which are numbered from 1, `ListedTask` values or
                mappings of their fields.

        Returns:
            The list, and what sets it, as of `Prompt.state`: ``set_tasks(lambda tasks: tasks.add("test it"))``.

        Raises:
            PromptError: two tasks have the same id, one is written wrongly, or there is a list in this step already.
        """
        parts = self._parts or self._over("task_list")
        try:
            first = TaskListState.of(tasks)
        except TaskError as wrong:
            raise PromptError(f"{parts.name}: task_list: {wrong}") from wrong
        value, set_value = self.state("task_list", first)

        async def start(task_id: TaskId, metadata: dict[str, Any] | None = None) -> str:
            """Say that you begin a task of the task list, or try one again that failed.

            Args:
                task_id: the task's id.
                metadata: what else is to be kept with the task.
            """
            return str(set_value(lambda before: before.start(task_id, metadata))[task_id])

        async def complete(task_id: TaskId, metadata: dict[str, Any] | None = None) -> str:
            """Say that a task of the task list, which is in progress, is done.

            Args:
                task_id: the task's id.
                metadata: what else is to be kept with the task, such as what came out of it.
            """
            return str(set_value(lambda before: before.complete(task_id, metadata))[task_id])

        async def fail(task_id: TaskId, reason: str = "", metadata: dict[str, Any] | None = None) -> str:
            """Say that a task of the task list, which is in progress, cannot be done. It may be started again.

            Args:
                task_id: the task's id.
                reason: why not.
                metadata: what else is to be kept with the task.
            """
            known = {**(metadata or {}), **({"reason": reason} if reason else {})}
            return str(set_value(lambda before: before.fail(task_id, known))[task_id])

        # They change nothing but state, so a call that a crash interrupted has done nothing and is made again.
        for name, function in (("start_task", start), ("complete_task", complete), ("fail_task", fail)):
            self.tool(function, name=name, risk="safe", idempotent=True, trusted=True)
        self.system("task_list", value.text())
        return value, set_value
