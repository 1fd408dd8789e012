"""The tool TodoWrite: the plan that a model keeps of its own work."""

from __future__ import annotations

from dataclasses import dataclass

from .....tools.errors import TaskError
from .....tools.function_tool import tool
from .....tools.tool import Tool
from .listed import ListedTask, TaskListState
from .status import Status


@dataclass(frozen=True, slots=True)
class Todo:
    """One step of the plan, and how far it is."""

    content: str
    status: Status = "pending"


def todo_tool() -> Tool:
    """The tool TodoWrite, for agents without a prompt function.

    A call gives the whole list and is answered with it, so that it stands in the messages of the conversation and
    nowhere else: each conversation has its own, which lasts as long as its messages.
    """

    async def todo_write(todos: list[Todo]) -> str:
        """Replace the list of steps of the task at hand. Use it to plan work of several steps and to show progress.

        Args:
            todos: the whole list, in order; at most one step is in progress.
        """
        if sum(todo.status == "in_progress" for todo in todos) > 1:
            raise TaskError("at most one step may be in progress; set the others to pending or completed")
        tasks = (ListedTask(str(number), todo.content, todo.status) for number, todo in enumerate(todos, 1))
        return str(TaskListState(tuple(tasks)))

    return tool(name="TodoWrite", risk="safe", idempotent=True, trusted=True)(todo_write)
