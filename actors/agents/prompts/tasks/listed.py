"""A list of tasks as a value: what is to be done, in order, and how far it is. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from .....tools.errors import TaskError
from .given import Several, listed_tasks
from .status import MARKS, STATUSES, Status, check_move, check_named, in_a_line, overview, plain, unknown

EXAMPLE: Final = '["draw", ListedTask("b", "build")]'
_RANKS: Mapping[Status, int] = {"in_progress": 0, "failed": 1, "pending": 2, "completed": 3}


@dataclass(frozen=True, slots=True)
class ListedTask:
    """One task of a list.

    Args:
        id: its name in the list: letters, digits, ``_ . : /`` and ``-``, at most 64.
        title: what is to be done.
        status: how far it is.
        metadata: what else is known of it, as plain data.
    """

    # A misspelled field must not be passed over.
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "coerce_numbers_to_str": True}

    id: str
    title: str
    status: Status = "pending"
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        known = f" {in_a_line(self.metadata)}" if self.metadata else ""
        return f"{MARKS[self.status]} {self.id}: {in_a_line(self.title)}{known}"


@dataclass(frozen=True)
class TaskListState:
    """A list of tasks. It does not change: what changes a task returns another list.

    Args:
        tasks: those in it, in order.

    Raises:
        TaskError: two have the same id, or one is written wrongly.
    """

    tasks: tuple[ListedTask, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for task in self.tasks:
            check_named(task.id, task.title)
            if task.status not in STATUSES:
                raise TaskError(f"task {task.id!r}: there is no status {task.status!r:.80}; use {', '.join(STATUSES)}")
            if task.id in seen:
                raise TaskError(f"the id {task.id!r} is given twice; each task needs one of its own")
            seen.add(task.id)

    @classmethod
    def of(cls, tasks: Several[str | ListedTask | Mapping[str, Any]]) -> TaskListState:
        """A list of tasks, of mappings of their fields, or of their titles, which are numbered from 1.

        Raises:
            TaskError: two have the same id, or one is written wrongly.
        """
        return cls().add(*listed_tasks(tasks, ListedTask, EXAMPLE))

    def __iter__(self) -> Iterator[ListedTask]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, task_id: str) -> ListedTask:
        return self.tasks[self._at(task_id)]

    def __str__(self) -> str:
        return self.text(len(self.tasks))

    def _at(self, task_id: str) -> int:
        for at, task in enumerate(self.tasks):
            if task.id == task_id:
                return at
        raise unknown(task_id, (task.id for task in self.tasks))

    def add(self, *tasks: str | ListedTask | Mapping[str, Any]) -> TaskListState:
        """The list with further tasks at its end; titles get the next numbers as ids.

        Raises:
            TaskError: an id is there already, or a task is written wrongly.
        """
        added: list[ListedTask] = []
        for number, task in enumerate(listed_tasks(tasks, ListedTask, EXAMPLE), len(self.tasks) + 1):
            if isinstance(task, ListedTask):
                added.append(replace(task, metadata=plain(task.metadata, f"metadata of task {task.id!r:.80}")))
            else:
                added.append(ListedTask(str(number), task))
        return TaskListState((*self.tasks, *added))

    def start(self, task_id: str, metadata: Mapping[str, Any] | None = None) -> TaskListState:
        """The list with a task in progress: one that is pending, or that failed and is tried again.

        Args:
            task_id: which.
            metadata: plain data that is added to what is known of it.

        Raises:
            TaskError: it is not there, in progress already or completed, or the metadata are no plain data.
        """
        return self._moved(task_id, "in_progress", metadata)

    def complete(self, task_id: str, metadata: Mapping[str, Any] | None = None) -> TaskListState:
        """The list with a task completed that is in progress. Arguments and errors as `start`."""
        return self._moved(task_id, "completed", metadata)

    def fail(self, task_id: str, metadata: Mapping[str, Any] | None = None) -> TaskListState:
        """The list with a task failed that is in progress. Arguments and errors as `start`."""
        return self._moved(task_id, "failed", metadata)

    def _moved(self, task_id: str, status: Status, metadata: Mapping[str, Any] | None) -> TaskListState:
        at = self._at(task_id)
        task = self.tasks[at]
        check_move(task_id, task.status, status, given_back=False)
        known = {**task.metadata, **plain(dict(metadata or {}), f"metadata of task {task_id!r}")}
        return TaskListState((*self.tasks[:at], replace(task, status=status, metadata=known), *self.tasks[at + 1 :]))

    def text(self, limit: int = 50) -> str:
        """The list for a prompt: how far it is in all, and a line for each task.

        Args:
            limit: how many tasks at most; those in progress go before failed, pending and completed ones.
        """
        if not self.tasks:
            return "(no tasks)"
        done = sum(task.status == "completed" for task in self.tasks)
        lines = overview(((_RANKS[task.status], str(task)) for task in self.tasks), limit)
        return "\n".join([f"{done} of {len(self.tasks)} completed", *lines])
