"""The tool TodoWrite: the plan that a model keeps of its own work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import ToolError
from ..tool import Tool, tool

Status: TypeAlias = Literal["pending", "in_progress", "completed"]

_MARKS: dict[Status, str] = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}


@dataclass(frozen=True, slots=True)
class Todo:
    """One step of the plan, and how far it is."""

    content: str
    status: Status = "pending"


@dataclass(slots=True)
class TodoList:
    """A plan. Give each conversation its own, and its `tool` to the model."""

    todos: list[Todo] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"{_MARKS[todo.status]} {todo.content}" for todo in self.todos) or "(no steps)"

    @property
    def tool(self) -> Tool:
        """The tool TodoWrite, which replaces this list."""

        async def todo_write(todos: list[Todo]) -> str:
            """Replace the list of steps of the task at hand. Use it to plan work of several steps and to show progress.

            Args:
                todos: the whole list, in order; at most one step is in progress.
            """
            if any(not todo.content.strip() for todo in todos):
                raise ToolError("every step needs a text")
            if sum(todo.status == "in_progress" for todo in todos) > 1:
                raise ToolError("at most one step may be in progress; set the others to pending or completed")
            self.todos = todos
            done = sum(todo.status == "completed" for todo in todos)
            return f"{self}\n({done} of {len(todos)} completed)"

        return tool(name="TodoWrite", risk="safe", idempotent=True)(todo_write)
