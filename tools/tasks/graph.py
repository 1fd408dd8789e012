"""A graph of tasks that depend on each other, which several agents work off together.

The graph is pure: no I/O, no clock. The states of a task:

    from         to             when
    pending      in_progress    it is taken, once everything it needs is completed
    in_progress  completed      its work is done
    in_progress  failed         it could not be done
    in_progress  pending        it is given back
    failed       pending        it is to be tried again
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..errors import TaskError
from ..tool import Tool, tool

State: TypeAlias = Literal["pending", "in_progress", "completed", "failed"]

_TRANSITIONS: dict[State, tuple[State, ...]] = {
    "pending": ("in_progress",),
    "in_progress": ("completed", "failed", "pending"),
    "completed": (),
    "failed": ("pending",),
}


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Args:
        id: its number in the graph, as text.
        title: what is to be done.
        needs: the ids of the tasks that must be completed before.
        state: how far it is.
        owner: who works on it, or did.
        note: what came out of it.
    """

    id: str
    title: str
    needs: tuple[str, ...] = ()
    state: State = "pending"
    owner: str = ""
    note: str = ""


class TaskGraph:
    """Tasks and what they need. It has no cycles at any time."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, task_id: str) -> Task:
        try:
            return self._tasks[task_id]
        except KeyError:
            known = ", ".join(self._tasks) or "none yet"
            raise TaskError(f"there is no task {task_id!r}; there are: {known}") from None

    def add(self, title: str, needs: Sequence[str] = ()) -> Task:
        """Add a task that needs others to be completed first.

        Raises:
            TaskError: the title is empty, or a task it needs does not exist.
        """
        if not title.strip():
            raise TaskError("a task needs a title")
        task = Task(str(len(self._tasks) + 1), title.strip(), tuple(dict.fromkeys(self[need].id for need in needs)))
        self._tasks[task.id] = task
        return task

    def require(self, task_id: str, needs: Sequence[str]) -> Task:
        """Replace what a pending task needs.

        Raises:
            TaskError: a task does not exist, has been started, or would need itself.
        """
        task = self[task_id]
        if task.state != "pending":
            raise TaskError(f"task {task_id} is {task.state}; only what a pending task needs can be changed")
        wanted = tuple(dict.fromkeys(self[need].id for need in needs))
        for need in wanted:
            if need == task_id or task_id in self._needed_by(need):
                raise TaskError(f"task {task_id} cannot need task {need}, which needs task {task_id}")
        return self._put(replace(task, needs=wanted))

    def _needed_by(self, task_id: str) -> set[str]:
        """The ids of everything that a task needs, directly or not."""
        found: set[str] = set()
        todo = list(self._tasks[task_id].needs)
        while todo:
            need = todo.pop()
            if need not in found:
                found.add(need)
                todo.extend(self._tasks[need].needs)
        return found

    def ready(self) -> list[Task]:
        """The tasks that can be taken now, in the order they were added."""
        return [task for task in self if task.state == "pending" and not self._missing(task)]

    def _missing(self, task: Task) -> list[str]:
        return [need for need in task.needs if self._tasks[need].state != "completed"]

    def move(self, task_id: str, state: State, *, owner: str = "", note: str = "") -> Task:
        """Take a task to another state.

        Args:
            task_id: which.
            state: the new state.
            owner: who takes it, when it becomes ``in_progress``.
            note: what came out of it; empty keeps the one it has.

        Raises:
            TaskError: there is no way from its state to that one, or something it needs is not completed.
        """
        task = self[task_id]
        if state not in _TRANSITIONS[task.state]:
            held = f" by {task.owner}" if task.owner and task.state == "in_progress" else ""
            ways = ", ".join(_TRANSITIONS[task.state]) or "nothing"
            raise TaskError(f"task {task_id} is {task.state}{held} and can only become {ways}")
        if state == "in_progress":
            missing = self._missing(task)
            if missing:
                raise TaskError(f"task {task_id} needs {', '.join(missing)} to be completed first")
            task = replace(task, owner=owner)
        elif state == "pending":
            task = replace(task, owner="")
        return self._put(replace(task, state=state, note=note or task.note))

    def _put(self, task: Task) -> Task:
        self._tasks[task.id] = task
        return task

    def __str__(self) -> str:
        return "\n".join(self._line(task) for task in self) or "(no tasks)"

    def _line(self, task: Task) -> str:
        words = [f"{task.id}. {task.title} ({task.state}"]
        if task.owner:
            words.append(f", {task.owner}")
        if task.needs:
            words.append(f", needs {', '.join(task.needs)}")
        if task.state == "pending" and not self._missing(task):
            words.append(", ready")
        return "".join(words) + ")" + (f": {task.note}" if task.note else "")

    def tools(self, owner: str = "") -> list[Tool]:
        """The tools TaskCreate, TaskUpdate and TaskList over this graph.

        Args:
            owner: in whose name tasks are taken.
        """

        async def create(title: str, needs: list[str] | None = None) -> str:
            """Add a task to the shared graph of tasks.

            Args:
                title: what is to be done.
                needs: the ids of tasks that must be completed before it.
            """
            return self._line(self.add(title, needs or ()))

        async def update(id: str, state: State | None = None, note: str = "", needs: list[str] | None = None) -> str:
            """Take a task (in_progress), end it (completed, failed), give it back or retry it (pending).

            Args:
                id: the task's id.
                state: its new state.
                note: what came out of it, for those who go on from there.
                needs: replaces what it needs; only while it is pending.
            """
            if needs is not None:
                self.require(id, needs)
            if state is not None:
                self.move(id, state, owner=owner, note=note)
            elif note:
                self._put(replace(self[id], note=note))
            freed = ", ".join(task.id for task in self.ready())
            return f"{self._line(self[id])}\nReady now: {freed or 'none'}"

        async def show() -> str:
            """Show all tasks: their state, who has them, what they need, and which are ready to be taken."""
            return str(self)

        return [
            tool(name="TaskCreate", risk="safe")(create),
            tool(name="TaskUpdate", risk="safe")(update),
            tool(name="TaskList", risk="safe", idempotent=True)(show),
        ]
